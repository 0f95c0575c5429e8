"""The programme as a PlanDefinition: whom it takes, what it does, what is due when, what visits call for."""

from collections.abc import Iterator

from fhirgw.mappers.definitional.activity import activity_url, participants
from fhirgw.mappers.definitional.canonical import SITE_SETS, citations, head, of_program
from fhirgw.mappers.definitional.codes import own
from fhirgw.mappers.icm.shape import CANONICAL, Json, coding, compact, concept, local, program_concept
from fhirgw.programs import Action, Clock, Criterion, Program, Span, Trigger
from fhirgw.programs.facts import CodedFact, Fact
from fhirgw.programs.triggers import Visits
from fhirgw.terminology import ACT_CODE, THO

_UCUM = {"day": ("days", "d"), "week": ("weeks", "wk"), "month": ("months", "mo")}
_ENROLLED = {"member": "active", "candidate": "planned"}
"""Whom a trigger is for → EpisodeOfCare.status."""


def protocol(program: Program) -> Json:
    """Every action cites the passages that it goes back to."""
    about = f"What {program.name} does, after: {program.document}."
    return compact(
        head("PlanDefinition", program.id, program.name, about, publisher=program.organization.name)
        | {"type": concept(coding(f"{THO}plan-definition-type", "clinical-protocol", "Clinical Protocol"))}
        | of_program(program)
        | {
            "relatedArtifact": [{"type": "documentation", "display": program.document}],
            "goal": list(_goals(program)),
            "action": [
                *_group(
                    "admission", "Admission", [_criterion(program, one, "admission") for one in program.admission]
                ),
                *_group("process", "Process", _coded(program, program.phases, "icm-phase", "process")),
                _plan(program),
                *_group("contact", "Contact", [_tier(program, one) for one in program.tiers]),
                *_group("intervention", "Interventions", list(_interventions(program))),
                *_group("event", "What clocks run from", list(_events(program))),
                *_group("clock", "Clocks", [_clock(program, one) for one in program.clocks]),
                *_group("visit", "What visits call for", [_trigger(program, one) for one in program.triggers]),
                *_group(
                    "continued-stay",
                    "Continued stay",
                    [_criterion(program, one, "continued-stay") for one in program.continued],
                ),
                *_group("closure", "Closure", list(_closures(program))),
            ],
        }
    )


def _group(id: str, title: str, actions: list[Json]) -> list[Json]:
    return [{"id": id, "title": title, "groupingBehavior": "logical-group", "action": actions}] if actions else []


def _action(program: Program, id: str, title: str, fact: Fact, **more: object) -> Json:
    return compact(
        {
            "id": id,
            "title": title,
            "description": SITE_SETS if fact.configurable else None,
            "documentation": citations(program, fact),
            **more,
        }
    )


def _goals(program: Program) -> Iterator[Json]:
    """What members work on, and what they have when the programme has done its work."""
    for system, facts in (("icm-goal-area", program.goal_areas), ("icm-outcome", program.outcomes)):
        for fact in facts:
            code = own(system, program, fact)
            documented = citations(program, fact)
            yield {"category": concept(code), "description": {"text": code["display"]}, "documentation": documented}


def _coded(program: Program, facts: tuple[CodedFact, ...], system: str, group: str) -> list[Json]:
    """Actions that are a code and no more."""
    coded = [(fact, own(system, program, fact)) for fact in facts]
    return [
        _action(program, f"{group}.{fact.code}", code["display"], fact, code=[concept(code)])
        for fact, code in coded
    ]


def _criterion(program: Program, criterion: Criterion, kind: str) -> Json:
    """What the screening of this kind must have found."""
    found = f"item.where(linkId = '{criterion.code}').answer.value.code = 'yes'"
    form = f"{CANONICAL}/Questionnaire/icm-screening-{program.id}-{kind}"
    condition = {
        "kind": "applicability",
        "expression": {
            "description": criterion.text,
            "language": "text/fhirpath",
            "expression": f"%screening.where(questionnaire = '{form}').{found}",
        },
    }
    return _action(program, f"{kind}.{criterion.code}", criterion.text, criterion, condition=[condition])


def _plan(program: Program) -> Json:
    plan = program.plan
    return _action(
        program,
        "plan",
        plan.name,
        plan,
        code=[concept(local("icm-plan", plan.code, plan.name))],
        participant=participants(program, plan.signed_by),
        action=_coded(program, program.sections, "icm-plan-section", "plan"),
    )


def _tier(program: Program, tier: CodedFact) -> Json:
    return _action(
        program,
        f"contact.{tier.code}",
        own("icm-tier", program, tier)["display"],
        tier,
        code=[concept(own("icm-tier", program, tier))],
        definitionCanonical=activity_url(program, tier),
    )


def _interventions(program: Program) -> Iterator[Json]:
    for one in program.interventions:
        yield _action(
            program,
            f"intervention.{one.code}",
            one.name,
            one,
            code=[concept(own("icm-intervention", program, one))],
            definitionCanonical=activity_url(program, one),
        )


def _closures(program: Program) -> Iterator[Json]:
    for reason in program.discharge:
        agreed = [
            {
                "id": f"closure.{reason.code}.{party}",
                "title": f"Agreed by: {party}",
                "requiredBehavior": "must",
            }
            for party in reason.agreed_by
        ]
        tried = [{"title": f"Tried before: {attempt}"} for attempt in reason.attempts]
        yield _action(
            program,
            f"closure.{reason.code}",
            reason.text,
            reason,
            code=[concept(own("icm-closure-reason", program, reason))],
            action=[*tried, *agreed],
        )


# What is due ------------------------------------------------------------------------------------------------------


def _events(program: Program) -> Iterator[Json]:
    """Everything that starts or meets a clock, in the order in which the clocks name it."""
    named = [one for clock in program.clocks for one in (clock.first_from, clock.starts, clock.met_by) if one]
    for anchor in dict.fromkeys(named):
        yield {"id": f"event.{anchor}", "title": anchor.replace("-", " ").capitalize()}


def _clock(program: Program, clock: Clock) -> Json:
    """Within its length after each start; a recurring one for the first time after ``first_from``."""
    starts = [anchor for anchor in (clock.first_from, clock.starts) if anchor]
    related = [_after(f"event.{anchor}", clock.due) for anchor in starts]
    if clock.met_by:
        related.append({"actionId": f"event.{clock.met_by}", "relationship": "concurrent-with-end"})
    return _action(
        program,
        f"clock.{clock.id}",
        clock.title,
        clock,
        code=[concept(local("icm-clock", clock.id, clock.title))],
        relatedAction=related,
        timingTiming=_recurrence(clock.due) if clock.recurs and clock.due else None,
    )


def _after(action: str, span: Span | None) -> Json:
    """So long after it at the latest."""
    return compact(
        {
            "actionId": action,
            "relationship": "after",
            "offsetRange": {"high": _quantity(span)} if span else None,
        }
    )


def _quantity(span: Span) -> Json:
    """UCUM knows no working days: there, the unit is in words."""
    if span.unit not in _UCUM:
        return {"value": span.amount, "unit": "working days"}
    unit, code = _UCUM[span.unit]
    return {"value": span.amount, "unit": unit, "system": "http://unitsofmeasure.org", "code": code}


def _recurrence(span: Span) -> Json | None:
    """Once in each such time; a Timing knows no working days either."""
    if span.unit not in _UCUM:
        return None
    return {"repeat": {"frequency": 1, "period": span.amount, "periodUnit": _UCUM[span.unit][1]}}


# What visits call for ---------------------------------------------------------------------------------------------


def _trigger(program: Program, trigger: Trigger) -> Json:
    status = {"system": "http://hl7.org/fhir/episode-of-care-status", "code": _ENROLLED[trigger.who]}
    enrolment = {
        "type": "EpisodeOfCare",
        "codeFilter": [
            {"path": "type", "code": program_concept(program)["coding"]},
            {"path": "status", "code": [status]},
        ],
    }
    told = [SITE_SETS if trigger.configurable else "", _look_back(trigger)]
    return _action(
        program,
        f"visit.{trigger.id}",
        trigger.sources[0].words,
        trigger,
        description=" ".join(part for part in told if part),
        code=[concept(local("icm-trigger", f"{program.id}.{trigger.id}", trigger.sources[0].words))],
        reason=[{"text": criterion.text} for criterion in program.required(trigger)],
        trigger=[_visit(trigger, pattern) for pattern in trigger.visits],
        input=[enrolment],
        action=[_called_for(program, trigger, action) for action in trigger.actions],
    )


def _visit(trigger: Trigger, pattern: Visits) -> Json:
    """An Encounter of each kind that the pattern lists; services and senders are codes of the site's own."""
    ended = [{"system": "http://hl7.org/fhir/encounter-status", "code": "finished"}]
    kinds = {
        "status": ended if trigger.when == "discharge" else [],
        "class": [coding(ACT_CODE, code) for code in sorted(pattern.classes)],
        "serviceType": [{"code": code} for code in sorted(pattern.services)],
        "location.location": [{"code": code} for code in sorted(pattern.units)],
        "serviceProvider": [{"code": code} for code in sorted(pattern.senders)],
    }
    filters = [{"path": path, "code": codes} for path, codes in kinds.items() if codes]
    when = "data-modified" if trigger.when == "discharge" else "data-added"
    return {"type": when, "name": trigger.id, "data": [{"type": "Encounter", "codeFilter": filters}]}


def _look_back(trigger: Trigger) -> str:
    """What no TriggerDefinition can say: how much there must have been, in which time."""
    if trigger.within:
        return f"The visit begins within {_words(trigger.within)} of a discharge."
    if (back := trigger.look_back) is None:
        return ""
    nights = f" with {back.days} nights together or more" if back.days else ""
    return f"At least {back.count} such visits{nights} within {_words(back.within)}, by {back.measured}."


def _words(span: Span) -> str:
    return f"{span.amount} {span.unit}{'s' if span.amount > 1 else ''}"


def _called_for(program: Program, trigger: Trigger, action: Action) -> Json:
    rule = f"{program.id}.{trigger.id}"
    return {
        "id": f"visit.{trigger.id}.{action.code}",
        "title": action.title,
        "code": [
            concept(local("icm-task", action.code), local("icm-action", f"{rule}.{action.code}", action.title))
        ],
        "relatedAction": [_after(f"visit.{trigger.id}", program.length(action))],
    }
