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
MARITAL = THO + "v3-MaritalStatus"
PARTICIPATION = THO + "v3-ParticipationType"
CONFIDENTIALITY = THO + "v3-Confidentiality"
RELIGIOUS_AFFILIATION = THO + "v3-ReligiousAffiliation"
ROLE_CLASS = THO + "v3-RoleClass"
PHYSICAL_TYPE = THO + "location-physical-type"
COPAY_TYPE = THO + "coverage-copay-type"
COVERAGE_CLASS = THO + "coverage-class"
SUBSCRIBER_RELATIONSHIP = THO + "subscriber-relationship"
SERVICE_TYPE = THO + "service-type"
DIAGNOSIS_ROLE = THO + "diagnosis-role"
CONDITION_CATEGORY = THO + "condition-category"
CONDITION_VERIFICATION = THO + "condition-ver-status"
PROVENANCE_AGENT = THO + "provenance-participant-type"
LANGUAGE = "urn:ietf:bcp:47"

INLINE_LABEL = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
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
LOCATION_CLASSIFICATION = "http://hl7.org/fhir/StructureDefinition/subject-locationClassification"
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


# The guide's PatientClass[EncounterClass]
_PATIENT_CLASS = (
    _same(
        "0004",
        {
            "R": "Recurring patient",
            "B": "Obstetrics",
            "C": "Commercial Account",
            "N": "Not Applicable",
            "U": "Unknown",
        },
    )
    | {
        "E": (ACT_CODE, "EMER", "emergency"),
        "I": (ACT_CODE, "IMP", "inpatient encounter"),
        "O": (ACT_CODE, "AMB", "ambulatory"),
        "P": (ACT_CODE, "PRENC", "pre-admission"),
    }
    | {  # targets without a code of the table: a sender's own code is registered as one of them
        code: (ACT_CODE, code, display)
        for code, display in (
            ("ACUTE", "inpatient acute"),
            ("FLD", "field"),
            ("HH", "home health"),
            ("NONAC", "inpatient non-acute"),
            ("OBSENC", "observation encounter"),
            ("SS", "short stay"),
            ("VR", "virtual"),
        )
    }
)

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

# ContactRole; BP, CP, EP and PR, of which the guide says nothing, are their own target (v2.6)
_CONTACT_ROLE = _same(
    "0131",
    {
        "BP": "Billing contact person",
        "C": "Emergency Contact",
        "CP": "Contact person",
        "E": "Employer",
        "EP": "Emergency contact person",
        "F": "Federal Agency",
        "I": "Insurance Company",
        "N": "Next-of-Kin",
        "O": "Other",
        "PR": "Person preparing referral",
        "S": "State Agency",
        "U": "Unknown",
    },
)

# Religion; what the guide has no target for keeps its own coding
_RELIGION = _same(
    "0006",
    {
        "C": "Catholic",
        "BUD": "Buddhist",
        "BTA": "Buddhist: Tantrayana",
        "BOT": "Buddhist: Other",
        "CFR": "Chinese Folk Religionist",
        "ABC": "Christian: American Baptist Church",
        "AMT": "Christian: African Methodist Episcopal",
        "AME": "Christian: African Methodist Episcopal Zion",
        "CMA": "Christian: Christian Missionary Alliance",
        "COI": "Christian: Church of God in Christ",
        "COM": "Christian: Community",
        "EVC": "Christian: Evangelical Church",
        "FWB": "Christian: Free Will Baptist",
        "GRE": "Christian: Greek Orthodox",
        "LMS": "Christian: Lutheran Missouri Synod",
        "MEN": "Christian: Mennonite",
        "COP": "Christian: Other Pentecostal",
        "REO": "Christian: Reorganized Church of Jesus Christ-LDS",
        "SOU": "Christian: Southern Baptist",
        "UMD": "Christian: United Methodist",
        "WES": "Christian: Wesleyan",
        "WMC": "Christian: Wesleyan Methodist",
        "COT": "Christian: Other",
        "ERL": "Ethnic Religionist",
        "HIN": "Hindu",
        "JEW": "Jewish",
        "JCO": "Jewish: Conservative",
        "JOR": "Jewish: Orthodox",
        "JRC": "Jewish: Reconstructionist",
        "JRF": "Jewish: Reform",
        "JRN": "Jewish: Renewal",
        "JOT": "Jewish: Other",
        "MOT": "Muslim: Other",
        "NRL": "New Religionist",
        "NOE": "Nonreligious",
        "OTH": "Other",
        "VAR": "Unknown",
    },
) | {
    code: (RELIGIOUS_AFFILIATION, target, display)
    for code, target, display in (
        ("A", "1007", "Atheism"),
        ("B", "1009", "Baptist"),
        ("E", "1069", "Episcopalian"),
        ("J", "1026", "Judaism"),
        ("L", "1028", "Lutheran"),
        ("M", "1027", "Latter Day Saints"),
        ("N", "1020", "Hinduism"),
        ("P", "1077", "Protestant"),
        ("AGN", "1004", "Agnosticism"),
        ("ATH", "1007", "Atheism"),
        ("BAH", "1008", "Babi & Baha'I faiths"),
        ("BRE", "1062", "Brethren"),
        ("BMA", "1029", "Mahayana"),
        ("BTH", "1051", "Theravada"),
        ("CHR", "1013", "Christian (non-Catholic, non-specific)"),
        ("ANG", "1005", "Anglican"),
        ("AOG", "1061", "Assembly of God"),
        ("BAP", "1009", "Baptist"),
        ("CRR", "1079", "Reformed"),
        ("CHS", "1063", "Christian Scientist"),
        ("COC", "1064", "Church of Christ"),
        ("COG", "1065", "Church of God"),
        ("COL", "1066", "Congregational"),
        ("EOT", "1068", "Eastern Orthodox"),
        ("EPI", "1069", "Episcopalian"),
        ("FRQ", "1071", "Friends"),
        ("FUL", "1072", "Full Gospel"),
        ("JWN", "1025", "Jehovah's Witnesses"),
        ("MOM", "1027", "Latter Day Saints"),
        ("LUT", "1028", "Lutheran"),
        ("MET", "1073", "Methodist"),
        ("NAZ", "1075", "Nazarene"),
        ("ORT", "1036", "Orthodox"),
        ("PEN", "1038", "Pentecostal"),
        ("PRE", "1076", "Presbyterian"),
        ("PRO", "1077", "Protestant"),
        ("PRC", "1078", "Protestant, No Denomination"),
        ("QUA", "1071", "Friends"),
        ("REC", "1079", "Reformed"),
        ("CAT", "1041", "Roman Catholic Church"),
        ("SAA", "1080", "Salvation Army"),
        ("SEV", "1001", "Adventist"),
        ("UCC", "1082", "United Church of Christ"),
        ("UNI", "1052", "Unitarian-Universalism"),
        ("UNU", "1081", "Unitarian Universalist"),
        ("CNF", "1014", "Confucianism"),
        ("DOC", "1067", "Disciples of Christ"),
        ("HSH", "1020", "Hinduism"),
        ("HVA", "1020", "Hinduism"),
        ("HOT", "1020", "Hinduism"),
        ("JAI", "1024", "Jainism"),
        ("MOS", "1023", "Islam"),
        ("MSH", "1045", "Shiite (Islam)"),
        ("MSU", "1049", "Sunni (Islam)"),
        ("NAM", "1074", "Native American"),
        ("SHN", "1046", "Shinto"),
        ("SIK", "1047", "Sikism"),
        ("SPI", "1048", "Spiritualism"),
    )
}

# ProviderRole (ROL-3); what the guide has no target for keeps its own coding
_PROVIDER_ROLE = _same(
    "0443",
    {
        "AP": "Administering Provider",
        "CLP": "Collecting Provider",
        "DP": "Dispensing Provider",
        "EP": "Entering Provider",
        "FHCP": "Family Health Care Professional",
        "IP": "Initiating Provider",
        "MDIR": "Medical Director",
        "OP": "Ordering Provider",
        "PH": "Pharmacist",
        "RO": "Responsible Observer",
        "RT": "Referred to Provider",
        "TR": "Transcriptionist",
        "AI": "Assistant/Alternate Interpreter",
        "TN": "Technician",
        "VP": "Verifying Provider",
        "VPS": "Verifying Pharmaceutical Supplier",
        "VTS": "Verifying Treatment Supplier",
    },
) | {
    "AD": (PARTICIPATION, "ADM", "admitter"),
    "AT": (PARTICIPATION, "ATND", "attender"),
    "CP": (PARTICIPATION, "CON", "consultant"),
    "PP": (SNOMED, "446050000", "PCP - Primary care physician"),
    "RP": (PARTICIPATION, "REF", "referrer"),
    "PI": (SNOMED, "40570005", "Interpreter"),
}

# Participation (PRT-4); the guide has a target for the pharmacist alone
_PARTICIPATION = _same(
    "0912",
    {
        "AAP": "Alert Acknowledging Provider",
        "AC": "Administration Cosigner",
        "AD": "Admitting Provider",
        "AI": "Assistant/Alternate Interpreter",
        "AP": "Administering Provider",
        "ARI": "Assistant Result Interpreter",
        "AT": "Attending Provider",
        "AUT": "Author/Event Initiator",
        "CP": "Consulting Provider",
        "DP": "Dispensing Provider",
        "EP": "Entering Person",
        "EQUIP": "Equipment",
        "FHCP": "Family Health Care Professional",
        "MDIR": "Medical Director",
        "OP": "Ordering Provider",
        "OS": "Outside Site(s) Where Observation May Be Performed",
        "PB": "Packed by",
        "PI": "Primary Interpreter",
        "PO": "Performing Organization",
        "POMD": "Performing Organization Medical Director",
        "PP": "Primary Care Provider",
        "PRI": "Principal Result Interpreter",
        "RCT": "Results Copies To",
        "RO": "Responsible Observer",
        "RP": "Referring Provider",
        "RT": "Referred to Provider",
        "SB": "Send by",
        "SC": "Specimen Collector",
        "TN": "Technician",
        "TR": "Transcriptionist",
        "VP": "Verifier (Verifying Person)",
        "VPS": "Verifying Pharmaceutical Supplier",
        "VTS": "Verifying Treatment Supplier",
        "WAY": "Waypoint",
        "WAYR": "Waypoint Recipient",
    },
) | {"PH": (THO + "practitioner-role", "pharmacist", "Pharmacist")}

# LivingWillCode
_LIVING_WILL = _same(
    "0315",
    {
        "Y": "Yes, patient has a living will",
        "F": "Yes, patient has a living will but it is not on file",
        "N": "No, patient does not have a living will and no information was provided",
        "I": "No, patient does not have a living will but information was provided",
        "U": "Unknown",
    },
)

# What the guide has no map for (v2.5.1 to v2.8.2, tables of that number): each code is its own target.
_COORDINATION_OF_BENEFITS = _same("0173", {"CO": "Coordination", "IN": "Independent"})
_COVERAGE_TYPE = _same(
    "0309",
    {
        "B": "Both hospital and physician",
        "H": "Hospital/institutional",
        "M": "Medical insurance",
        "P": "Physician/professional",
        "RX": "Prescription insurance",
    },
)
_IDENTITY_RELIABILITY = _same(
    "0445",
    {
        "AL": "Patient/Person Name is an Alias",
        "UA": "Unknown/Default Address",
        "UD": "Unknown/Default Date of Birth",
        "US": "Unknown/Default Social Security Number",
    },
)

# HospitalService
_HOSPITAL_SERVICE = _same(
    "0069", {"CAR": "Cardiac Service", "PUL": "Pulmonary Service", "SUR": "Surgical Service"}
) | {
    "MED": (SERVICE_TYPE, "382", "Medical Services"),
    "URO": (SERVICE_TYPE, "222", "Urology"),
}


def _clinical() -> dict[str, dict[str, tuple[str, str, str]]]:
    """The tables of ``tables/clinical.toml``: HL7's own codes, and over them the maps."""
    data = tomllib.loads((files("fhirgw") / "tables" / "clinical.toml").read_text("utf-8"))
    maps = {table: _same(table, codes) for table, codes in data["tables"].items()}
    for table, rows in data["maps"].items():
        targets = {code: (system.replace("THO:", THO), to, display) for code, (system, to, display) in rows.items()}
        maps[table] = maps.get(table, {}) | targets
    return maps


CODE_MAPS: Mapping[str, CodeMap] = _clinical() | {
    "0002": _MARITAL_STATUS,
    "0004": _PATIENT_CLASS,
    "0006": _RELIGION,
    "0007": _ADMISSION_TYPE,
    "0052": _DIAGNOSIS_TYPE,
    "0063": _RELATIONSHIP,
    "0069": _HOSPITAL_SERVICE,
    "0092": _same("0092", {"R": "Re-admission"}),
    "0131": _CONTACT_ROLE,
    "0173": _COORDINATION_OF_BENEFITS,
    "0309": _COVERAGE_TYPE,
    "0315": _LIVING_WILL,
    "0443": _PROVIDER_ROLE,
    "0445": _IDENTITY_RELIABILITY,
    "0912": _PARTICIPATION,
}

# 0296 is user-defined and the guide's PrimaryLanguage is empty: ISO 639-1 and 639-2 (what feeds send) to BCP 47,
# whose subtag is the two-letter code where there is one (RFC 5646, 2.2.1). The last line: languages without one.
_LANGUAGES = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bi:bis
bm:bam bn:ben bo:tib,bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:cze,ces cu:chu cv:chv cy:wel,cym
da:dan de:ger,deu dv:div dz:dzo ee:ewe el:gre,ell en:eng eo:epo es:spa et:est eu:baq,eus fa:per,fas ff:ful fi:fin
fj:fij fo:fao fr:fre,fra fy:fry ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat
hu:hun hy:arm,hye hz:her ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:ice,isl it:ita iu:iku ja:jpn jv:jav
ka:geo,kat kg:kon ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor ky:kir la:lat
lb:ltz lg:lug li:lim ln:lin lo:lao lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mao,mri mk:mac,mkd ml:mal mn:mon mr:mar
ms:may,msa mt:mlt my:bur,mya na:nau nb:nob nd:nde ne:nep ng:ndo nl:dut,nld nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci
oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol ps:pus pt:por qu:que rm:roh rn:run ro:rum,ron ru:rus rw:kin sa:san
sc:srd sd:snd se:sme sg:sag si:sin sk:slo,slk sl:slv sm:smo sn:sna so:som sq:alb,sqi sr:srp ss:ssw st:sot su:sun
sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah
ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho yi:yid yo:yor za:zha zh:chi,zho zu:zul
ase cmn fil hmn kar mul sgn und yue
"""
LANGUAGES: Mapping[str, str] = {
    code: tag
    for entry in _LANGUAGES.split()
    for tag, _, codes in [entry.partition(":")]
    for code in [tag, *codes.split(",")]
    if code
}
# Tables whose codes are mapped by rule, and the system of their targets.
RULED: Mapping[str, str] = {"0296": LANGUAGE}

# Table 0717 (ARV-3): what restricts nothing, and the sensitivity (v3-ActCode) of what names a topic. Any other
# code, of the table (ALL, DEM, LOC, OO, PID-7, PID-17, SMD) or not, restricts.
NOT_RESTRICTING = frozenset({"NO", "OI"})
RESTRICTED_TOPIC: Mapping[str, str] = {"DRG": "SUD", "HIV": "HIV", "PSY": "PSY", "STD": "STD"}

# Tables of user-defined or externally kept codes (0112 is NUBC's in the US), for which the guide has no map: every
# code is the table's.
OPEN_TABLES = frozenset({"0023", "0050", "0068", "0072", "0086", "0112", "0171", "0172", "0212", "0295"})

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

# IdentifierType (0203), all of the guide's; any other keeps its code.
IDENTIFIER_TYPE: Mapping[str, str] = {
    "ACSN": "Accession ID",
    "AM": "American Express",
    "AMA": "American Medical Association Number",
    "AN": "Account number",
    "ANC": "Account number Creditor",
    "AND": "Account number debitor",
    "ANON": "Anonymous identifier",
    "ANT": "Temporary Account Number",
    "APRN": "Advanced Practice Registered Nurse number",
    "ASID": "Ancestor Specimen ID",
    "BA": "Bank Account Number",
    "BC": "Bank Card Number",
    "BCT": "Birth Certificate",
    "BR": "Birth registry number",
    "BRN": "Breed Registry Number",
    "BSNR": "Primary physician office number",
    "CC": "Cost Center number",
    "CONM": "Change of Name Document",
    "CY": "County number",
    "CZ": "Citizenship Card",
    "DDS": "Dentist license number",
    "DEA": "Drug Enforcement Administration registration number",
    "DFN": "Drug Furnishing or prescriptive authority Number",
    "DI": "Diner's Club card",
    "DL": "Driver's license number",
    "DN": "Doctor number",
    "DO": "Osteopathic License number",
    "DP": "Diplomatic Passport",
    "DPM": "Podiatrist license number",
    "DR": "Donor Registration Number",
    "DS": "Discover Card",
    "EI": "Employee number",
    "EN": "Employer number",
    "ESN": "Staff Enterprise Number",
    "FI": "Facility ID",
    "GI": "Guarantor internal identifier",
    "GL": "General ledger number",
    "GN": "Guarantor external identifier",
    "HC": "Health Card Number",
    "IND": "Indigenous/Aboriginal",
    "JHN": "Jurisdictional health number (Canada)",
    "LACSN": "Laboratory Accession ID",
    "LANR": "Lifelong physician number",
    "LI": "Labor and industries number",
    "LN": "License number",
    "LR": "Local Registry ID",
    "MA": "Patient Medicaid number",
    "MB": "Member Number",
    "MC": "Patient's Medicare number",
    "MCD": "Practitioner Medicaid number",
    "MCN": "Microchip Number",
    "MCR": "Practitioner Medicare number",
    "MCT": "Marriage Certificate",
    "MD": "Medical License number",
    "MI": "Military ID number",
    "MR": "Medical record number",
    "MRT": "Temporary Medical Record Number",
    "MS": "MasterCard",
    "NBSNR": "Secondary physician office number",
    "NCT": "Naturalization Certificate",
    "NE": "National employer identifier",
    "NH": "National Health Plan Identifier",
    "NI": "National unique individual identifier",
    "NII": "National Insurance Organization Identifier",
    "NIIP": "National Insurance Payor Identifier (Payor)",
    "NP": "Nurse practitioner number",
    "NPI": "National provider identifier",
    "OD": "Optometrist license number",
    "PA": "Physician Assistant number",
    "PC": "Parole Card",
    "PCN": "Penitentiary/correctional institution Number",
    "PE": "Living Subject Enterprise Number",
    "PEN": "Pension Number",
    "PI": "Patient internal identifier",
    "PN": "Person number",
    "PNT": "Temporary Living Subject Number",
    "PPIN": "Medicare/CMS Performing Provider Identification Number",
    "PPN": "Passport number",
    "PRC": "Permanent Resident Card Number",
    "PRN": "Provider number",
    "PT": "Patient external identifier",
    "QA": "QA number",
    "RI": "Resource identifier",
    "RN": "Registered Nurse Number",
    "RPH": "Pharmacist license number",
    "RR": "Railroad Retirement number",
    "RRI": "Regional registry ID",
    "RRP": "Railroad Retirement Provider",
    "SID": "Specimen ID",
    "SL": "State license",
    "SN": "Subscriber Number",
    "SP": "Study Permit",
    "SR": "State registry ID",
    "SS": "Social Security number",
    "TAX": "Tax ID number",
    "TN": "Treaty Number/ (Canada)",
    "TPR": "Temporary Permanent Resident (Canada)",
    "U": "Unspecified identifier",
    "UPIN": "Medicare/CMS (formerly HCFA)'s Universal Physician Identification numbers",
    "USID": "Unique Specimen ID",
    "VN": "Visit number",
    "VP": "Visitor Permit",
    "VS": "VISA",
    "WC": "WIC identifier",
    "WCN": "Workers' Comp Number",
    "WP": "Work Permit",
    "XX": "Organization identifier",
}

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
