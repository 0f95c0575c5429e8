"""A synthetic hospital: members to import, and the messages of their visits."""

import copy
from collections.abc import Iterator
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
