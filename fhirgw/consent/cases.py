"""Cases of ``fhirgw consent decide`` (DESIGN §9): each states its request, Consents and resource, whole.

What cases have in common is read once: in a batch, many ask the same of the same Consents.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from fhirgw.consent.closure import Supporting
from fhirgw.consent.criteria import Surroundings
from fhirgw.consent.decide import Case, decide_by
from fhirgw.consent.elements import PERSONS, TEAMS, bare
from fhirgw.consent.labels import LabelContext, label
from fhirgw.consent.marks import of_consents
from fhirgw.consent.model import ConsentSettings, Decision, Json, Request
from fhirgw.consent.standing import refusal_kind
from fhirgw.consent.wire import decision_json, object_of, parse, read_request, read_settings, resource_of, resources
from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.remembered import key_of
from fhirgw.settings import ZONE

_PARTIES: Final = PERSONS | TEAMS | {"Organization"}
"""A resource of these types, asked about, also tells who is who."""
_PARTS: Final = ("request", "consents", "supporting", "settings")


@dataclass(frozen=True)
class _Question:
    """Everything of a case but its resource."""

    request: Request
    consents: tuple[Json, ...]
    supporting: Supporting
    settings: ConsentSettings
    cases: dict[str, Case] = field(default_factory=dict)

    @cached_property
    def labelling(self) -> LabelContext:
        """How a resource is labelled: as it states, raised by what its codes and references say, with its marks.

        Its free text counts as reviewed: whoever states the labels of a resource has read it.
        """
        listed = (one for one in self.consents if refusal_kind(one) == "dv-safety-list")
        return LabelContext(
            self.supporting.target_labels,
            dv_protected=any(one.get("status") in ("active", "draft", "proposed") for one in listed),
            text_cleared=True,
            marks=of_consents(self.consents, self.settings.zone),
            known=Surroundings(self.supporting.references_of, self.supporting.tokens_of),
        )

    def case(self, patient: str) -> Case:
        """The question about one patient."""
        if patient not in self.cases:
            policy = self.supporting.policy(patient, self.consents)
            self.cases[patient] = Case(self.request, policy, self.settings)
        return self.cases[patient]


class Cases:
    """Decides cases, one after the other; the answers do not depend on which went before."""

    def __init__(self, now: datetime | None = None, *, zone: str = ZONE, kept: int = 4096) -> None:
        """Nothing read yet.

        Args:
            now: Decision time where a request states none; with neither, the case cannot be decided.
            zone: Of what a Consent dates without an offset, where a case states none.
            kept: How many questions are remembered.
        """
        self._now = now
        self._zone = zone
        self._kept = kept
        self._at_hand: dict[str, Supporting] = {}
        self._questions: OrderedDict[str, _Question] = OrderedDict()

    def decide(self, case: Json) -> Decision:
        """Decide ``{"request", "resource", "consents", "supporting", "settings"}``; all but the first may lack.

        Raises:
            GatewayError: A part cannot be read; it says which.
        """
        stated = object_of(case, "$").get("resource")
        resource = None if stated is None else resource_of(stated, "resource")
        beside = [resource] if resource is not None and resource["resourceType"] in _PARTIES else []
        question = self._question(case, beside)
        subject = _whole_patient(question) if resource is None else resource
        return decide_by(question.case, subject, label(subject, question.labelling), question.request.at)

    def answer(self, line: str | bytes, number: int) -> Json:
        """The answer to one line of a batch. A line that cannot be read is denied, and says where it is wrong."""
        name: object = None
        try:
            case = parse(line, f"line {number}")
            name = case.get("id")
            return {"id": name, **decision_json(self.decide(case))}
        except GatewayError as error:
            denied = Decision("DENY", 0, "bad-input", decided_at=self._now)
            told = {"location": error.location, "text": error.text}
            return {"id": name, **decision_json(denied), "error": told}

    def _question(self, case: Json, beside: list[Json]) -> _Question:
        key = _key([*(case.get(part) for part in _PARTS), beside])
        found = self._questions.get(key)
        if found is None:
            found = self._questions[key] = self._read(case, beside)
            if len(self._questions) > self._kept:
                self._questions.popitem(last=False)
        else:
            self._questions.move_to_end(key)
        return found

    def _supporting(self, stated: Any, beside: list[Json], zone: str) -> Supporting:
        """What is at hand; where cases differ in the rest, they often have it in common."""
        key = _key([stated, beside, zone])
        if key not in self._at_hand:
            if len(self._at_hand) >= self._kept:
                self._at_hand.clear()
            self._at_hand[key] = Supporting([*resources(stated, "supporting"), *beside], zone)
        return self._at_hand[key]

    def _read(self, case: Json, beside: list[Json]) -> _Question:
        settings = read_settings(case.get("settings", {}), self._zone)
        supporting = self._supporting(case.get("supporting", []), beside, settings.zone)
        consents = tuple(resources(case.get("consents", []), "consents"))
        return _Question(
            request=read_request(case.get("request"), supporting, now=self._now),
            consents=consents,
            supporting=supporting,
            settings=settings,
        )


def _key(parts: list[Any]) -> str:
    key = key_of(parts)
    if key is None:
        raise InvalidElement("This is nested too deeply to be judged.")
    return key


def _whole_patient(question: _Question) -> Json:
    """Where no resource is asked about: the Patient of the Consents, if they agree on one."""
    named = {
        bare(reference.get("reference")) or question.supporting.patient(reference.get("identifier"))
        for consent in question.consents
        if isinstance(reference := consent.get("patient"), dict)
    }
    patient = named.pop().removeprefix("Patient/") if len(named) == 1 else ""
    return {"resourceType": "Patient", **({"id": patient} if patient else {})}
