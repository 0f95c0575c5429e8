"""The programmes' own codes as code systems: what the mappers say with them, and the passage each comes from."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import attrgetter

from fhirgw.mappers.definitional.canonical import head, passages
from fhirgw.mappers.icm.shape import Json, local
from fhirgw.programs import Program
from fhirgw.programs.facts import CodedFact

_BY_PROGRAM = {
    "icm-role": ("Roles", "roles"),
    "icm-licence": ("Licences", "licences"),
    "icm-tier": ("Tiers", "tiers"),
    "icm-phase": ("Steps of the process", "phases"),
    "icm-cohort": ("Cohorts", "cohorts"),
    "icm-domain": ("Domains of an assessment", "domains"),
    "icm-plan-section": ("Parts of a care plan", "sections"),
    "icm-goal-area": ("Areas of goals", "goal_areas"),
    "icm-intervention": ("Interventions", "interventions"),
    "icm-outcome": ("Outcomes", "outcomes"),
    "icm-closure-reason": ("Reasons for closing a case", "discharge"),
}
"""Code system → what it is of, and which facts of a programme are its concepts; a code is ``programme.code``."""


def own(system: str, program: Program, fact: CodedFact) -> Json:
    """A Coding of a fact of one programme."""
    return local(system, f"{program.id}.{fact.code}", _display(fact))


def code_systems(programs: Collection[Program]) -> Iterator[Json]:
    """Every code system whose concepts are the programmes'."""
    ordered = sorted(programs, key=attrgetter("id"))
    yield _code_system("icm-program", "Programmes", ((one.id, one.name, one.document) for one in ordered))
    yield _code_system(
        "icm-plan", "Care plans", ((one.plan.code, one.plan.name, passages(one.plan)) for one in ordered)
    )
    yield _code_system(
        "icm-clock",
        "Clocks",
        ((clock.id, clock.title, passages(clock)) for one in ordered for clock in one.clocks),
    )
    yield _code_system(
        "icm-trigger",
        "Triggers",
        (
            (f"{one.id}.{trigger.id}", trigger.sources[0].words, passages(trigger))
            for one in ordered
            for trigger in one.triggers
        ),
    )
    yield _code_system(
        "icm-action",
        "What visits call for",
        (
            (f"{one.id}.{trigger.id}.{action.code}", action.title, passages(trigger))
            for one in ordered
            for trigger in one.triggers
            for action in trigger.actions
        ),
    )
    for system, (title, field) in _BY_PROGRAM.items():
        yield _code_system(system, title, (row for one in ordered for row in _rows(one, getattr(one, field))))


def _rows(program: Program, facts: Sequence[CodedFact]) -> Iterator[tuple[str, str, str]]:
    for fact in facts:
        yield f"{program.id}.{fact.code}", _display(fact), passages(fact)


def _display(fact: CodedFact) -> str:
    return str(getattr(fact, "name", "") or getattr(fact, "text", ""))


def _code_system(id: str, title: str, rows: Iterable[tuple[str, str, str]]) -> Json:
    """Code, display and definition; of a code that two programmes share, what each says of it."""
    shared: dict[str, tuple[str, list[str]]] = {}
    for code, display, definition in rows:
        said = shared.setdefault(code, (display, []))[1]
        said += [definition] if definition not in said else []
    return head("CodeSystem", id, title, f"{title}, as the programmes' files state them.") | {
        "caseSensitive": True,
        "content": "complete",
        "concept": [
            {"code": code, "display": display, "definition": " ".join(said)}
            for code, (display, said) in shared.items()
        ],
    }
