"""Patterns: what a patient's policy is to a decision, told without whose it is and on which days it was signed.

Members who signed the same form are decided alike. Patients of one pattern come to one compiled predicate, for
whoever asks, so that what may be seen of everybody is compiled once for each pattern instead of for each patient.

INVARIANT: equal patterns, equal predicates (tests/consent/test_patterns.py). What is left out is known to make no
difference, and a date is told as whether it has come; whatever else differs makes another pattern. What could be
read in another way of another patient makes a pattern of that patient alone: a record that was merged, somebody who
signs for the patient, a patient named by an identifier. (docs/decisions/0315)
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import chain
from typing import Any, Final

import orjson

from fhirgw.consent.elements import TEAMS, bare, objects
from fhirgw.consent.instants import changes, period_span, span, zone_of
from fhirgw.consent.legal import EXPIRY_EVENT
from fhirgw.consent.model import Json
from fhirgw.consent.networks import AFFILIATION
from fhirgw.consent.standing import SUPERSEDES, has_source, is_no_release, reading_of

VERSION: Final = 1
"""Goes up with whatever is told of a policy here; stores then read all policies anew (store/basis.py)."""

_LEFT_OUT: Final = frozenset(
    {"id", "meta", "text", "identifier", "language", "extension", "patient", "performer", "sourceReference",
     "sourceAttachment"}
)  # fmt: skip
_VERIFIED: Final = ("verificationDate", "verifiedWith")
Signed = tuple[datetime, datetime] | None
"""First and last instant of the day of signing; None where it cannot be read."""
_FOLLOWED: Final = TEAMS | {"Organization", AFFILIATION, "Practitioner", "PractitionerRole"}
"""Types through whom others are known: who of them is named, wherever, decides who is at hand."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A policy between two instants at which something of it begins or ends.

    Attributes:
        since: The first instant; None: since ever.
        until: The first instant of the next phase; None: there is none.
        pattern: A digest.
    """

    since: datetime | None
    until: datetime | None
    pattern: str


def phases(
    patient: str, consents: Sequence[Json], states: Iterable[str], *, others: bool, zone: str
) -> Iterator[Phase]:
    """The patterns of a patient's policy, one phase after the other.

    Args:
        patient: Logical id.
        consents: All that are judged, in the order in which a decision reads them.
        states: Of the enrolments.
        others: Whether records were merged or linked with this one.
        zone: Of partial dates in a Consent that does not say.
    """
    enrolled, told = sorted(set(states)), _Told(consents, zone)
    if others or not all(_is_plain(consent, patient) for consent in told.consents):
        yield Phase(None, None, _digest([patient, enrolled]))
        return
    begun: datetime | None = None
    pattern = _digest([enrolled, *told.at(None)])
    for turn in told.turns():
        following = _digest([enrolled, *told.at(turn)])
        if following != pattern:
            yield Phase(begun, turn, pattern)
            begun, pattern = turn, following
    yield Phase(begun, None, pattern)


def _is_plain(consent: Json, patient: str) -> bool:
    """About this patient and signed by nobody else, both said literally; and without modifiers, wherever."""
    own, signers = f"Patient/{patient}", consent.get("performer", [])
    named = [consent.get("patient"), *(signers if isinstance(signers, list) else [None])]
    literal = all(isinstance(one, dict) and bare(one.get("reference")) == own for one in named)
    return literal and b'"modifierExtension"' not in orjson.dumps(consent)


class _Told:
    """The Consents of a patient as their pattern tells them.

    Attributes:
        consents: Those because of which a decision can come to something else.
    """

    def __init__(self, consents: Sequence[Json], zone: str) -> None:
        self.consents = [one for one in consents if _counts(one, zone)]
        self._zones = [zone_of(one, zone) for one in self.consents]
        self._signed = [span(one.get("dateTime"), own) for one, own in zip(self.consents, self._zones, strict=True)]
        self._around = sorted({literal for one in consents for literal in _followed(one)})
        self._chained = any(_superseding(one) for one in self.consents)
        self._order = sorted({*chain.from_iterable(signed or () for signed in self._signed)})
        self._names = {str(one.get("id")): at for at, one in enumerate(self.consents)}

    def turns(self) -> list[datetime]:
        """When a decision may come to something else by itself."""
        found = {signed[0] for signed in self._signed if signed is not None}
        for consent, own in zip(self.consents, self._zones, strict=True):
            found |= {
                turn for period in _periods(consent.get("provision")) for turn in changes(period_span(period, own))
            }
        return sorted(found)

    def at(self, at: datetime | None) -> list[Any]:
        """At this instant; None: before anything begins. Order tells nothing where none supersedes another."""
        whole = zip(self.consents, self._zones, self._signed, strict=True)
        told = [orjson.dumps(self._consent(*one, at), option=orjson.OPT_SORT_KEYS).decode() for one in whole]
        return [self._around, *(told if self._chained else sorted(told))]

    def _consent(self, consent: Json, own: tzinfo, signed: Signed, at: datetime | None) -> Json:
        told = {name: value for name, value in consent.items() if name not in _LEFT_OUT}
        told |= {"performer": bool(consent.get("performer")), "source": has_source(consent)}
        told["extension"] = self._extensions(consent)
        told["provision"] = _provision(consent.get("provision"), at, own)
        if (verifications := objects(consent.get("verification"))) is not None:
            told["verification"] = [
                [one.get("verified"), *(part in one for part in _VERIFIED)] for one in verifications
            ]
        if signed is not None:
            order = [self._order.index(moment) for moment in signed] if self._chained else []
            told["dateTime"] = [str(own), _has_come(signed[0], at), *order]
        if self._chained:
            told["patient"] = [one["patient"] for one in self.consents].index(consent["patient"])
        return told

    def _extensions(self, consent: Json) -> list[Any]:
        """Whether an event ends it, and which others it supersedes."""
        ends = any(one.get("url") == EXPIRY_EVENT for one in objects(consent.get("extension")) or ())
        return [ends, [self._names.get(one, f"Consent/{one}") for one in _superseding(consent)]]


def _periods(provision: Any) -> Iterator[Any]:
    if isinstance(provision, dict):
        yield provision.get("period")
        yield from chain.from_iterable(map(_periods, objects(provision.get("provision")) or ()))


def _provision(provision: Any, at: datetime | None, zone: tzinfo) -> Any:
    """As it stands, but that the bounds of a period are told as whether they have passed."""
    if not isinstance(provision, dict):
        return provision
    told = dict(provision)
    if period_span(provision.get("period"), zone) is not None:
        told["period"] = {name: _bound(name, value, at, zone) for name, value in provision["period"].items()}
    if (children := objects(provision.get("provision"))) is not None:
        told["provision"] = [_provision(child, at, zone) for child in children]
    return told


def _bound(name: str, value: Any, at: datetime | None, zone: tzinfo) -> Any:
    turn = next(changes(period_span({name: value}, zone)), None)
    return value if turn is None else _has_come(turn, at)


def _has_come(moment: datetime, at: datetime | None) -> bool:
    return at is not None and moment <= at


def _counts(consent: Json, zone: str) -> bool:
    """Whether a decision can come to something else because of it.

    What it asks of content has a part in all marks, and whom it names is at hand.
    """
    if not is_no_release(consent) or _superseding(consent):
        return True
    return any(rule.criteria is not None or rule.actors is not None for rule in reading_of(consent, zone).rules)


def _superseding(consent: Json) -> list[str]:
    """Ids of the Consents that this one supersedes."""
    found = [
        one.get("valueReference") for one in objects(consent.get("extension")) or () if one.get("url") == SUPERSEDES
    ]
    literals = [bare(one.get("reference")) if isinstance(one, dict) else "" for one in found]
    return [literal.removeprefix("Consent/") for literal in literals]


def _followed(element: Any) -> Iterator[str]:
    """Whom anything in a Consent names."""
    if isinstance(element, dict):
        literal = bare(element.get("reference"))
        if literal.partition("/")[0] in _FOLLOWED:
            yield literal
    for part in element.values() if isinstance(element, dict) else element if isinstance(element, list) else ():
        yield from _followed(part)


def _digest(told: list[Any]) -> str:
    return hashlib.blake2b(orjson.dumps([VERSION, *told]), digest_size=16).hexdigest()
