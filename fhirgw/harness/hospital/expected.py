"""What has to be on the FHIR side afterwards, by the hospital's books and the words of the CT BHP programme.

No mapper and no programme file is asked: the classes are those of v3-ActCode, the work is that of
``docs/connect/triggers.md``.
"""

from collections.abc import Mapping
from datetime import datetime

from fhirgw.harness.comparison import Json
from fhirgw.harness.hospital.census import Person, Visit

PROGRAM = "ct-bhp"
MEDICAID = "http://fhirgw.org/fhir/sid/ct-medicaid"
CLASSES: Mapping[str, str] = {"I": "IMP", "E": "EMER", "O": "AMB"}
"""Table 0004 → Encounter.class."""
TOOK_PLACE = frozenset({"in-progress", "onleave", "finished"})
_CALLS_FOR_WORK = frozenset({"I", "E"})
_AGREED = "2025-10-01T09:00:00-04:00"


def case(person: Person) -> Json:
    """The case of a member or a candidate, as the programme's own system states it."""
    stated: Json = {
        "key": f"harness:{person.medicaid}",
        "program": PROGRAM,
        "member": {
            "identifiers": [{"system": MEDICAID, "value": person.medicaid}],
            "name": {"family": person.family, "given": [person.given]},
            "birth_date": f"{person.birth[:4]}-{person.birth[4:6]}-{person.birth[6:]}",
            "gender": "female" if person.sex == "F" else "male",
        },
        "status": "active" if person.standing == "member" else "candidate",
        "entered": {"at": _AGREED},
    }
    if person.standing == "member":
        form = {"uri": "http://fhirgw.org/fhir/form/ct-bhp-opt-in", "version": "2024-02", "title": "Agreement"}
        stated |= {"admitted_on": "2025-10-01", "opt_in": {"agreed_at": _AGREED, "mode": "written", "form": form}}
    return stated


def work(visit: Visit) -> dict[str, str]:
    """The Tasks that a visit calls for: what → status.

    A candidate is met after an inpatient or emergency visit began; of a member the plan is looked at again, and
    after an inpatient stay the aftercare. What was called for by a visit that then was none is cancelled.
    """
    if not (visit.began and visit.classes & _CALLS_FOR_WORK):
        return {}
    stands = "requested" if visit.status in TOOK_PLACE else "cancelled"
    if visit.person.now.standing == "candidate":
        return {"contact-candidate": stands}
    called = {"plan-revision": stands}
    if visit.ended and "I" in visit.classes:
        called["follow-up"] = "requested" if visit.status == "finished" else "cancelled"
    return called


def stays(visit: Visit) -> list[tuple[str, datetime | None, datetime | None]]:
    """Where the patient was, from when to when."""
    return [("/".join(one.place.names), one.since, one.until) for one in visit.stays]
