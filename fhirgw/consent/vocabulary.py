"""The words consent is written in: sensitivity labels and families, confidentiality, purposes, code systems.

All of it is data (``tables/vocabulary.toml``); this module gives it as masks and sets.
See: the consent specification, §2.3 and §5.3.
"""

import tomllib
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

_TABLE = tomllib.loads((files("fhirgw.consent") / "tables" / "vocabulary.toml").read_text("utf-8"))
_LABELS = _TABLE["labels"]

VERSION: Final[str] = _TABLE["version"]

BITS: Final[dict[str, int]] = {name: 1 << entry["bit"] for name, entry in _LABELS.items()}
"""Label code to its bit."""

ALL_LABELS: Final[int] = sum(BITS.values())
MARK_BITS: Final = tuple(1 << bit for bit in range(*_TABLE["marks"]["bits"]))
"""Bits of the same mask that say what a patient's own rules single out (``marks.py``): no category."""
MARKS: Final[int] = sum(MARK_BITS)
UNREADABLE: Final[int] = BITS["UNREADABLE"]
"""What the labeller could not read: no permit covers it, whatever it lists."""
RESTRICTED: Final[int] = sum(BITS[name] for name, entry in _LABELS.items() if entry.get("restricted"))
"""Categories that raise confidentiality to R; uncleared free text carries them all."""
EXPLICIT: Final[int] = sum(BITS[name] for name, entry in _LABELS.items() if "explicit" in entry)
"""Categories that are released only where they are named."""
PSYCHOTHERAPY: Final[int] = BITS["PSYTHPN"]

LEVELS: Final[dict[str, int]] = {code: level for level, code in enumerate(_TABLE["confidentiality"]["levels"])}
NORMAL: Final[int] = LEVELS[_TABLE["confidentiality"]["default"]]
HIGH: Final[int] = LEVELS["R"]
HIGHEST: Final[int] = LEVELS["V"]

_ALIASES: Final[dict[str, str]] = _TABLE["aliases"]
_RETIRED: Final[dict[str, str]] = _TABLE["confidentiality"]["retired"]
_SYSTEMS: Final[dict[str, str]] = _TABLE["systems"]
_IGNORED_CODES: Final[frozenset[str]] = frozenset(_TABLE["ignored"]["act_code"])

CONFIDENTIALITY: Final = "http://terminology.hl7.org/codesystem/v3-confidentiality"
ACT_CODE: Final = "http://terminology.hl7.org/codesystem/v3-actcode"
ACT_REASON: Final = "http://terminology.hl7.org/codesystem/v3-actreason"
CONSENT_ACTION: Final = "http://terminology.hl7.org/codesystem/consentaction"
CONSENT_SCOPE: Final = "http://terminology.hl7.org/codesystem/consentscope"
RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"

RECIPIENT_ROLES: Final[frozenset[str]] = frozenset(_TABLE["roles"]["recipient"])
MEDICAL_PERSONNEL: Final[frozenset[str]] = frozenset(_TABLE["emergency"]["personnel"])
_PERSONNEL_CODES: Final[tuple[str, ...]] = tuple(_TABLE["emergency"]["taxonomy"])
RECIPIENT_CLASSES: Final[frozenset[str]] = frozenset(_TABLE["recipients"]["classes"])
AGENCIES: Final[frozenset[str]] = frozenset(_TABLE["emergency"]["agencies"])
INTERACTIVE_CHANNELS: Final[frozenset[str]] = frozenset(_TABLE["emergency"]["channels"])
TAXONOMY_LENGTH: Final = 10
DISCLOSER_ROLES: Final[frozenset[str]] = frozenset(_TABLE["roles"]["discloser"])


def is_medical(taxonomy: str) -> bool:
    """Whether a code of the NUCC Health Care Provider Taxonomy is one of medical personnel (42 CFR 2.51)."""
    return len(taxonomy) == TAXONOMY_LENGTH and taxonomy.isalnum() and taxonomy.startswith(_PERSONNEL_CODES)


def canonical_system(system: object) -> str:
    """One spelling of a code system's URI, for comparison only; '' when there is none.

    Trims, lower-cases, takes ``https`` for ``http``, mends a lost first letter, drops the trailing slash, and
    follows the alias table (OIDs, icd-10 for icd-10-cm, v3 systems of STU3).
    """
    return _canonical(system) if isinstance(system, str) else ""


@lru_cache(maxsize=4096)
def _canonical(system: str) -> str:
    name = system.strip().lower().rstrip("/")
    name = "h" + name if name.startswith(("ttp://", "ttps://")) else name
    name = "http://" + name[8:] if name.startswith("https://") else name
    return _SYSTEMS.get(name, name)


_IGNORED_SYSTEMS: Final[frozenset[str]] = frozenset(map(canonical_system, _TABLE["ignored"]["systems"]))


def label_bit(code: str) -> int | None:
    """The bit of a v3-ActCode sensitivity code, aliases followed; None for anything else."""
    name = _ALIASES.get(code, code)
    entry = _LABELS.get(name)
    return BITS[name] if entry is not None and not entry.get("internal") else None


def mask_of(codes: Iterable[str]) -> int:
    """The bits of those codes that are sensitivity codes."""
    mask = 0
    for code in codes:
        mask |= label_bit(code) or 0
    return mask


def names(mask: int) -> list[str]:
    """The codes of a mask, in the order of their bits."""
    return [name for name, bit in BITS.items() if mask & bit]


def security_label(system: object, code: object) -> tuple[int, int | None] | None:
    """What a security label says: (sensitivity bits, confidentiality level or None); None when unmappable."""
    where = canonical_system(system)
    if not isinstance(code, str):
        return None
    if where == CONFIDENTIALITY:
        if code in LEVELS:
            return 0, LEVELS[code]
        return (BITS[_RETIRED[code]], None) if code in _RETIRED else None
    if where == ACT_CODE:
        bit = label_bit(code)
        return (bit, None) if bit is not None else None
    return None


def says_nothing_sensitive(system: object, code: object) -> bool:
    """Whether a code in ``meta.security`` is an obligation, a refrain, a law or a tag: no category."""
    where = canonical_system(system)
    return where in _IGNORED_SYSTEMS or (where == ACT_CODE and code in _IGNORED_CODES)


def _ancestors(name: str) -> set[str]:
    parents = _LABELS[name].get("parents", [])
    return set(parents).union(*(_ancestors(parent) for parent in parents))


@cache
def covered_by(listed: int, *, explicit: bool) -> int:
    """The labels that a permit which lists these covers: they and what is below them.

    With ``explicit`` an explicit-only category is covered only by itself: BH does not name psychotherapy notes.
    """
    mask = listed
    for name, entry in _LABELS.items():
        for above in _ancestors(name):
            named = "explicit" not in entry or entry["explicit"] == _LABELS[above].get("explicit")
            if listed & BITS[above] and (named or not explicit):
                mask |= BITS[name]
    return mask & ~UNREADABLE


@cache
def reached_by(listed: int) -> int:
    """The labels that a deny which lists these hits: they, what is below, what is above, and what is near.

    What is above too, because a resource labelled with the wider category may be of the denied kind; and what
    could not be read, because it may be anything.
    """
    mask = covered_by(listed, explicit=False)
    for name, entry in _LABELS.items():
        if listed & BITS[name]:
            mask |= sum(BITS[other] for other in _ancestors(name) | set(entry.get("near", [])))
    return mask | UNREADABLE


def _parents_of(tree: dict[str, list[str]]) -> dict[str, str]:
    return {child: parent for parent, children in tree.items() for child in children}


_PURPOSE_PARENT: Final = _parents_of(_TABLE["purposes"])


def is_purpose(code: str) -> bool:
    """Whether v3-ActReason has this code at or below PurposeOfUse."""
    return code in _PURPOSE_PARENT or code == "PurposeOfUse"


def purpose_line(code: str) -> tuple[str, ...]:
    """The purpose and everything it is a kind of; empty when the code is unknown."""
    if not is_purpose(code):
        return ()
    line = [code]
    while (parent := _PURPOSE_PARENT.get(line[-1])) is not None:
        line.append(parent)
    return tuple(line)


def is_tpo(codes: Iterable[str]) -> bool:
    """Whether every purpose is treatment, payment or health care operations (45 CFR 164.506)."""
    return all(set(purpose_line(code)) & set(_TABLE["legal"]["tpo"]) for code in codes)


def own_authorization(code: str) -> frozenset[str]:
    """The codes of which a Consent must name one for this purpose; empty when any consent will do."""
    line = purpose_line(code)
    stop = next((at for at, name in enumerate(line) if name in _TABLE["legal"]["own_authorization"]), None)
    return frozenset() if stop is None else frozenset(line[: stop + 1])
