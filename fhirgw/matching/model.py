"""How probable it is that two are one: Fellegi and Sunter's weights, with three kinds of others.

Of whoever is compared with a person, few are that person, some are a twin, some a relative of the same house, and
nearly all are strangers. For each kind a table says how often each level of each field is met; by Bayes' theorem
the levels then say how probable "the same" is. One kind of others alone would take twins for one person: they share
name, birth date, address and telephone, and not by chance.
See: I. P. Fellegi, A. B. Sunter, "A Theory for Record Linkage", JASA 64 (1969), pages 1183 to 1210.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, TypeVar

from fhirgw.matching.compare import FIELDS, levels
from fhirgw.matching.traits import Traits, is_replaced, traits

Json = dict[str, Any]
Key = TypeVar("Key")

SAME: Final = "same"
KINDS: Final = (SAME, "twin", "relative", "stranger")
_TELLING: Final = frozenset({"birth", "address", "contact"})
"""Without one of these there is a name at most, and a common one is that of many."""
_EXACT: Final = 1e-6  # how far from 1 the shares of a table may be


class Grade(StrEnum):
    """How sure a match is, in the words of http://hl7.org/fhir/StructureDefinition/match-grade."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    CERTAINLY_NOT = "certainly-not"


@dataclass(frozen=True, slots=True)
class Rated:
    """How probable it is that somebody is the person asked about.

    Attributes:
        probability: 1 where an identifier says it.
        grade: ``certain`` by an identifier alone.
        levels: Field to level, for the person who decides.
    """

    probability: float
    grade: Grade
    levels: Mapping[str, str]


class Model:
    """The weights and thresholds of a deployment; one object serves all comparisons.

    Attributes:
        probable: The least probability that is graded ``probable``.
        possible: The least that is graded ``possible``; below it nobody is asked about.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        """Read the tables of ``weights.toml``.

        Raises:
            ValueError: A table is missing, says something that is unknown, or its shares do not add up.
        """
        _require(table.keys() == {"thresholds", "people", *FIELDS}, "the tables", table)
        _require(table["thresholds"].keys() == {"probable", "possible"}, "thresholds", table["thresholds"])
        _require(table["people"].keys() == set(KINDS), "people", table["people"])
        self.probable: float = table["thresholds"]["probable"]
        self.possible: float = table["thresholds"]["possible"]
        _require(0 < self.possible <= self.probable < 1, "thresholds", table["thresholds"])
        _require(all(share > 0 for share in table["people"].values()), "people", table["people"])
        self._priors = [math.log(table["people"][kind]) for kind in KINDS]
        self._shares: dict[tuple[str, str], list[float]] = {}
        for field, known in FIELDS.items():
            _require(table[field].keys() == set(known), field, table[field])
            for level in known:
                shares = table[field][level]
                _require(shares.keys() == set(KINDS) and all(0 < one < 1 for one in shares.values()), field, shares)
                self._shares[field, level] = [math.log(shares[kind]) for kind in KINDS]
            for kind in KINDS:
                whole = sum(table[field][level][kind] for level in known)
                _require(abs(whole - 1) < _EXACT, f"{field}.*.{kind}", {})

    def probability(self, found: Mapping[str, str]) -> float:
        """How probable "the same" is, given these levels."""
        odds = list(self._priors)
        for field, level in found.items():
            for kind, share in enumerate(self._shares[field, level]):
                odds[kind] += share
        highest = max(odds)
        parts = [math.exp(one - highest) for one in odds]
        return parts[0] / sum(parts)

    def rate(self, wanted: Traits, other: Traits) -> Rated:
        """Rate one person against another."""
        found = levels(wanted, other)
        if wanted.identifiers & other.identifiers:
            return Rated(1.0, Grade.CERTAIN, found)
        # Cut, never rounded up: nothing but an identifier is 1.
        probability = math.floor(self.probability(found) * 10_000) / 10_000
        grade = self._grade(probability) if _TELLING & found.keys() else Grade.CERTAINLY_NOT
        return Rated(min(probability, 0.9999), grade, found)

    def _grade(self, probability: float) -> Grade:
        if probability >= self.probable:
            return Grade.PROBABLE
        return Grade.POSSIBLE if probability >= self.possible else Grade.CERTAINLY_NOT

    def rank(self, wanted: Traits, people: Iterable[tuple[Key, Json]]) -> list[tuple[Key, Rated]]:
        """Those of these Patients who may be the person, the likeliest first, then in the order of their ids."""
        rated = []
        for key, patient in people:
            if is_replaced(patient):
                continue
            found = self.rate(wanted, traits(patient))
            if found.grade is not Grade.CERTAINLY_NOT:
                rated.append((patient.get("id", ""), key, found))
        rated.sort(key=lambda one: (-one[2].probability, one[0]))
        return [(key, found) for _, key, found in rated]


def load(text: str = "") -> Model:
    """The model that ships with fhirgw, with what an operator's TOML says otherwise, table by table.

    Raises:
        ValueError: What it says is no model.
    """
    return Model(_over(_shipped(), tomllib.loads(text)))


@lru_cache(maxsize=1)
def _shipped() -> Json:
    return tomllib.loads((files("fhirgw.matching") / "weights.toml").read_text("utf-8"))


def _over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    merged = dict(base)
    for name, value in changes.items():
        before = merged.get(name)
        merged[name] = _over(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _require(holds: bool, where: str, table: Mapping[str, Any]) -> None:
    if not holds:
        names = ", ".join(sorted(table))
        raise ValueError(f"The matching weights do not fit together at {where}{f' ({names})' if names else ''}.")
