"""Which codes are sensitive: ICD-10-CM and what ADT messages carry by prefix, everything else by exact code.

See: the consent specification §5.4 and §5.5; sources and licences are in the tables.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from fhirgw.consent.vocabulary import BITS, UNREADABLE, canonical_system

_TABLES = files("fhirgw.consent") / "tables"
_ICD10 = tomllib.loads((_TABLES / "icd10cm.toml").read_text("utf-8"))
_OTHER = tomllib.loads((_TABLES / "prefixes.toml").read_text("utf-8"))
_EXACT = json.loads((_TABLES / "codes.json").read_text("utf-8"))

VERSIONS: Final[tuple[str, ...]] = (_ICD10["version"], _EXACT["version"], _OTHER.pop("version"))

_ICD10_SYSTEM: Final = "http://hl7.org/fhir/sid/icd-10-cm"
_ICD_SYSTEMS: Final = frozenset({_ICD10_SYSTEM, "http://hl7.org/fhir/sid/icd-9-cm"})
DOCUMENT_TYPE_SYSTEMS: Final = frozenset({"http://loinc.org", "http://snomed.info/sct"})
_LOOKS_LIKE_ICD10: Final = re.compile(r"[A-Z]\d[0-9A-Z]{1,5}")
_SPREADSHEET_DAMAGE: Final = re.compile(r"\d+E\+\d+")  # 1.09399E+16, the dot dropped
# Systems whose codes are not ICD-10-CM, however they look; any other system is a sender's own.
_PUBLISHED: Final = ("http://terminology.hl7.org/", "http://hl7.org/", "http://unitsofmeasure.org", "urn:ietf:",
                     "http://fhirgw.org/fhir/codesystem/icm-", "http://fhirgw.org/fhir/codesystem/v2-field",
                     "http://nucc.org", "http://loinc.org", "http://snomed.info",
                     "http://www.nlm.nih.gov/", "http://www.cms.gov/", "http://www.ama-assn.org")  # fmt: skip


def _prefixes() -> dict[str, int]:
    table: dict[str, int] = {}
    for row in _ICD10["prefixes"]:
        for prefix in [*row["seen"], *row["general_knowledge"]]:
            table[prefix] = table.get(prefix, 0) | BITS[row["label"]]
    return table


def _exact() -> dict[tuple[str, str], int]:
    table: dict[tuple[str, str], int] = {}
    for name, systems in _EXACT["labels"].items():
        for system, codes in systems.items():
            for code in codes:
                key = (canonical_system(system), code)
                table[key] = table.get(key, 0) | BITS[name]
    return table


def _by_system() -> dict[str, dict[str, int]]:
    tables: dict[str, dict[str, int]] = {}
    for system, rows in _OTHER.items():
        table = tables.setdefault(canonical_system(system), {})
        for row in rows:
            for prefix in row["prefixes"]:
                table[prefix] = table.get(prefix, 0) | BITS[row["label"]]
    return tables


_PREFIX: Final = _prefixes()
_SYSTEM_PREFIX: Final = _by_system()
_CODE: Final = _exact()


def normalise(code: str) -> str:
    """Trimmed, upper case, without dots: ``"f10.159 "`` and ``F10159`` are one code."""
    return code.strip().upper().replace(".", "")


def labels_of(system: object, code: object) -> int:
    """The sensitivity bits of one coding; UNREADABLE for a code that a spreadsheet has damaged.

    A code without a system, or of a sender's own system, that looks like ICD-10-CM is read as ICD-10-CM.
    """
    if not isinstance(code, str):
        return 0
    where, what = canonical_system(system), normalise(code)
    if _SPREADSHEET_DAMAGE.fullmatch(what):
        return UNREADABLE
    bits = _CODE.get((where, what), 0)
    if where == _ICD10_SYSTEM or (not where.startswith(_PUBLISHED) and _LOOKS_LIKE_ICD10.fullmatch(what)):
        for length in range(2, len(what) + 1):
            bits |= _PREFIX.get(what[:length], 0)
    table = _SYSTEM_PREFIX.get(where)
    if table:
        for length in range(1, len(what) + 1):
            bits |= table.get(what[:length], 0)
    return bits


def comparable(coding: Mapping[str, object]) -> tuple[str, str] | None:
    """(canonical system, code) for comparison; None without a code, or with one that a spreadsheet has damaged."""
    code = coding.get("code")
    if not isinstance(code, str) or not code.strip() or _SPREADSHEET_DAMAGE.fullmatch(normalise(code)):
        return None
    system = canonical_system(coding.get("system"))
    return system, normalise(code) if system in _ICD_SYSTEMS else code.strip()


def are_near(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two codes of ICD (each as ``comparable`` gives it) are one below the other."""
    (system, code), (where, what) = one, other
    return system == where and system in _ICD_SYSTEMS and (code.startswith(what) or what.startswith(code))


def is_mappable(system: str, code: str) -> bool:
    """Whether a Consent that names this coding can be enforced: a published code system, and no value set."""
    return "/valueset/" not in system and (system == _ICD10_SYSTEM or system.startswith(_PUBLISHED)) and bool(code)


def is_judged(system: object, code: object) -> bool:
    """Whether the tables know the code system (ICD-10-CM by its look); else its codes are a sender's own words."""
    where = canonical_system(system)
    looks = isinstance(code, str) and _LOOKS_LIKE_ICD10.fullmatch(normalise(code)) is not None
    return where == _ICD10_SYSTEM or where.startswith(_PUBLISHED) or looks


def is_known(system: object, code: str) -> bool:
    """Whether the exact tables have judged this code."""
    return (canonical_system(system), normalise(code)) in _CODE
