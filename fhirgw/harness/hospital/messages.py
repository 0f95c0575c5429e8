"""The hospital's messages: what happened, as its interface writes it (HL7 v2.5.1, ER7).

See: v2.5.1 ch. 2.14.9 (MSH), ch. 3.4 (EVN, PID, MRG, PV1), ch. 6.5.2 (DG1).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from fhirgw.harness.hospital.census import Person, Place
from fhirgw.harness.hospital.events import Happening, Said

FACILITY = "ELMHOSP"
ZONE = timezone(timedelta(hours=-5))
DOCTOR = "1999999991^EXAMPLE^DOC^^^^^^NPI"
STRUCTURES: Mapping[str, str] = {
    "A01": "ADT_A01", "A02": "ADT_A02", "A03": "ADT_A03", "A04": "ADT_A01", "A05": "ADT_A05", "A06": "ADT_A06",
    "A08": "ADT_A01", "A11": "ADT_A09", "A12": "ADT_A12", "A13": "ADT_A01", "A15": "ADT_A15", "A16": "ADT_A16",
    "A17": "ADT_A17", "A21": "ADT_A21", "A22": "ADT_A21", "A23": "ADT_A21", "A24": "ADT_A24", "A25": "ADT_A21",
    "A26": "ADT_A21", "A28": "ADT_A05", "A31": "ADT_A05", "A37": "ADT_A37", "A38": "ADT_A38", "A40": "ADT_A39",
    "A45": "ADT_A45",
}  # fmt: skip
"""Message structures of the events (table 0354)."""
_ENTERED = timedelta(minutes=3)
"""How long after an event somebody has recorded it."""


def recorded(happening: Happening) -> datetime:
    """When somebody has entered an event, and the interface sends it."""
    return happening.at + _ENTERED


def written(happening: Happening, control_id: str, *, enhanced: bool = False) -> bytes:
    """The message of an event.

    Args:
        happening: The event.
        control_id: MSH-10.
        enhanced: An accept acknowledgment is asked for, and no other (MSH-15 ``AL``, MSH-16 ``NE``).
    """
    entered = _moment(recorded(happening))
    event = f"{happening.trigger}^{STRUCTURES[happening.trigger]}"
    wanted = "|||AL|NE" if enhanced else ""
    lines = [
        f"MSH|^~\\&|ADTSYS|{FACILITY}|FHIRGW|ICM|{entered}||ADT^{event}|{control_id}|P|2.5.1{wanted}",
        f"EVN|{happening.trigger}|{entered}||||{_moment(happening.repeats or happening.at)}",
    ]
    for said in happening.said:
        lines += _segments(said, happening.trigger)
    return "".join(f"{line}\r" for line in lines).encode()


def _segments(said: Said, trigger: str) -> list[str]:
    lines = [_pid(said.person)]
    if said.prior:
        visit = f"||||{_visit_number(said.visit)}" if said.visit else ""
        lines.append(f"MRG|{_mrn(said.prior)}{visit}")
    if said.visit:
        lines.append(_pv1(said))
    if trigger not in ("A23", "A45"):
        lines += [
            f"DG1|{number}||{one.code}^{one.text}^I10C|||{one.kind}" for number, one in enumerate(said.diagnoses, 1)
        ]
    return lines


def _pid(person: Person) -> str:
    known = f"~{person.medicaid}^^^CTMEDICAID^MA" if person.medicaid else ""
    return f"PID|1||{_mrn(person)}{known}||{person.family}^{person.given}||{person.birth}|{person.sex}"


def _pv1(said: Said) -> str:
    fields = {
        1: "1",
        2: said.patient_class,
        3: _location(said.place),
        7: DOCTOR,
        10: "MED",
        19: _visit_number(said.visit),
        36: said.disposition,
        42: _location(said.pending),
        44: _moment(said.start),
        45: '""' if said.reopened else _moment(said.end),
    }
    return "PV1|" + "|".join(fields.get(number, "") for number in range(1, 46)).rstrip("|")


def _mrn(person: Person) -> str:
    return f"{person.mrn}^^^{FACILITY}^MR"


def _visit_number(number: str | None) -> str:
    return f"{number}^^^{FACILITY}^VN"


def _location(place: Place | None) -> str:
    return f"{place.ward}^{place.room}^{place.bed}^{FACILITY}" if place else ""


def _moment(at: datetime | None) -> str:
    return at.astimezone(ZONE).strftime("%Y%m%d%H%M%S%z") if at else ""
