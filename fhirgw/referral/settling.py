"""The work that visits call for, and the work that is stored, made to agree; what people did about it stays."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from fhirgw.consent.vocabulary import BITS
from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.icm.binding import bound
from fhirgw.mappers.ids import resource_id
from fhirgw.programs import Program, Trigger
from fhirgw.referral import death
from fhirgw.referral.criteria import Match, Question
from fhirgw.referral.death import UNDONE, Put, standing, withdrawn
from fhirgw.referral.history import Both, Person
from fhirgw.referral.raising import SID, Raising, concept
from fhirgw.store import policy, repository
from fhirgw.store.database import Transaction
from fhirgw.store.held import held
from fhirgw.terminology import BASE

Json = dict[str, Any]

UNTOUCHED = frozenset({"requested", "received"})
"""Statuses of a Task that nobody has acted upon."""
MOVED = "The visit was another person's"
_REASONS = f"{BASE}/CodeSystem/icm-undone"
_REFRESHED = ("for", "subject", "focus", "encounter", "authoredOn", "restriction", "supportingInfo", "code")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A resource of a match; ``undone`` where the match holds no more."""

    resource: Json
    undone: str | None = None
    rests_on_this: bool = True


class Referrals:
    """Settles what a person's visits call for. One instance serves messages and cases."""

    def __init__(self, programs: Mapping[str, Program], id_key: bytes, put: Put) -> None:
        """Compose.

        Args:
            programs: The programmes by id.
            id_key: Key of the ids.
            put: How a resource comes into the store.
        """
        self._programs, self._key, self._put = programs, id_key, put

    def settle(
        self,
        tx: Transaction,
        patient: str,
        visit: tuple[str, str] | None = None,
        events: Sequence[AdtEvent] = (),
    ) -> None:
        """After something was said of a person or of one of their visits.

        When a visit, or an identity, moves from one Patient to another, settle both.

        Args:
            tx: The unit of work, with the visits as folded.
            patient: Logical id of the Patient.
            visit: (system, value) of the visit; None: of the person alone.
            events: All that was told of the visit.
        """
        person = Person(tx, patient, self._key)
        encounter = person.encounter(visit) if visit else None
        about = person.visit(encounter, events) if encounter else None
        enrolments = policy.enrolments(tx.direct, patient)
        served = [(name, status) for name, status in enrolments if status in ("active", "candidate")]
        dead = death.is_known(person, about, [name for name, _ in served])
        for program_id, status in served:
            program = self._programs.get(program_id)
            for trigger in program.triggers if program else ():
                if program and trigger.status == status:
                    raising = Raising(
                        Question(program, trigger, _birth(trigger, program, person)), patient, self._key
                    )
                    self._trigger(tx, person, raising, about, encounter, dead=dead)
        if visit and about is None:
            self._moved_away(tx, patient, str(encounter))
        programs = [self._programs[name] for name, _ in served if name in self._programs]
        death.settle(tx, person, about, programs, self._put, dead=dead)

    def _trigger(
        self,
        tx: Transaction,
        person: Person,
        raising: Raising,
        about: Both | None,
        encounter: str | None,
        *,
        dead: bool,
    ) -> None:
        question = raising.question
        wide = question.compound or question.by_age
        if not wide and about is None:
            return
        visits = person.visits if wide else [about] if about else []
        as_now, as_told = [both.now for both in visits], [both.told for both in visits]
        now = question.matches(as_now, encounter)
        told = now if as_told == as_now else question.matches(as_told, encounter)
        wanted = list(_wanted(raising, now, told, encounter, undone=death.REASON if dead else None))
        self._agree(tx, wanted, _source(question.program))
        if wide:
            moved = encounter if about is None else None
            self._stale(tx, raising, {one.resource["id"] for one in wanted}, moved)
        elif not wanted and encounter:
            self._retract(tx, raising.ids(encounter))

    def _agree(self, tx: Transaction, wanted: Sequence[Wanted], source: int) -> None:
        held(tx).read((one.resource["resourceType"], one.resource["id"]) for one in wanted)
        for one in wanted:
            kept = repository.present(tx, one.resource["resourceType"], one.resource["id"])
            if kept is None:
                if one.rests_on_this:
                    self._put(tx, _undone(one.resource, one.undone), source=source)
                continue
            fresh = _refreshed(kept.body, one)
            if fresh == kept.body:  # as most are: whether anybody acted upon it makes no difference
                self._tell(tx, kept.body, undone=False)
            elif _acted_upon(tx, kept.body):
                self._tell(tx, kept.body, undone=one.undone not in (None, death.REASON))
            else:
                self._put(tx, fresh, source=source)
                self._tell(tx, kept.body, undone=False)

    def _stale(self, tx: Transaction, raising: Raising, wanted: set[str], moved: str | None) -> None:
        """What this rule raised for the person and neither holds nor was told, in any order."""
        for kept in _raised(tx, raising.patient, raising.rule):
            if kept.id not in wanted and not _rests_on(kept.body, moved):
                self._retract(tx, [(kept.type, kept.id)])

    def _retract(self, tx: Transaction, raised: Iterable[tuple[str, str]]) -> None:
        """It was never so: its versions remain, and a worker who acted upon it is told."""
        for kind, logical in raised:
            kept = repository.present(tx, kind, logical)
            if kept is None:
                continue
            if _acted_upon(tx, kept.body):
                self._tell(tx, kept.body, undone=True)
            else:
                repository.delete(tx, kind, logical)

    def _moved_away(self, tx: Transaction, patient: str, encounter: str) -> None:
        """What the visit raised for somebody whose visit it was not."""
        for kept in _raised(tx, patient):
            if _rests_on(kept.body, encounter):
                if _acted_upon(tx, kept.body):
                    self._tell(tx, kept.body, undone=True)
                elif kept.body["status"] != "entered-in-error":
                    self._put(tx, _undone(kept.body, MOVED))

    def _tell(self, tx: Transaction, body: Json, *, undone: bool) -> None:
        """A worker who acted upon a Task learns that its visit is undone; and nobody, when it is so again."""
        if body["resourceType"] != "Task":
            return
        logical = resource_id(self._key, "Task", "visit-undone", body["id"])
        kept = repository.present(tx, "Task", logical)
        if kept is None and undone:
            note: Json = {
                name: body[name] for name in ("instantiatesCanonical", "intent", "for", "owner") if name in body
            }
            about = {"reference": f"Task/{body['id']}"}
            code = concept("icm-task", "visit-undone", "The visit behind this work is undone")
            head = {"resourceType": "Task", "id": logical, "status": "requested", "code": code, "focus": about}
            self._put(tx, bound({**head, **note, "authoredOn": body["authoredOn"]}))
        elif kept is not None and kept.body["status"] in (*UNTOUCHED, "cancelled"):
            again = standing(kept.body, "requested")
            self._put(tx, again if undone else _undone(again, "The visit stands again"))


def _raised(tx: Transaction, patient: str, rule: str | None = None) -> Iterator[repository.Stored]:
    """What rules, or one of them, raised for the person; Tasks first."""
    for kind, element in (("Task", "groupIdentifier"), ("ServiceRequest", "requisition")):
        for kept in repository.of_patient(tx.connection, patient, kind):
            named = kept.body.get(element, {})
            if named.get("system") == SID and rule in (None, named.get("value")):
                yield kept


def _rests_on(body: Json, encounter: str | None) -> bool:
    named = [body.get("encounter"), *body.get("supportingInfo", ())]
    return encounter is not None and {"reference": f"Encounter/{encounter}"} in named


def _birth(trigger: Trigger, program: Program, person: Person) -> date | None:
    return person.birth if any(one.age_from for one in program.required(trigger)) else None


def _source(program: Program) -> int:
    """Everything of a programme that 42 CFR Part 2 binds is SUD."""
    return BITS["SUD"] if program.part2 else 0


def _wanted(
    raising: Raising, now: Sequence[Match], told: Sequence[Match], encounter: str | None, *, undone: str | None
) -> Iterator[Wanted]:
    """What holds, and what was told and holds no more: both are functions of the events, not of their order."""
    always = bool(raising.question.trigger.look_back) or raising.question.by_age
    holds: set[str] = set()
    for match in now:
        for resource in raising.resources(match):
            holds.add(resource["id"])
            yield Wanted(resource, undone, always or match.rests_on(encounter))
    for match in told if told != now else ():
        for resource in raising.resources(match):
            if resource["id"] not in holds:
                yield Wanted(resource, undone or UNDONE, always or match.rests_on(encounter))


def _undone(resource: Json, why: str | None) -> Json:
    """Withdrawn, where something undid it."""
    if why is None:
        return resource
    if why == MOVED:
        return withdrawn(resource, "entered-in-error", why)
    return withdrawn(resource, "cancelled" if resource["resourceType"] == "Task" else "revoked", why)


def _refreshed(kept: Json, wanted: Wanted) -> Json:
    """What is kept, with what the match says of it now."""
    refreshed = {name: wanted.resource[name] for name in _REFRESHED if name in wanted.resource}
    plain = standing(kept, wanted.resource["status"]) | refreshed
    fresh = {name: plain[name] for name in wanted.resource if name in plain} | plain
    return _undone(fresh, wanted.undone)


def _acted_upon(tx: Transaction, body: Json) -> bool:
    """Whether a person did something about it; what the gateway withdrew itself it may take up again."""
    if body["resourceType"] == "Task":
        ours = any(one.get("system") == _REASONS for one in body.get("statusReason", {}).get("coding", ()))
        return body["status"] not in UNTOUCHED and not ours
    if body["status"] not in ("active", "revoked", "entered-in-error"):
        return True
    tasks = repository.referring(tx, "ServiceRequest", body["id"], "Task")
    return any(_acted_upon(tx, one.body) for one in tasks)
