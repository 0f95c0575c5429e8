"""What a match calls for: a ServiceRequest that holds the evidence, and the Tasks with their due times. Pure.

See: the ICM facts, §1.0 (SLA clock: Task.restriction.period.end); Gravity SDOH, Task for referral management.
"""

from dataclasses import dataclass
from typing import Any

from fhirgw.mappers.icm.binding import bound
from fhirgw.mappers.icm.shape import local
from fhirgw.mappers.ids import resource_id
from fhirgw.programs.triggers import Action
from fhirgw.referral.criteria import Match, Question
from fhirgw.terminology import ACT_CODE, BASE

Json = dict[str, Any]

SID = f"{BASE}/sid/icm-trigger"
"""Identifier of the rule in ``ServiceRequest.requisition`` and ``Task.groupIdentifier``: ``husky.HUSKY-EVENT``."""


def is_raised(resource: Json) -> bool:
    """Whether a rule of a programme called for it."""
    return SID in (resource.get(name, {}).get("system") for name in ("groupIdentifier", "requisition"))


@dataclass(frozen=True, slots=True)
class Raising:
    """Makes the resources of one question's matches for one person."""

    question: Question
    patient: str
    id_key: bytes

    @property
    def rule(self) -> str:
        """The rule's name across programmes."""
        return f"{self.question.program.id}.{self.question.trigger.id}"

    def resources(self, match: Match) -> list[Json]:
        """No reference before what it refers to."""
        trigger = self.question.trigger
        requests = [self._request(match)] if self.refers else []
        focus = f"ServiceRequest/{requests[0]['id']}" if requests else match.evidence[0]
        return [
            bound(one) for one in (*requests, *(self._task(match, action, focus) for action in trigger.actions))
        ]

    @property
    def refers(self) -> bool:
        """A candidate is referred; and where more than the visit met the trigger, a request names all of it.

        The labels of what a ServiceRequest rests on are its own (``supportingInfo`` closes over them), and those of
        the request are the Task's: whoever may not know of one of the visits learns of neither.
        """
        return self.question.trigger.who == "candidate" or self.question.compound

    def ids(self, encounter: str) -> list[tuple[str, str]]:
        """Types and ids of what a trigger about this visit alone raises."""
        tasks = [("Task", self._id("Task", action.code, encounter)) for action in self.question.trigger.actions]
        return [
            *([("ServiceRequest", self._id("ServiceRequest", "referral", encounter))] if self.refers else []),
            *tasks,
        ]

    def _scope(self, match: Match) -> tuple[str, ...]:
        """Of what there is one: a visit, or a person for a look-back; at each level where there can be several."""
        of = self.patient if self.question.trigger.look_back else match.visit.id
        return (of, *map(str, match.level)) if self.question.compound else (of,)

    def _id(self, resource_type: str, what: str, *scope: str) -> str:
        """A visit that is another person's after all takes what it raised with it: no patient in the id."""
        return resource_id(self.id_key, resource_type, what, self.rule, *scope)

    def _common(self, match: Match) -> Json:
        program, trigger = self.question.program, self.question.trigger
        source = trigger.sources[0]
        rule = {"system": f"{BASE}/CodeSystem/icm-trigger", "code": self.rule, "display": source.words}
        return {
            "intent": "order",
            "instantiatesCanonical": f"{BASE}/PlanDefinition/{program.id}",
            "encounter": {"reference": f"Encounter/{match.visit.id}"},
            "authoredOn": match.at.isoformat(),
            "reasonCode": {"coding": [rule]},
        }

    def _request(self, match: Match) -> Json:
        """The referral: from the hospital's visit to the programme."""
        program = self.question.program
        common = self._common(match)
        return {
            "resourceType": "ServiceRequest",
            "id": self._id("ServiceRequest", "referral", *self._scope(match)),
            **self._labels,
            "requisition": {"system": SID, "value": self.rule},
            "status": "active",
            "category": [concept("icm-referral-source", "hospital", "Hospital")],
            "code": concept("icm-program", program.id, program.name),
            "subject": {"reference": f"Patient/{self.patient}"},
            **({"requester": {"reference": match.visit.hospital}} if match.visit.hospital else {}),
            "performer": [self._manager],
            "supportingInfo": [{"reference": one} for one in match.evidence],
            **common,
            "instantiatesCanonical": [common["instantiatesCanonical"]],
            "reasonCode": [common["reasonCode"]],
        }

    def _task(self, match: Match, action: Action, focus: str) -> Json:
        """What is to be done, by when; without a length in the programme's file there is no due time."""
        program = self.question.program
        span = program.length(action)
        due = program.due(span, program.day(match.at)) if span else None
        return {
            "resourceType": "Task",
            "id": self._id("Task", action.code, *self._scope(match)),
            **self._labels,
            "groupIdentifier": {"system": SID, "value": self.rule},
            "status": "requested",
            "code": {"coding": [local("icm-task", action.code), self._own(action)]},
            "focus": {"reference": focus},
            "for": {"reference": f"Patient/{self.patient}"},
            "owner": self._manager,
            **({"restriction": {"period": {"end": due.isoformat()}}} if due else {}),
            **self._common(match),
        }

    def _own(self, action: Action) -> Json:
        """The action in the words of its programme; what kind of work it is, all programmes call alike."""
        return local("icm-action", f"{self.rule}.{action.code}", action.title)

    @property
    def _labels(self) -> Json:
        codes = self.question.trigger.sensitivity
        return {"meta": {"security": [{"system": ACT_CODE, "code": code} for code in codes]}} if codes else {}

    @property
    def _manager(self) -> Json:
        run_by = self.question.program.organization
        name = resource_id(self.id_key, "Organization", run_by.system, run_by.value)
        return {"reference": f"Organization/{name}"}


def concept(system: str, code: str, display: str) -> Json:
    """A CodeableConcept of one of our own code systems."""
    return {"coding": [local(system, code, display)]}
