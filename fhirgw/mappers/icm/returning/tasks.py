"""What became of a Task of the case: done, accepted, declined, by whom, when.

Only what somebody does about something: the Tasks of the programme's clocks, of caseloads, signatures, screenings
and copies to be obtained say what follows from other facts of the case, and those are what has to be stated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fhirgw.errors import InvalidElement, MissingElement
from fhirgw.icm.base import Model
from fhirgw.mappers.icm.collaboration import CONNECTED, DECIDED
from fhirgw.mappers.icm.returning.reading import Reading, Told, amended, day, held, instant
from fhirgw.mappers.icm.rights import ASSESSED, SETTLED
from fhirgw.mappers.icm.shape import Json, Scope

_OPEN = {"requested", "accepted"}


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of Task that comes back.

    Attributes:
        parts: What its id is made of, before the id of its record.
        path: Of the list of the records.
        word: The field that says what became of it; None: the end alone does.
        statuses: Word → Task.status, as the case is mapped out.
        end: The field that says when it ended, if one does.
        owner: The field that says who sees to it.
        note: The field for the words about it.
    """

    parts: tuple[str, ...]
    path: str
    word: str | None
    statuses: Mapping[str, str]
    end: str | None
    owner: str | None = None
    note: str | None = None


_DONE: Mapping[str, str] = MappingProxyType({"open": "requested", "done": "completed"})
WORK = (
    Work(("suggestion",), "care_plan.suggestions", "decision", DECIDED, "decided_on", "decided_by", "reason"),
    Work(("connection",), "care_plan.connections", "status", CONNECTED, "settled_on", "by"),
    Work(("request",), "requests", "outcome", SETTLED, "settled_on", note="text"),
    Work(("capability",), "capability", "full_assessment", ASSESSED, None),
    Work(("safety", "screen"), "screens", None, _DONE, "handled_at"),
    Work(("safety", "suicide-risk"), "suicide_risk", None, _DONE, "handled_at"),
    Work(("incident-follow-up",), "incidents", None, _DONE, "followed_up_on"),
    Work(("incident-review",), "incidents", None, _DONE, "reviewed_on"),
)


def task(reading: Reading) -> Told | None:
    """A Task that the case states."""
    for work in WORK:
        for one in held(reading.scope.case, work.path):
            parts = ("Task", *work.parts, one.id)
            if reading.named(*parts):
                record = amended(one, **_became(reading, work, one))
                return Told(work.path, (record,), parts, reading.resource)
    return None


def _became(reading: Reading, work: Work, record: Model) -> Json:
    resource = reading.resource
    words = {status: word for word, status in work.statuses.items()}
    status = resource["status"]
    if status not in words:
        text = f"For this Task the case has words for {', '.join(words)}."
        raise InvalidElement(text, location="Task.status")
    said: Json = {}
    if work.word and work.statuses.get(getattr(record, work.word) or "") != status:
        said[work.word] = words[status]
    if work.end:
        said[work.end] = _end(reading.scope, resource, work.end)
    if work.owner:
        said[work.owner] = reading.staff(resource.get("owner"), "Task.owner")
    if work.note:
        said[work.note] = next((one["text"] for one in resource.get("note", ())), None)
    return said


def _end(scope: Scope, resource: Json, field: str) -> str | None:
    stated = resource.get("executionPeriod", {}).get("end")
    place = "Task.executionPeriod.end"
    if resource["status"] in _OPEN:
        return None
    if stated is None:
        raise MissingElement("Say when it ended.", location=place)
    return instant(stated, place) if field.endswith("_at") else day(scope, stated)
