"""What an ADT event does for the people of a programme: a member's plan is revised, a candidate is referred.

HUSKY, Follow-up and Case Closure: "ICM follows up and revises care plans if needed, such as after inpatient or ED
visits"; BC 1.2: "Clients who are identified or referred for ICMT services are contacted within three days". Which
visits count and what is due when stands in the programme's file.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from fhirgw.mappers.ids import resource_id
from fhirgw.programs import Program, Rule
from fhirgw.terminology import BASE

Json = dict[str, Any]

_RAISES = frozenset({"A01", "A03", "A04", "A06", "A07", "A08", "A13"})
"""Events that state or restate a visit; a cancellation never raises anything."""
_NO_VISIT = frozenset({"planned", "cancelled", "entered-in-error"})


class VisitEvent(Protocol):
    """What of an ADT event counts here."""

    @property
    def trigger(self) -> str:
        """MSH-9.2, e.g. ``A01``."""


def referrals(
    event: VisitEvent,
    encounter: Json,
    patient_id: str,
    enrolments: Sequence[tuple[str, str]],
    programs: Mapping[str, Program],
    id_key: bytes,
    now: datetime,
) -> list[Json]:
    """What the visit raises, programme by programme.

    A member: a plan-revision Task. A candidate: a ServiceRequest and the Task to contact them. Ids come from
    (patient, programme, visit): an event told twice, or a later event of the same visit, gives the same ids, and
    the caller puts only what is not there yet.

    Args:
        event: The event that was just taken.
        encounter: The visit as folded from all of its events.
        patient_id: Logical id of the Patient.
        enrolments: (programme, status) of the person.
        programs: The programmes by id.
        id_key: Key of the ids.
        now: When the gateway learned of it: due times count from here.
    """
    if event.trigger not in _RAISES or encounter["status"] in _NO_VISIT:
        return []
    return [
        resource
        for program_id, status in enrolments
        if program_id in programs
        for resource in _raised(programs[program_id], status, encounter, patient_id, id_key, now)
    ]


def _raised(
    program: Program, status: str, encounter: Json, patient_id: str, key: bytes, now: datetime
) -> Iterator[Json]:
    visit = encounter["class"]["code"]
    about = _About(program, encounter, patient_id, key, now)
    if status == "active" and visit in program.referral.member.classes:
        yield about.task("plan-revision", "Review of the care plan after a visit", program.referral.member)
    if status == "candidate" and visit in program.referral.candidate.classes:
        request = about.request()
        yield request
        focus = f"ServiceRequest/{request['id']}"
        yield about.task("contact-candidate", "First contact", program.referral.candidate, focus=focus)


class _About:
    """One visit of one person, seen by one programme."""

    def __init__(self, program: Program, encounter: Json, patient_id: str, key: bytes, now: datetime) -> None:
        self._program, self._encounter, self._patient, self._key = program, encounter, patient_id, key
        self._now = now
        run_by = program.organization
        self._manager = {
            "reference": f"Organization/{resource_id(key, 'Organization', run_by.system, run_by.value)}"
        }

    def _id(self, resource_type: str, what: str) -> str:
        return resource_id(self._key, resource_type, what, self._patient, self._program.id, self._encounter["id"])

    def request(self) -> Json:
        """The referral: from the hospital's visit to the programme."""
        visit = {"reference": f"Encounter/{self._encounter['id']}"}
        hospital = self._encounter.get("serviceProvider")
        return {
            "resourceType": "ServiceRequest",
            "id": self._id("ServiceRequest", "referral"),
            "status": "active",
            "intent": "order",
            "category": [_concept("icm-referral-source", "hospital", "Hospital")],
            "code": _concept("icm-program", self._program.id, self._program.name),
            "subject": {"reference": f"Patient/{self._patient}"},
            "authoredOn": self._now.isoformat(),
            **({"requester": {"reference": hospital["reference"]}} if hospital and "reference" in hospital else {}),
            "performer": [self._manager],
            "supportingInfo": [visit],
        }

    def task(self, code: str, title: str, rule: Rule, *, focus: str | None = None) -> Json:
        """What is to be done, by when; without a length in the programme's file there is no due time."""
        visit = f"Encounter/{self._encounter['id']}"
        due = self._program.due(rule.due, self._program.day(self._now)) if rule.due else None
        return {
            "resourceType": "Task",
            "id": self._id("Task", code),
            "instantiatesCanonical": f"{BASE}/PlanDefinition/{self._program.id}",
            "status": "requested",
            "intent": "order",
            "code": _concept("icm-task", code, title),
            "focus": {"reference": focus or visit},
            "for": {"reference": f"Patient/{self._patient}"},
            "encounter": {"reference": visit},
            "authoredOn": self._now.isoformat(),
            "owner": self._manager,
            **({"restriction": {"period": {"end": due.isoformat()}}} if due else {}),
        }


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": f"{BASE}/CodeSystem/{system}", "code": code, "display": display}]}
