"""A synthetic hospital: members to import, and the messages of their visits."""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

ROOT = Path(__file__).parent.parent
CANDIDATE = ROOT / "fixtures" / "icm" / "ct-bhp-candidate.json"
MEDICAID = "http://fhirgw.org/fhir/sid/ct-medicaid"
DOCTOR = "1999999991^EXAMPLE^DOC^^^^^^NPI"
HOME = "1 INVENTED ST^^HARTFORD^CT^06101"
SENDERS = f"""\
[senders.elm-hospital]
facility = "ELMHOSP"
zone = "America/New_York"

[senders.elm-hospital.authorities]
ELMHOSP = "http://fhirgw.org/fhir/sid/elm-hospital-mrn"
CTMEDICAID = "{MEDICAID}"
"""


def identifier(person: int) -> str:
    """The Medicaid id of an invented candidate."""
    return f"CT-BENCH-{person:05d}"


def cases(people: int) -> Iterator[bytes]:
    """Candidates of the CT programme, as JSON cases."""
    template = orjson.loads(CANDIDATE.read_bytes())
    for person in range(people):
        case = copy.deepcopy(template)
        case["key"] = f"bench-{person}"
        for known in case["member"]["identifiers"]:
            if known["system"] == MEDICAID:
                known["value"] = identifier(person)
        yield orjson.dumps(case)


def message(person: int, visit: int, event: str, control_id: str) -> bytes:
    """One ADT message of a visit: A01, A08 or A03."""
    day = 1 + visit % 28
    admitted = f"202610{day:02d}0815"
    at = {"A01": admitted, "A08": f"202610{day:02d}0930", "A03": f"202610{day:02d}1700"}[event]
    structure = "ADT_A03" if event == "A03" else "ADT_A01"
    mrn = f"M{person:05d}"
    discharge = at if event == "A03" else ""
    number = f"V{person:05d}-{visit:04d}^^^ELMHOSP^VN"
    ward = f"W{visit % 9}^{visit % 30:02d}^A^ELMHOSP"
    pv1 = {1: "1", 2: "I", 3: ward, 7: DOCTOR, 10: "MED", 14: "1", 17: DOCTOR, 18: "IN", 19: number}
    pv1 |= {44: admitted, 45: discharge}
    return "\r".join(
        [
            f"MSH|^~\\&|ADTSYS|ELMHOSP|FHIRGW|ICM|{at}||ADT^{event}^{structure}|{control_id}|P|2.5.1",
            f"EVN|{event}|{at}",
            f"PID|1||{mrn}^^^ELMHOSP^MR~{identifier(person)}^^^CTMEDICAID^MA||PLACEHOLDER^FENN||19951212|M|||{HOME}",
            "PV1|" + "|".join(pv1.get(field, "") for field in range(1, 46)),
            "DG1|1||J45.901^Unspecified asthma with (acute) exacerbation^I10|||A",
            "",
        ]
    ).encode()


def visits(people: int, messages: int) -> list[bytes]:
    """Messages in the order of a feed: A01, A08 and A03 of one visit after the other, spread over the people."""
    feed = []
    for number in range(messages):
        visit, step = divmod(number, 3)
        event = ("A01", "A08", "A03")[step]
        feed.append(message(visit % people, visit // people, event, f"C{number:06d}"))
    return feed


DOCTORS = tuple(f"1{number:09d}^EXAMPLE{number}^DOC^Q^^DR^MD^^NPI^L^^^NPI" for number in range(40))
DIAGNOSES = (
    ("J45.901", "Unspecified asthma with (acute) exacerbation"),
    ("I10", "Essential (primary) hypertension"),
    ("E11.9", "Type 2 diabetes mellitus without complications"),
    ("S52.501A", "Unspecified fracture of the lower end of right radius, initial encounter"),
    ("N39.0", "Urinary tract infection, site not specified"),
    ("R07.9", "Chest pain, unspecified"),
    ("F33.1", "Major depressive disorder, recurrent, moderate"),
    ("M54.50", "Low back pain, unspecified"),
)
COURSES = (
    ("A01", "A08", "A08", "A03"),
    ("A04", "A08", "A03"),
    ("A04", "A03", "A08"),
    ("A01", "A08", "A03"),
)
OPEN_VISITS = 400
"""So many visits lie between one message of a visit and its next: what a hospital of that many beds sends."""


def hospital(people: int, messages: int) -> list[bytes]:
    """What a hospital sends that has many visits open at once: admissions, registrations, updates, discharges."""
    per_visit = sum(map(len, COURSES)) / len(COURSES)
    planned = int(messages / per_visit) + 4 * OPEN_VISITS
    steps = [
        (visit + step * OPEN_VISITS, visit, step)
        for visit in range(planned)
        for step in range(len(COURSES[visit % len(COURSES)]))
    ]
    steps.sort()
    return [
        rich_message(visit * 7919 % people, visit, step, f"H{number:07d}")
        for number, (_, visit, step) in enumerate(steps[:messages])
    ]


def rich_message(person: int, visit: int, step: int, control_id: str) -> bytes:
    """One message as large as real ones: relatives, diagnoses, allergies, insurance, observations."""
    course = COURSES[visit % len(COURSES)]
    event = course[step]
    ended = "A03" in course[: step + 1]
    start = datetime(2026, 1, 1, 6, tzinfo=UTC) + timedelta(minutes=11 * visit)
    at = (start + timedelta(hours=5 * step)).strftime("%Y%m%d%H%M%S-0500")
    admitted = start.strftime("%Y%m%d%H%M%S-0500")
    discharged = (start + timedelta(hours=5 * course.index("A03"))).strftime("%Y%m%d%H%M%S-0500") if ended else ""
    doctor, other = DOCTORS[visit % len(DOCTORS)], DOCTORS[(visit * 7 + 3) % len(DOCTORS)]
    ward = f"W{visit % 9}^{visit % 30:02d}^{'AB'[visit % 2]}^ELMHOSP"
    if event == "A08" and step == 1:
        ward = f"W{(visit + 1) % 9}^{visit % 30:02d}^A^ELMHOSP"
    inpatient = course[0] == "A01"
    number = f"H{visit:07d}^^^ELMHOSP^VN"
    pv1 = {
        1: "1",
        2: "I" if inpatient else "E",
        3: ward,
        4: "E",
        7: doctor,
        8: other,
        10: "MED",
        14: "7",
        17: doctor,
    }
    pv1 |= {19: number, 36: "01" if ended else "", 44: admitted, 45: discharged}
    first, second = DIAGNOSES[visit % len(DIAGNOSES)], DIAGNOSES[visit * 5 % 7]
    home = f"{person % 900 + 1} INVENTED ST^APT {person % 40}^HARTFORD^CT^06101^USA^H^^HARTFORD"
    return "\r".join(
        [
            f"MSH|^~\\&|ADTSYS|ELMHOSP|FHIRGW|ICM|{at}||ADT^{event}^{STRUCTURES[event]}|{control_id}|P|2.5.1|||AL|NE",
            f"EVN|{event}|{at}||||{at}",
            (
                f"PID|1||M{person:05d}^^^ELMHOSP^MR~{identifier(person)}^^^CTMEDICAID^MA||"
                f"SYNTHETIC{person}^PAT^Q^^^^L||19{person % 80 + 10}0{person % 9 + 1}1{person % 10}|"
                f"{'FM'[person % 2]}||2106-3^White^CDCREC|{home}||(860)555-{person % 10000:04d}^PRN^PH|"
                f"(860)555-{person * 3 % 10000:04d}^WPN^PH|eng|M||"
                f"ACC{visit:07d}^^^ELMHOSP^AN||||2186-5^Not Hispanic or Latino^CDCREC"
            ),
            f"PD1||||{DOCTORS[person % len(DOCTORS)]}",
            f"NK1|1|SYNTHETIC{person}^BEA|SPO|{home}|(860)555-{person * 7 % 10000:04d}^PRN^CP||C",
            f"NK1|2|SYNTHETIC{person}^CAL|CHD||(860)555-{person * 11 % 10000:04d}^PRN^CP||N",
            "PV1|" + "|".join(pv1.get(field, "") for field in range(1, 46)),
            "PV2|||^Shortness of breath since the morning",
            "OBX|1|CWE|76689-9^Sex assigned at birth^LN||" + "FM"[person % 2] + "||||||F",
            "OBX|2|NM|8302-2^Body height^LN||170|cm^^UCUM|||||F",
            "AL1|1|DA|70618^Penicillin^RXNORM|MO|Hives",
            f"DG1|1||{first[0]}^{first[1]}^I10C||{at[:8]}|{'F' if ended else 'A'}|||||||||1",
            f"DG1|2||{second[0]}^{second[1]}^I10C|||W|||||||||2",
            f"GT1|1||SYNTHETIC{person}^PAT||{home}|(860)555-{person % 10000:04d}||||P|SEL",
            (
                f"IN1|1|HUSKY A^Medicaid|CTDSS|Department of Social Services|||||||||||MC|"
                f"SYNTHETIC{person}^PAT|SEL|19{person % 80 + 10}0{person % 9 + 1}1{person % 10}"
                f"|||||||||||||||||||{identifier(person)}"
            ),
            "",
        ]
    ).encode()


STRUCTURES = {"A01": "ADT_A01", "A03": "ADT_A03", "A04": "ADT_A01", "A08": "ADT_A01"}
