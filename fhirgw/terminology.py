"""Code systems, identifier systems and the code maps of the HL7 v2 mappers: data, and the look-ups over it.

Sources: the concept maps of the HL7 v2-to-FHIR guide 1.0.0 (github.com/HL7/v2-to-fhir, commit 8c9b414, CC0-1.0),
table by table, transcribed; HL7 table 0396 (coding systems); US Core 6.1.0 for race, ethnicity and birth sex.
Where the guide's map is empty, the table's own code is kept (``http://terminology.hl7.org/CodeSystem/v2-NNNN``).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
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
MARITAL = THO + "v3-MaritalStatus"
PARTICIPATION = THO + "v3-ParticipationType"
CONFIDENTIALITY = THO + "v3-Confidentiality"
PHYSICAL_TYPE = THO + "location-physical-type"
SERVICE_TYPE = THO + "service-type"
DIAGNOSIS_ROLE = THO + "diagnosis-role"
CONDITION_CATEGORY = THO + "condition-category"
CONDITION_VERIFICATION = THO + "condition-ver-status"
PROVENANCE_AGENT = THO + "provenance-participant-type"
LANGUAGE = "urn:ietf:bcp:47"

URI_IDENTIFIER = "urn:ietf:rfc:3986"
US_NPI = "http://hl7.org/fhir/sid/us-npi"

ALTERNATE_CODES = "http://hl7.org/fhir/StructureDefinition/alternate-codes"
BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
US_CORE_RACE = US_CORE + "us-core-race"
US_CORE_ETHNICITY = US_CORE + "us-core-ethnicity"
US_CORE_BIRTH_SEX = US_CORE + "us-core-birthsex"

# Table 0396 names (CWE-3, DG1-2), upper-cased, to FHIR systems. US feeds write plain ICD-10 for ICD-10-CM.
CODING_SYSTEMS: Mapping[str, str] = {
    **dict.fromkeys(("I10", "I10C", "ICD10", "ICD-10", "ICD10CM", "ICD-10-CM", "10"), ICD_10_CM),
    **dict.fromkeys(("I9", "I9C", "ICD9", "ICD-9", "ICD9CM", "ICD-9-CM"), "http://hl7.org/fhir/sid/icd-9-cm"),
    **dict.fromkeys(("SCT", "SNM", "SNOMED", "SNOMED-CT", "SNOMEDCT"), SNOMED),
    **dict.fromkeys(("LN", "LOINC"), LOINC),
    **dict.fromkeys(("CDCREC", "CDCRECNI"), CDC_RACE),
    **dict.fromkeys(("RXNORM", "RXN"), "http://www.nlm.nih.gov/research/umls/rxnorm"),
    **dict.fromkeys(("C4", "CPT", "CPT4", "CPT-4"), "http://www.ama-assn.org/go/cpt"),
    "NUBC": "https://www.nubc.org/CodeSystem/PatDischargeStatus",
    "NULLFL": NULL_FLAVOR,
    "ISO639": LANGUAGE,
}

# code -> (system, code, display); the guide's map of the table that the key names.
CodeMap = Mapping[str, tuple[str, str, str]]


def _same(table: str, displays: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """Codes that the guide maps to themselves, in the v2 code system of the table."""
    return {code: (f"{THO}v2-{table}", code, display) for code, display in displays.items()}


# The guide's PatientClass[EncounterClass]
_PATIENT_CLASS = _same(
    "0004",
    {"R": "Recurring patient", "B": "Obstetrics", "C": "Commercial Account", "N": "Not Applicable", "U": "Unknown"},
) | {
    "E": (ACT_CODE, "EMER", "emergency"),
    "I": (ACT_CODE, "IMP", "inpatient encounter"),
    "O": (ACT_CODE, "AMB", "ambulatory"),
    "P": (ACT_CODE, "PRENC", "pre-admission"),
}

# MaritalStatus
_MARITAL_STATUS = {
    "A": (MARITAL, "L", "Legally Separated"),
    "B": (MARITAL, "U", "unmarried"),
    "C": (MARITAL, "C", "Common Law"),
    "D": (MARITAL, "D", "Divorced"),
    "E": (MARITAL, "L", "Legally Separated"),
    "G": (MARITAL, "T", "Domestic partner"),
    "I": (MARITAL, "I", "Interlocutory"),
    "M": (MARITAL, "M", "Married"),
    "N": (MARITAL, "A", "Annulled"),
    "P": (MARITAL, "T", "Domestic partner"),
    "R": (MARITAL, "T", "Domestic partner"),
    "S": (MARITAL, "S", "Never Married"),
    "W": (MARITAL, "W", "Widowed"),
    "O": (NULL_FLAVOR, "OTH", "other"),
    "T": (NULL_FLAVOR, "NAVU", "Not available"),
    "U": (NULL_FLAVOR, "UNK", "unknown"),
}

# AdmissionType
_ADMISSION_TYPE = _same(
    "0007",
    {
        "A": "Accident",
        "C": "Elective",
        "E": "Emergency",
        "L": "Labor and Delivery",
        "N": "Newborn (Birth in healthcare facility)",
        "R": "Routine",
        "U": "Urgent",
    },
)

# DiagnosisType; the guide has no target for W and F, so their own coding stays
_DIAGNOSIS_TYPE = _same("0052", {"W": "Working", "F": "Final"}) | {
    "A": (DIAGNOSIS_ROLE, "AD", "Admission diagnosis"),
}

# Relationship
_RELATIONSHIP = (
    _same(
        "0063",
        {
            "ASC": "Associate",
            "CGV": "Care giver",
            "DEP": "Handicapped dependent",
            "EME": "Employee",
            "GRD": "Guardian",
            "MGR": "Manager",
            "NON": "None",
            "OAD": "Other adult",
            "OWN": "Owner",
            "TRA": "Trainer",
            "WRD": "Ward of court",
        },
    )
    | {
        "EMC": (f"{THO}v2-0131", "C", "Emergency Contact"),
        "EMR": (f"{THO}v2-0131", "E", "Employer"),
        "OTH": (f"{THO}v2-0131", "O", "Other"),
        "UNK": (f"{THO}v2-0131", "U", "Unknown"),
    }
    | {
        code: (ROLE_CODE, target, display)
        for code, target, display in (
            ("BRO", "BRO", "brother"),
            ("CHD", "CHILD", "child"),
            ("DOM", "SIGOTHR", "significant other"),
            ("EXF", "EXT", "extended family member"),
            ("FCH", "CHLDFOST", "foster child"),
            ("FND", "FRND", "unrelated friend"),
            ("FTH", "FTH", "father"),
            ("GCH", "GRNDCHILD", "grandchild"),
            ("GRP", "GRPRN", "grandparent"),
            ("MTH", "MTH", "mother"),
            ("NCH", "NCHILD", "natural child"),
            ("PAR", "PRN", "parent"),
            ("SCH", "STPCHLD", "step child"),
            ("SEL", "ONESELF", "self"),
            ("SIB", "SIB", "sibling"),
            ("SIS", "SIS", "sister"),
            ("SPO", "SPS", "spouse"),
        )
    }
)

# ContactRole
_CONTACT_ROLE = _same(
    "0131",
    {
        "C": "Emergency Contact",
        "E": "Employer",
        "F": "Federal Agency",
        "I": "Insurance Company",
        "N": "Next-of-Kin",
        "O": "Other",
        "S": "State Agency",
        "U": "Unknown",
    },
)

# HospitalService
_HOSPITAL_SERVICE = _same(
    "0069", {"CAR": "Cardiac Service", "PUL": "Pulmonary Service", "SUR": "Surgical Service"}
) | {
    "MED": (SERVICE_TYPE, "382", "Medical Services"),
    "URO": (SERVICE_TYPE, "222", "Urology"),
}

CODE_MAPS: Mapping[str, CodeMap] = {
    "0002": _MARITAL_STATUS,
    "0004": _PATIENT_CLASS,
    "0007": _ADMISSION_TYPE,
    "0052": _DIAGNOSIS_TYPE,
    "0063": _RELATIONSHIP,
    "0069": _HOSPITAL_SERVICE,
    "0092": _same("0092", {"R": "Re-admission"}),
    "0131": _CONTACT_ROLE,
}

# Tables of user-defined or externally kept codes (0112 is NUBC's in the US), for which the guide has no map: every
# code is the table's.
OPEN_TABLES = frozenset({"0023", "0112", "0296"})

# Maps to a FHIR code of a required binding: code -> code.
ADMINISTRATIVE_SEX: Mapping[str, str] = {  # 0001, AdministrativeSex
    "A": "other",
    "F": "female",
    "M": "male",
    "N": "other",
    "O": "other",
    "U": "unknown",
}
NAME_USE: Mapping[str, str] = {  # 0200, NameType
    "BAD": "old",
    "D": "usual",
    "L": "official",
    "M": "maiden",
    "MSK": "anonymous",
    "N": "nickname",
    "NAV": "temp",
    "R": "official",
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
TELECOM_USE: Mapping[str, str] = {"PRN": "home", "PRS": "mobile", "WPN": "work"}  # 0201, TelecommunicationUseCode
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
CLASS_STATUS: Mapping[str, str] = {
    "P": "planned",
    "U": "unknown",
}  # 0004, PatientClass[EncounterStatus]; else in-progress
VERIFICATION: Mapping[str, str] = {"F": "confirmed", "W": "provisional"}  # 0052, what the words themselves say

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

# IdentifierType (0203): the codes a person, visit or practitioner carries; any other keeps its code.
IDENTIFIER_TYPE: Mapping[str, str] = {
    "AN": "Account number",
    "DL": "Driver's license number",
    "HC": "Health Card Number",
    "JHN": "Jurisdictional health number (Canada)",
    "MA": "Patient Medicaid number",
    "MB": "Member Number",
    "MC": "Patient's Medicare number",
    "MR": "Medical record number",
    "NPI": "National provider identifier",
    "PI": "Patient internal identifier",
    "PT": "Patient external identifier",
    "SN": "Subscriber Number",
    "SS": "Social Security number",
    "VN": "Visit number",
}

_ICD_10 = re.compile(r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?", re.IGNORECASE)
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
    return name if name.startswith(("http://", "https://", "urn:")) else None


def table_coding(table: str, code: str) -> Coding | None:
    """The FHIR coding of an HL7 table's code, after the guide's map; None when the table has no such code."""
    mapped = CODE_MAPS.get(table, {}).get(code)
    if mapped:
        return {"system": mapped[0], "code": mapped[1], "display": mapped[2]}
    if table in OPEN_TABLES:
        return {"system": f"{THO}v2-{table}", "code": code}
    return None


def looks_like_icd_10(code: str) -> bool:
    """Whether a code that names no system has the shape of ICD-10-CM."""
    return _ICD_10.fullmatch(code) is not None


def icd_10_cm(code: str) -> str:
    """The code as the classification prints it: upper case, a point after the third character."""
    bare = code.upper().replace(".", "")
    return bare if len(bare) <= 3 else f"{bare[:3]}.{bare[3:]}"
