"""What a member wants to know of a care plan, read from its resources: goals, who helps, plans for hard days.

Pure. Words of the member stay as they are; codes stay codes, for ``wording`` to say in a language.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhirgw.mappers.icm.shape import CUSTODIAN, PERTAINS_TO_GOAL
from fhirgw.terminology import BASE

Json = dict[str, Any]

PLAN_STEP, ON_CALL = (f"{BASE}/StructureDefinition/icm-{name}" for name in ("plan-step", "on-call"))
ROLE, SECTION, TERM = (f"{BASE}/CodeSystem/icm-{name}" for name in ("role", "plan-section", "goal-term"))
SERVICE = f"{BASE}/CodeSystem/icm-service"
REACHED = frozenset({"completed"})
DROPPED = frozenset({"rejected", "cancelled", "entered-in-error"})
"""Goal.lifecycleStatus of goals that are not the member's (any more)."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of ours and its English display."""

    code: str
    display: str


@dataclass(frozen=True, slots=True)
class Helper:
    """Somebody of the care team, ``of`` a CareTeam."""

    of: str
    name: str
    roles: tuple[Coded, ...]
    phones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Often:
    """``Timing.repeat``: so many times in a period of so many units."""

    times: int
    period: int
    most: int | None
    unit: str


@dataclass(frozen=True, slots=True)
class Step:
    """What is done about a goal: what, how often, by whom; ``of`` a ServiceRequest."""

    of: str
    text: str
    often: Often | None
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aim:
    """A goal in the member's own words.

    Attributes:
        of: ``Goal/id``.
        words: ``Goal.description.text``; empty where they are withheld, or were never written.
        term: long-term or short-term, if it says.
        reached: Whether it is.
        measure: How the member will know.
        due: Until when (FHIR date), if it says.
        steps: What is done about it.
    """

    of: str
    words: str
    term: str | None
    reached: bool
    measure: str | None
    due: str | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class OnCall:
    """A service to call: its name, its number, when it answers."""

    name: str
    phone: str
    hours: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """A plan of its own beside the goals: crisis, wellness, discharge.

    Attributes:
        of: ``CarePlan/id``.
        kind: Which plan.
        lines: What it says.
        steps: (kind of step, what is done), in order: warning signs, triggers, responses.
        calls: Whom to call.
    """

    of: str
    kind: Coded
    lines: tuple[str, ...]
    steps: tuple[tuple[str, str], ...]
    calls: tuple[OnCall, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A care plan as its member reads it."""

    name: str
    program: str | None
    created: str | None
    summary: str | None
    aims: tuple[Aim, ...]
    steps: tuple[Step, ...]
    meetings: tuple[Step, ...]
    helpers: tuple[Helper, ...]
    parts: tuple[Part, ...]


def read(plan: Json, resources: Mapping[str, Json]) -> Plan:
    """The plan of a CarePlan.

    Args:
        plan: The CarePlan, in the form in which it may be shown.
        resources: What is shown with it, by ``Type/id``.
    """
    goals = [one for one in _referred(plan.get("goal"), resources) if one["lifecycleStatus"] not in DROPPED]
    requests = [
        one
        for one in _referred([each.get("reference") for each in plan.get("activity", ())], resources)
        if one["resourceType"] == "ServiceRequest"
    ]
    pursued = {f"Goal/{goal['id']}" for goal in goals}
    free = [one for one in requests if pursued.isdisjoint(_pertains(one))]
    return Plan(
        name=_full_name(resources.get(plan["subject"].get("reference", ""), {})),
        program=next(iter(_program(plan, resources)), None),
        created=plan.get("created"),
        summary=plan.get("description"),
        aims=tuple(_aim(goal, requests, resources) for goal in goals),
        steps=tuple(_step(one, resources) for one in free if not _is_contact(one)),
        meetings=tuple(_step(one, resources) for one in free if _is_contact(one)),
        helpers=tuple(_helpers(plan, resources)),
        parts=tuple(_parts(plan, resources)),
    )


def _aim(goal: Json, requests: Sequence[Json], resources: Mapping[str, Json]) -> Aim:
    own = [one for one in requests if f"Goal/{goal['id']}" in _pertains(one)]
    targets = goal.get("target", ())
    return Aim(
        of=f"Goal/{goal['id']}",
        words=goal["description"].get("text", ""),
        term=next((one.code for one in _codes(goal.get("category"), TERM)), None),
        reached=goal["lifecycleStatus"] in REACHED,
        measure=next((one["measure"]["text"] for one in targets if "text" in one.get("measure", {})), None),
        due=next((one["dueDate"] for one in targets if "dueDate" in one), None),
        steps=tuple(_step(one, resources) for one in own),
    )


def _step(request: Json, resources: Mapping[str, Json]) -> Step:
    by = [name for one in _referred(request.get("performer"), resources) if (name := name_of(one, resources))]
    repeat = request.get("occurrenceTiming", {}).get("repeat", {})
    often = (
        Often(repeat["frequency"], repeat["period"], repeat.get("periodMax"), repeat["periodUnit"])
        if {"frequency", "period", "periodUnit"} <= repeat.keys()
        else None
    )
    return Step(f"ServiceRequest/{request['id']}", request.get("code", {}).get("text", ""), often, tuple(by))


def _helpers(plan: Json, resources: Mapping[str, Json]) -> Iterator[Helper]:
    """The people of the care teams but the member, each once."""
    told = set()
    for team in _referred(plan.get("careTeam"), resources):
        for participant in team.get("participant", ()):
            reference = participant.get("member", {}).get("reference", "")
            who = resources.get(reference)
            if who is None or who["resourceType"] == "Patient" or reference in told:
                continue
            told.add(reference)
            yield Helper(
                of=f"CareTeam/{team['id']}",
                name=name_of(who, resources),
                roles=tuple(_codes(participant.get("role"), ROLE)) or tuple(_codes(who.get("relationship"), None)),
                phones=tuple(_phones(who, resources)),
            )


def _parts(plan: Json, resources: Mapping[str, Json]) -> Iterator[Part]:
    """The CarePlans that are part of this one, the crisis plan first."""
    whole = f"CarePlan/{plan['id']}"
    plans = (one for one in resources.values() if one["resourceType"] == "CarePlan")
    parts = [_part(one) for one in plans if any(each.get("reference") == whole for each in one.get("partOf", ()))]
    yield from sorted(parts, key=lambda part: "crisis" not in part.kind.code)


def _part(plan: Json) -> Part:
    return Part(
        of=f"CarePlan/{plan['id']}",
        kind=next(_codes(plan.get("category"), SECTION), Coded("", "")),
        lines=tuple(line.strip() for line in plan.get("description", "").splitlines() if line.strip()),
        steps=tuple((one["kind"]["valueCode"], one["what"]["valueString"]) for one in _inner(plan, PLAN_STEP)),
        calls=tuple(
            OnCall(
                one["name"]["valueString"],
                one["telecom"]["valueContactPoint"].get("value", ""),
                one.get("hours", {}).get("valueString"),
            )
            for one in _inner(plan, ON_CALL)
        ),
    )


def _inner(resource: Json, url: str) -> Iterator[dict[str, Json]]:
    """The parts of every extension of this kind, by their names."""
    for extension in resource.get("extension", ()):
        if extension["url"] == url:
            yield {part["url"]: part for part in extension["extension"]}


def _program(plan: Json, resources: Mapping[str, Json]) -> Iterator[str]:
    """Who looks after the plan (MCC's custodian)."""
    for extension in plan.get("extension", ()):
        if extension["url"] == CUSTODIAN:
            organization = resources.get(extension["valueReference"].get("reference", ""), {})
            yield from [organization["name"]] if "name" in organization else []


def _pertains(request: Json) -> set[str]:
    """The goals that a request is about."""
    extensions = (one for one in request.get("extension", ()) if one["url"] == PERTAINS_TO_GOAL)
    return {one["valueReference"].get("reference", "") for one in extensions}


def _is_contact(request: Json) -> bool:
    return any(one.code == "contact" for one in _codes(request.get("category"), SERVICE))


def name_of(who: Json, resources: Mapping[str, Json]) -> str:
    """How somebody who helps is called: the person, else the organization."""
    if who["resourceType"] == "PractitionerRole":
        named = _referred([who.get("practitioner"), who.get("organization")], resources)
        return next((name for one in named if (name := name_of(one, resources))), "")
    return str(who["name"]) if who["resourceType"] == "Organization" and "name" in who else _full_name(who)


def _full_name(who: Json) -> str:
    name: Json = next((one for one in who.get("name", ()) if one.get("use") != "old"), {})
    return name.get("text") or " ".join([*name.get("given", ()), *filter(None, [name.get("family")])])


def _phones(who: Json, resources: Mapping[str, Json]) -> Iterator[str]:
    behind = _referred([who.get("practitioner")], resources)
    for one in (who, *behind):
        for telecom in one.get("telecom", ()):
            if telecom.get("system") in ("phone", "sms") and "value" in telecom:
                yield telecom["value"]


def _codes(concepts: Sequence[Json] | None, system: str | None) -> Iterator[Coded]:
    """The codes of this system; of any for None."""
    for concept in concepts or ():
        for coding in concept.get("coding", ()):
            if "code" in coding and system in (None, coding.get("system")):
                yield Coded(coding["code"], coding.get("display", coding["code"]))


def _referred(references: Sequence[Json | None] | None, resources: Mapping[str, Json]) -> list[Json]:
    """What is shown of what these refer to."""
    named = ((one or {}).get("reference", "") for one in references or ())
    return [resources[one] for one in named if one in resources]
