"""FHIR back to ICM: what a resource that somebody wrote says of a case, as records that its system can take.

A reader (``suggestions``, ``goals``, ``answers``, ``tasks``, ``team``) takes the words of the programme out of the
resource. The case with these words is then mapped out again, and whatever the resource says that is not found
there is refused with its place: nothing is lost silently, and what is stored is what the case will say. Pure:
nothing is looked up but by ``find``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.icm.model import Case
from fhirgw.icm.statements import Records, statement
from fhirgw.mappers.icm import map_case
from fhirgw.mappers.icm.returning.answers import answers
from fhirgw.mappers.icm.returning.goals import goal
from fhirgw.mappers.icm.returning.reading import Find, Reading, Told
from fhirgw.mappers.icm.returning.suggestions import suggested_service, suggestion
from fhirgw.mappers.icm.returning.tasks import task
from fhirgw.mappers.icm.returning.team import care_team, related_person
from fhirgw.mappers.icm.returning.unsaid import unsaid
from fhirgw.mappers.icm.shape import Json, Scope
from fhirgw.programs import Program

__all__ = ["Home", "Returned", "returned"]

_READERS: Mapping[str, Callable[[Reading], Told | None]] = MappingProxyType(
    {
        "CareTeam": care_team,
        "Communication": suggestion,
        "Goal": goal,
        "QuestionnaireResponse": answers,
        "RelatedPerson": related_person,
        "ServiceRequest": suggested_service,
        "Task": task,
    }
)
"""What comes back, by type."""


@dataclass(frozen=True, slots=True)
class Home:
    """A case that a resource may belong to.

    Attributes:
        case: As its system last stated it, with what came back since and was not taken yet.
        program: Its programme.
        patient: Logical id of the Patient.
    """

    case: Case
    program: Program
    patient: str


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back.

    Attributes:
        home: The case it belongs to.
        records: What the case would be stated with; their version is the one after that of the case.
        changes: Whether the case does not say this already.
        resource: What was written, as the case will say it.
        resources: It, after what it refers to, and before what follows from it: scores, a Task for a danger, the
            Task to consider a suggestion.
    """

    home: Home
    records: Records
    changes: bool
    resource: Json
    resources: tuple[Json, ...]


def returned(resource: Json, homes: Sequence[Home], id_key: bytes, *, fresh: str, find: Find) -> Returned | None:
    """What a resource says of one of these cases; None when it says nothing that a case states.

    Args:
        resource: Valid; without an id where it is new.
        homes: The cases of its patient.
        id_key: Key of the ids.
        fresh: The local id of what is new.
        find: The resource that a reference names, or None.

    Raises:
        ExceptionGroup: What the case has no words for, each with its FHIRPath expression; or nothing says of which
            case it is.
    """
    reader = _READERS.get(resource["resourceType"])
    if reader is None:
        return None
    readings = [Reading(Scope(one.case, one.program, id_key, one.patient), resource, fresh, find) for one in homes]
    told = [(home, reading, one) for home, reading in zip(homes, readings, strict=True)
            if (one := _read(reader, reading))]  # fmt: skip
    if len(told) > 1:
        raise ExceptionGroup("return", [_several(resource["resourceType"])])
    return _whole(*told[0]) if told else None


def _several(kind: str) -> GatewayError:
    if kind == "Goal":  # which names no plan
        text = "The member has several cases: say the area of the programme that is meant (icm-goal-area)."
        return InvalidElement(text, location="Goal.category")
    text = "The member has several cases: name the CarePlan of the one that is meant."
    return InvalidElement(text, location=f"{kind}.basedOn")


def _mapped(home: Home, case: Case, id_key: bytes) -> dict[tuple[str, str], Json]:
    resources = map_case(case, home.program, id_key, patient_id=home.patient)
    return {(one["resourceType"], one["id"]): one for one in resources}


def _read(reader: Callable[[Reading], Told | None], reading: Reading) -> Told | None:
    try:
        return reader(reading)
    except GatewayError as error:
        raise ExceptionGroup("return", [error]) from None


def _whole(home: Home, reading: Reading, told: Told) -> Returned:
    kind = reading.resource["resourceType"]
    records = told.records(home.case)
    try:
        before = home.case.model_dump_json(exclude_unset=True).encode()
        case = statement(records.model_dump(mode="json")).case(before)
        said, mapped = (_mapped(home, one, reading.scope.key) for one in (home.case, case))
    except ExceptionGroup as group:
        raise _of_the_resource(kind, group.exceptions) from None
    except GatewayError as error:
        raise _of_the_resource(kind, [error]) from None
    made = mapped.get((kind, reading.scope.id(*told.id_parts)))
    if made is None:
        raise ExceptionGroup("return", [InvalidElement("The case would say nothing of this.", location=kind)])
    if lost := list(unsaid(told.resource, made, home.program)):
        raise ExceptionGroup("return", lost)
    news = {key: one for key, one in mapped.items() if _follows(said.get(key), one)}
    changes = case != home.case.model_copy(update={"version": case.version})
    return Returned(home, records, changes, made, tuple(_with(made, news, mapped.values())))


def _follows(before: Json | None, one: Json) -> bool:
    """Whether it may follow from what was written: something new, or a score of answers that have changed."""
    kind = one["resourceType"]
    return before != one if kind == "Observation" else before is None and kind != "Provenance"


def _of_the_resource(kind: str, errors: Iterable[Exception]) -> ExceptionGroup[GatewayError]:
    """What the case would be wrong with, told of the resource: its writer knows no case."""
    told = [type(one)(one.text, location=kind) for one in errors if isinstance(one, GatewayError)]
    return ExceptionGroup("return", told)


def _with(made: Json, news: Mapping[tuple[str, str], Json], order: Iterable[Json]) -> list[Json]:
    """A resource with those that come of it: new ones that it refers to, or that refer to it, in their order."""
    named = {key: set(_references(one)) for key, one in news.items()}
    taken = {(made["resourceType"], made["id"])}
    front = [made]
    while front:
        one = front.pop()
        here, there = f"{one['resourceType']}/{one['id']}", set(_references(one))
        met = {key for key in news if key not in taken and ("/".join(key) in there or here in named[key])}
        taken |= met
        front += [news[key] for key in met]
    return [one for one in order if (one["resourceType"], one["id"]) in taken]


def _references(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
