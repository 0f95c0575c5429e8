"""Code systems, identifier systems and the code maps of the HL7 v2 mappers: data, and the look-ups over it.

Sources: the concept maps of the HL7 v2-to-FHIR guide 1.0.0 (github.com/HL7/v2-to-fhir, commit 8c9b414, CC0-1.0),
table by table, transcribed; HL7 table 0396 (coding systems); US Core 6.1.0 for race, ethnicity and birth sex.
Where the guide's map is empty, the table's own code is kept (``http://terminology.hl7.org/CodeSystem/v2-NNNN``).
"""

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

Coding = dict[str, Any]

BASE = "http://fhirgw.org/fhir"
THO = "http://terminology.hl7.org/CodeSystem/"

ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
CDC_RACE = "urn:oid:2.16.840.1.113883.6.238"
NULL_FLAVOR = THO + "v3-NullFlavor"
ACT_CODE = THO + "v3-ActCode"
ROLE_CODE = THO + "v3-RoleCode"
PARTICIPATION = THO + "v3-ParticipationType"
CONFIDENTIALITY = THO + "v3-Confidentiality"
ROLE_CLASS = THO + "v3-RoleClass"
PHYSICAL_TYPE = THO + "location-physical-type"
COPAY_TYPE = THO + "coverage-copay-type"
COVERAGE_CLASS = THO + "coverage-class"
SUBSCRIBER_RELATIONSHIP = THO + "subscriber-relationship"
CONDITION_CATEGORY = THO + "condition-category"
CONDITION_VERIFICATION = THO + "condition-ver-status"
PROVENANCE_AGENT = THO + "provenance-participant-type"
LANGUAGE = "urn:ietf:bcp:47"

URI_IDENTIFIER = "urn:ietf:rfc:3986"
US_NPI = "http://hl7.org/fhir/sid/us-npi"
NUCC = "http://nucc.org/provider-taxonomy"

UCUM = "http://unitsofmeasure.org"
V2_FIELD = BASE + "/CodeSystem/v2-field"  # a field of HL7 v2 as the question that it asks: PV2-42
ENCOUNTER_COURTESY = {
    "system": THO + "v3-EncounterSpecialCourtesy",
    "code": "VIP",
    "display": "very important person",
}

ALTERNATE_CODES = "http://hl7.org/fhir/StructureDefinition/alternate-codes"
DATA_ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
MODE_OF_ARRIVAL = "http://hl7.org/fhir/StructureDefinition/encounter-modeOfArrival"
# R5's Encounter.plannedStartDate and plannedEndDate, as the guide carries them
PLANNED_START = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedStartDate"
PLANNED_END = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedEndDate"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
NAME_ASSEMBLY_ORDER = "http://hl7.org/fhir/StructureDefinition/humanname-assembly-order"
CENSUS_TRACT = "http://hl7.org/fhir/StructureDefinition/iso21090-ADXP-censusTract"
US_CORE_RACE = US_CORE + "us-core-race"
US_CORE_ETHNICITY = US_CORE + "us-core-ethnicity"
US_CORE_BIRTH_SEX = US_CORE + "us-core-birthsex"
US_CORE_GENDER_IDENTITY = US_CORE + "us-core-genderIdentity"
US_CORE_TRIBAL_AFFILIATION = US_CORE + "us-core-tribal-affiliation"
EXTENSION = "http://hl7.org/fhir/StructureDefinition/"
LOCAL_EXTENSION = BASE + "/StructureDefinition/"
INLINE_LABEL = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
GENDER_IDENTITY_LABEL = {"url": INLINE_LABEL, "valueCoding": {"system": ACT_CODE, "code": "GDIS"}}

# Table 0396 names (CWE-3, DG1-2), upper-cased, to FHIR systems. US feeds write plain ICD-10 for ICD-10-CM.
CODING_SYSTEMS: Mapping[str, str] = {
    **dict.fromkeys(("I10", "I10C", "ICD10", "ICD-10", "ICD10CM", "ICD-10-CM", "10"), ICD_10_CM),
    **dict.fromkeys(("I9", "I9C", "ICD9", "ICD-9", "ICD9CM", "ICD-9-CM"), "http://hl7.org/fhir/sid/icd-9-cm"),
    **dict.fromkeys(("SCT", "SNM", "SNOMED", "SNOMED-CT", "SNOMEDCT"), SNOMED),
    **dict.fromkeys(("LN", "LOINC"), LOINC),
    **dict.fromkeys(("CDCREC", "CDCRECNI"), CDC_RACE),
    **dict.fromkeys(("RXNORM", "RXN"), "http://www.nlm.nih.gov/research/umls/rxnorm"),
    **dict.fromkeys(("C4", "CPT", "CPT4", "CPT-4"), "http://www.ama-assn.org/go/cpt"),
    **dict.fromkeys(("I10P", "ICD10PCS", "ICD-10-PCS"), "http://www.cms.gov/Medicare/Coding/ICD10"),
    **dict.fromkeys(("HPC", "HCPCS", "HCPCSLEVEL2"), "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"),
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "UNII": "http://fdasis.nlm.nih.gov",
    "UCUM": UCUM,
    "NUBC": "https://www.nubc.org/CodeSystem/PatDischargeStatus",
    "NULLFL": NULL_FLAVOR,
    "ISO639": LANGUAGE,
}

# code -> (system, code, display); the guide's map of the table that the key names.
CodeMap = Mapping[str, tuple[str, str, str]]


def _same(table: str, displays: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """Codes that the guide maps to themselves, in the v2 code system of the table."""
    return {code: (f"{THO}v2-{table}", code, display) for code, display in displays.items()}


def _code_maps(data: dict[str, Any]) -> dict[str, CodeMap]:
    """HL7's own codes, and over them the maps."""
    maps: dict[str, CodeMap] = {table: _same(table, codes) for table, codes in data["tables"].items()}
    for table, rows in data["maps"].items():
        targets = {code: (system.replace("THO:", THO), to, display) for code, (system, to, display) in rows.items()}
        maps[table] = {**maps.get(table, {}), **targets}
    return maps


_DATA = tomllib.loads((files("fhirgw") / "tables" / "code_maps.toml").read_text("utf-8"))
CODE_MAPS: Mapping[str, CodeMap] = _code_maps(_DATA)
IDENTIFIER_TYPE: Mapping[str, str] = _DATA["identifier_types"]
LANGUAGES: Mapping[str, str] = {code: tag for tag, codes in _DATA["languages"].items() for code in (tag, *codes)}
# Tables whose codes are mapped by rule, and the system of their targets.
RULED: Mapping[str, str] = {"0296": LANGUAGE}

# Table 0717 (ARV-3): what restricts nothing, and the sensitivity (v3-ActCode) of what names a topic. Any other
# code, of the table (ALL, DEM, LOC, OO, PID-7, PID-17, SMD) or not, restricts.
NOT_RESTRICTING = frozenset({"NO", "OI"})
RESTRICTED_TOPIC: Mapping[str, str] = {"DRG": "SUD", "HIV": "HIV", "PSY": "PSY", "STD": "STD"}

# Tables of user-defined or externally kept codes (0112 is NUBC's in the US), for which the guide has no map: every
# code is the table's.
OPEN_TABLES = frozenset({"0023", "0050", "0068", "0072", "0086", "0112", "0171", "0172", "0212", "0295"})

UNNAMED_TABLES = OPEN_TABLES - {"0023", "0112"}
"""Tables whose codes are called what the sender calls them; to the digits of 0023 and 0112 NUBC and HL7 give other
words (docs/decisions/0100)."""

KEPT_BESIDE = frozenset({"0112"})
"""Tables whose codes stay beside their target: it says less."""

# Maps to a FHIR code of a required binding: code -> code.
ADMINISTRATIVE_SEX: Mapping[str, str] = {  # 0001, AdministrativeSex
    "A": "other",
    "F": "female",
    "M": "male",
    "N": "other",
    "O": "other",
    "U": "unknown",
}
# What the guide's next five maps leave empty is filled where FHIR's definition of the code says the same in words:
# NB "temporary names assigned at birth", NOUSE "no longer in use", S "pseudonym", ORN and VHN "at a home". A code
# without a target stays beside the element (``ALTERNATE_CODES``).
NAME_USE: Mapping[str, str] = {  # 0200, NameType
    "BAD": "old",
    "D": "usual",
    "L": "official",
    "M": "maiden",
    "MSK": "anonymous",
    "N": "nickname",
    "NAV": "temp",
    "NB": "temp",
    "NOUSE": "old",
    "R": "official",
    "S": "anonymous",
    "TEMP": "temp",
}
ADDRESS_USE: Mapping[str, str] = {  # 0190, AddressType[Use]
    "B": "work",
    "BA": "old",
    "BI": "billing",
    "C": "temp",
    "H": "home",
    "O": "work",
}
ADDRESS_TYPE: Mapping[str, str] = {"M": "postal", "SH": "postal"}  # 0190, AddressType[Type]
TELECOM_USE: Mapping[str, str] = {  # 0201, TelecommunicationUseCode
    "ORN": "home",
    "PRN": "home",
    "PRS": "mobile",
    "VHN": "home",
    "WPN": "work",
}
TELECOM_USE_SYSTEM: Mapping[str, str] = {"BPN": "pager", "NET": "email"}  # 0201, where XTN-3 is empty: the words
TELECOM_SYSTEM: Mapping[str, str] = {  # 0202, TelecommunicationEquipmentType; CP is a phone whose use is mobile
    "BP": "pager",
    "CP": "phone",
    "FX": "fax",
    "INTERNET": "email",
    "MD": "other",
    "PH": "phone",
    "SAT": "other",
    "TDD": "other",
    "TTY": "other",
    "X.400": "email",
}
# All codes of the tables of the five maps above, with or without a target.
TYPE_CODES: Mapping[str, frozenset[str]] = {
    table: frozenset(codes.split())
    for table, codes in (
        ("0190", "B BA BDL BI BR C F H HV L M N O P RH S SH TM V"),
        ("0200", "A B BAD C D F I K L M MSK N NAV NB NOUSE P R REL S T TEMP U"),
        ("0201", "ASN BPN EMR NET ORN PRN PRS VHN WPN"),
        ("0202", "BP CP FX INTERNET MD PH SAT TDD TTY X.400"),
    )
}
CLASS_STATUS: Mapping[str, str] = {
    "P": "planned",
    "U": "unknown",
}  # 0004, PatientClass[EncounterStatus]; else in-progress
VERIFICATION: Mapping[str, str] = {"F": "confirmed", "W": "provisional"}  # 0052, what the words themselves say

ALLERGEN_CATEGORY: Mapping[str, str] = {  # 0127, AllergenType[AllergyIntoleranceCategory]
    "AA": "biologic",
    "DA": "medication",
    "EA": "environment",
    "FA": "food",
    "LA": "environment",
    "PA": "environment",
}
ALLERGY_TYPE: Mapping[str, str] = dict.fromkeys(("AA", "DA", "EA", "FA", "LA", "MA", "PA"), "allergy")  # 0127
SENSITIVITY_TYPE: Mapping[str, str] = {"AL": "allergy", "IN": "intolerance"}  # 0436, what the words say
REACTION_SEVERITY: Mapping[str, str] = {"MI": "mild", "MO": "moderate", "SV": "severe"}  # 0128
ALLERGY_CRITICALITY: Mapping[str, str] = {"MI": "low", "SV": "high"}  # 0128
# 0438, what the words say: clinical and verification status
ALLERGY_STATUS: Mapping[str, tuple[str | None, str]] = {
    "C": ("active", "confirmed"),
    "D": ("active", "unconfirmed"),
    "E": (None, "entered-in-error"),
    "I": ("inactive", "confirmed"),
    "P": ("active", "unconfirmed"),
    "S": ("active", "unconfirmed"),
    "U": ("active", "unconfirmed"),
}
# 0085, ObservationResultStatusCodesInterpretation, and where the guide has no target what the words say: status,
# and why there is no value
OBSERVATION_STATUS: Mapping[str, tuple[str, str | None]] = {
    "": ("unknown", None),
    "A": ("amended", None),
    "B": ("amended", None),
    "C": ("corrected", None),
    "D": ("entered-in-error", None),
    "F": ("final", None),
    "I": ("registered", "temp-unknown"),
    "N": ("final", "not-asked"),
    "O": ("registered", "temp-unknown"),
    "P": ("preliminary", None),
    "R": ("preliminary", None),
    "S": ("preliminary", None),
    "U": ("final", None),
    "V": ("final", None),
    "W": ("entered-in-error", None),
    "X": ("cancelled", "unknown"),
}
VITAL_SIGNS = frozenset({  # FHIR R4 4.0.1, profile vitalsigns, and its LOINC codes
    "2708-6", "29463-7", "39156-5", "59408-5", "8287-5", "8302-2", "8310-5", "8462-4", "8480-6", "85353-1",
    "85354-9", "8867-4", "9279-1", "9843-4",
})  # fmt: skip

# US Core 6.1.0, OMB race and ethnicity categories (CDCREC); table 0005's suggested codes are the same.
OMB_RACE: Mapping[str, tuple[str, str]] = {
    "1002-5": (CDC_RACE, "American Indian or Alaska Native"),
    "2028-9": (CDC_RACE, "Asian"),
    "2054-5": (CDC_RACE, "Black or African American"),
    "2076-8": (CDC_RACE, "Native Hawaiian or Other Pacific Islander"),
    "2106-3": (CDC_RACE, "White"),
    "ASKU": (NULL_FLAVOR, "asked but unknown"),
    "UNK": (NULL_FLAVOR, "unknown"),
}
OMB_ETHNICITY: Mapping[str, tuple[str, str]] = {
    "2135-2": (CDC_RACE, "Hispanic or Latino"),
    "2186-5": (CDC_RACE, "Not Hispanic or Latino"),
    "ASKU": (NULL_FLAVOR, "asked but unknown"),
    "UNK": (NULL_FLAVOR, "unknown"),
}
ETHNIC_GROUP: Mapping[str, str] = {"H": "2135-2", "N": "2186-5", "U": "UNK"}  # 0189

_ICD_10 = re.compile(r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?", re.IGNORECASE)
_REGION = re.compile(r"[A-Za-z]{2}|\d{3}", re.ASCII)
_SPACE = re.compile(r"\s")
_HL7_TABLE = re.compile(r"HL7(?:0|-)?(\d{4})", re.IGNORECASE | re.ASCII)


@lru_cache(maxsize=1024)  # the paths are names of senders and of their authorities
def sid(*path: str) -> str:
    """An identifier system of ours, for identifiers whose scope is a sender: no registry names it."""
    return f"{BASE}/sid/" + "/".join(quote(part, safe="") for part in path)


def local_code_system(sender: str, name: str) -> str:
    """The code system of a sender's own codes: a table number, or the name it gives in CWE-3."""
    return f"{BASE}/CodeSystem/{quote(f'{sender}-{name}'.lower(), safe='')}"


def coding_system(name: str) -> str | None:
    """The FHIR system that a CWE-3 or DG1-2 names; None when it is none of table 0396's that we know."""
    known = CODING_SYSTEMS.get(name.upper())
    if known:
        return known
    table = _HL7_TABLE.fullmatch(name)
    if table:
        return f"{THO}v2-{table[1]}"
    return name if name.startswith(("http://", "https://", "urn:")) and not _SPACE.search(name) else None


def table_coding(table: str, code: str) -> Coding | None:
    """The FHIR coding of an HL7 table's code, after the guide's map; None when the table has no such code."""
    mapped = CODE_MAPS.get(table, {}).get(code)
    if mapped:
        return {"system": mapped[0], "code": mapped[1], "display": mapped[2]}
    if table in OPEN_TABLES:
        return {"system": f"{THO}v2-{table}", "code": code}
    return language_coding(code) if table == "0296" else None


def language_coding(code: str) -> Coding | None:
    """The BCP 47 tag of an ISO 639 code, with the region that a locale's name (``en_US``) adds."""
    language, _, region = code.replace("_", "-").partition("-")
    tag = LANGUAGES.get(language.lower())
    if tag is None or not (region == "" or _REGION.fullmatch(region)):
        return None
    return {"system": LANGUAGE, "code": f"{tag}-{region.upper()}" if region else tag}


CASE_MANAGER = {"coding": [{"system": SNOMED, "code": "768832004", "display": "Case manager"}]}
"""The role of IN3-21 (v2-to-FHIR, IN3[CareTeam])."""


def unknown() -> dict[str, Any]:
    """An element that must be there, and of which the sender says nothing."""
    return {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}


def looks_like_icd_10(code: str) -> bool:
    """Whether a code that names no system has the shape of ICD-10-CM."""
    return _ICD_10.fullmatch(code) is not None


def icd_10_cm(code: str) -> str:
    """The code as the classification prints it: upper case, a point after the third character."""
    bare = code.upper().replace(".", "")
    return bare if len(bare) <= 3 else f"{bare[:3]}.{bare[3:]}"
