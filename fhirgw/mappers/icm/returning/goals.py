"""A goal of the plan: proposed, or what became of it. CT BHP: "new goals can be added at anytime"."""

from collections.abc import Iterable, Mapping

from fhirgw.errors import InvalidElement, MissingElement
from fhirgw.icm.plan import MEMBER, Goal
from fhirgw.mappers.icm.people import actor_ref, practitioner
from fhirgw.mappers.icm.returning.reading import Reading, Told, amended, codes, day, held, sensitivity
from fhirgw.mappers.icm.returning.suggestions import suggested_goal
from fhirgw.mappers.icm.shape import CANONICAL, HL7_EXTENSIONS, Json, compact, reference_to
from fhirgw.terminology import THO

_PATH = "care_plan.goals"
_TERM = f"{CANONICAL}/CodeSystem/icm-goal-term"
_AREA = f"{CANONICAL}/CodeSystem/icm-goal-area"
_WORKS = f"{CANONICAL}/StructureDefinition/icm-works-on-goal"
_ALIGNED = f"{CANONICAL}/StructureDefinition/icm-aligned-with"


def goal(reading: Reading) -> Told | None:
    """A Goal that the case states, or a new one: the member's, or one that a provider suggests.

    A new one is of the case when it is proposed, or says its term. Which steps lead to it is said by the steps.
    """
    if told := suggested_goal(reading):
        return told
    listed: tuple[Goal, ...] = held(reading.scope.case, _PATH)
    known = next((one for one in listed if reading.named("Goal", one.id)), None)
    if known is None and not (reading.open and reading.has_plan and _is_of_the_programme(reading)):
        return None
    said = {**_wanted(reading, known), **_done(reading), **_named(reading), "progress": _progress(reading, known)}
    record = amended(known, **said) if known else compact({"id": reading.fresh, **said})
    return Told(_PATH, (record,), ("Goal", record["id"]), reading.resource)


def _is_of_the_programme(reading: Reading) -> bool:
    """Whether it is proposed, or in the programme's words; and not in those of another one."""
    resource = reading.resource
    areas = _said(resource, _AREA)
    others = [one for one in areas if not one.startswith(f"{reading.scope.program.id}.")]
    return not others and bool(reading.proposes or areas or _said(resource, _TERM))


def _said(resource: Json, system: str) -> list[str]:
    return [code for one in resource.get("category", ()) for code in codes(one, system)]


def _wanted(reading: Reading, known: Goal | None) -> Json:
    """What the member wants, in their words."""
    resource = reading.resource
    words = resource["description"].get("text")
    term = next(iter(_said(resource, _TERM)), "").removesuffix("-term")
    if not words:
        raise MissingElement("A goal is in the member's words.", location="Goal.description.text")
    if not term:
        text = "Say whether it is a long-term or a short-term goal: a Coding of icm-goal-term."
        raise MissingElement(text, location="Goal.category")
    accepts = _extension(resource, f"{HL7_EXTENSIONS}goal-acceptance").get("extension", ())
    because = _extension(resource, f"{HL7_EXTENSIONS}goal-reasonRejected").get("valueCodeableConcept", {})
    same = known is not None and known.words == words
    return {
        **({} if same else {"sensitivity": sensitivity(resource)}),
        "words": words,
        "term": term,
        "area": next(iter(_said(resource, _AREA)), "").removeprefix(f"{reading.scope.program.id}.") or None,
        "priority": _code(resource, "priority", f"{THO}goal-priority", "-priority"),
        "acceptance": next((one["valueCode"] for one in accepts if one["url"] == "status"), "pending"),
        "declined_because": because.get("text"),
    }


def _done(reading: Reading) -> Json:
    """How it stands, and by what it is measured."""
    resource = reading.resource
    target: Json = next(iter(resource.get("target", ())), {})
    quantity = target.get("detailQuantity", {})
    return {
        "status": resource["lifecycleStatus"],
        "status_on": day(reading.scope, resource.get("statusDate")),
        "achievement": _code(resource, "achievementStatus", f"{THO}goal-achievement"),
        "starts_on": day(reading.scope, resource.get("startDate")),
        "target_on": target.get("dueDate"),
        "measure": target.get("measure", {}).get("text"),
        "achieved_when": target.get("detailString"),
        "amount": compact({name: quantity.get(name) for name in ("value", "unit", "comparator")}) or None,
    }


def _named(reading: Reading) -> Json:
    """The problems, people and plans that it names."""
    scope, resource = reading.scope, reading.resource
    plan = scope.case.care_plan
    people = [MEMBER, *scope.case.beside(), *(one.id for one in scope.case.care_team)]
    problems = {scope.ref("Condition", one.id)["reference"]: one.id for one in (plan.problems if plan else ())}
    plans = {
        scope.ref("DocumentReference", "plan", one.id)["reference"]: one.id
        for one in (plan.based_on if plan else ())
    }
    workers = {actor_ref(scope, one)["reference"]: one for one in people}
    works = [one["valueReference"] for one in resource.get("extension", ()) if one["url"] == _WORKS]
    aligned = [one["valueReference"] for one in resource.get("extension", ()) if one["url"] == _ALIGNED]
    return {
        "addresses": _ids(resource.get("addresses", ()), problems, "Goal.addresses"),
        "helpers": _ids(works, workers, f"Goal.extension('{_WORKS}')"),
        "aligned_with": _ids(aligned, plans, f"Goal.extension('{_ALIGNED}')"),
    }


def _ids(references: Iterable[Json], known: Mapping[str, str], place: str) -> list[str]:
    named = [known.get(one.get("reference", "")) for one in references]
    if None in named:
        raise InvalidElement("This is none of the case.", location=place)
    return [one for one in named if one is not None]


def _progress(reading: Reading, known: Goal | None) -> list[Json]:
    """What was noted before stays as it is; what is new reveals what the Goal says that it does."""
    staff = {
        reference_to(practitioner(reading.scope, one))["reference"]: one.id for one in reading.scope.case.care_team
    }
    before = list(known.progress) if known else []
    noted = []
    for number, note in enumerate(reading.resource.get("note", ())):
        place = f"Goal.note[{number}]"
        by = note.get("authorReference")
        if by is None or note.get("time") is None:
            raise MissingElement("Say who notes it, and when.", location=place)
        [who] = _ids([by], {**staff, reading.scope.patient["reference"]: ""}, f"{place}.author")
        said = compact({"on": day(reading.scope, note["time"]), "by": who, "text": note["text"]})
        kept = next(
            (
                one
                for one in before
                if one.model_dump(mode="json", exclude_none=True, exclude={"sensitivity"}) == said
            ),
            None,
        )
        noted.append(amended(kept) if kept else compact({**said, "sensitivity": sensitivity(reading.resource)}))
    return noted


def _extension(resource: Json, url: str) -> Json:
    return next((one for one in resource.get("extension", ()) if one["url"] == url), {})


def _code(resource: Json, name: str, system: str, suffix: str = "") -> str | None:
    found = next(iter(codes(resource.get(name), system)), None)
    return found.removesuffix(suffix) if found else None
