"""What is known of people and visits, folded anew from their events after something was said of them.

Whoever changes which event belongs to whom, or to which visit, names here what is concerned; the resources follow,
in the right compartment, and what no fold makes any more is deleted. (DESIGN §4; docs/decisions/0092.)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from fhirgw import alerts
from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import BITS, NORMAL, UNREADABLE
from fhirgw.ingest.precedence import put
from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.record import fold_record
from fhirgw.mappers.visit import fold_person, fold_visit, merge_patient
from fhirgw.programs import Program
from fhirgw.referral import Referrals
from fhirgw.settings import Senders
from fhirgw.store import identity, repository, visits
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.database import Transaction
from fhirgw.store.held import held

DAY = 86_400_000_000


class Records:
    """Folds."""

    def __init__(
        self,
        *,
        programs: Mapping[str, Program],
        senders: Callable[[], Senders],
        id_key: bytes,
        alert_days: int | None,
    ) -> None:
        """Compose; the arguments are those of ``Ingest``."""
        self._referrals = Referrals(programs, id_key, put)
        self._senders = senders
        self._id_key = id_key
        self._alert_days = alert_days

    def fold(
        self,
        tx: Transaction,
        concerned: Iterable[str],
        people: Iterable[tuple[str, str]],
        linked: Iterable[str] = (),
    ) -> None:
        """Fold visits and people anew, and settle what they call for.

        Args:
            tx: The unit of work.
            concerned: What the visits are called now, or were called.
            people: (patient, sender) whose events are others than before.
            linked: Patients whose links may be others than before.
        """
        folded = [(visit, *self._visit(tx, visit)) for visit in sorted(set(concerned))]
        pairs = sorted(set(people))
        for patient, sender in pairs:
            self._person(tx, patient, sender)
        for patient in sorted({patient for patient, _ in pairs} | set(linked)):
            self._patient(tx, patient)
        told = {patient for patient, _ in pairs} | set(linked)
        for visit, owner, former, encounter in folded:
            for whose in dict.fromkeys((former, owner)):
                if whose is not None:
                    self._referrals.settle(tx, whose, visits.key(visit))
                    told.discard(whose)
            if owner is not None and encounter is not None:
                oldest = None if self._alert_days is None else tx.now - self._alert_days * DAY
                alerts.note(tx, owner, encounter, oldest=oldest)
        for patient in sorted(told):
            self._referrals.settle(tx, patient, None)

    def owner(self, tx: Transaction, visit: str, told: Sequence[visits.Told]) -> str | None:
        """Whose the visit is: of whom it was last moved to, else of the one whom its events name."""
        accounts = {visits.text(one.event.account) for one in told if one.event.account}
        moved = visits.numbers(tx.direct, {visit, *accounts})
        if moved.moves:
            return moved.owner
        return min((one.patient for one in told if one.patient), default=None)

    def _visit(self, tx: Transaction, visit: str) -> tuple[str | None, str | None, Json | None]:
        """Fold a visit: whose it is, whose it was, and its Encounter."""
        told = visits.of_visit(tx.direct, visit)
        owner = self.owner(tx, visit, told)
        encounter = resource_id(self._id_key, "Encounter", *visits.key(visit))
        before = repository.present(tx, "Encounter", encounter)
        resources: list[Json] = []
        if owner is not None:
            events = [one.event for one in told]
            resources = fold_visit(events, owner, self._id_key, visits.key(visit))
            source = self._source(tx, owner, events)
            for resource in resources:
                # Whose record it is says nothing of a place or a doctor, and may be settled before or after.
                free = resource["resourceType"] in PATIENT_FREE
                put(tx, resource, source=source & ~UNREADABLE if free else source)
        self._sweep(tx, f"visit {visit}", resources)
        made = next((one for one in resources if one["resourceType"] == "Encounter"), None)
        return owner, before.patient if before else None, made

    def _person(self, tx: Transaction, patient: str, sender: str) -> None:
        """One sender's picture of a person, and what it says of them apart from any visit."""
        openly = self._openly(tx, patient, sender)
        resources = fold_record(openly, patient, self._id_key)
        source = self._labels(openly)
        for resource in resources:
            put(tx, resource, source=source)
        self._sweep(tx, f"person {patient} {sender}", resources)
        if not self._senders().named(sender).part2:  # its picture of a person says that they are in it
            identity.picture(tx, patient, sender, fold_person(openly))

    def _patient(self, tx: Transaction, patient: str) -> None:
        merged = merge_patient(patient, identity.pictures(tx.direct, patient))
        put(tx, identity.linked(tx.direct, merged))

    def _sweep(self, tx: Transaction, scope: str, resources: Sequence[Json]) -> None:
        made = [(one["resourceType"], one["id"]) for one in resources if one["resourceType"] not in PATIENT_FREE]
        for kind, logical in visits.swept(tx, scope, made):
            repository.delete(tx, kind, logical)

    def _openly(self, tx: Transaction, patient: str, sender: str) -> list[AdtEvent]:
        """A sender's events about a person, but for those of visits that carry labels as a whole.

        The Patient is seen by many who may not know of such a visit: a record number that came with it, or an
        address, would tell of it (consent specification §2.3: what is derived carries the labels of its source).
        Nor what came with a record that was merged, until a person has confirmed that it is theirs (§4 row 49).
        """
        told = visits.of_person(tx.direct, patient, sender)
        hidden = set()
        for visit in {one.visit for one in told if one.visit}:
            encounter = resource_id(self._id_key, "Encounter", *visits.key(visit))
            labels, conf, _ = held(tx).level(("Encounter", encounter)) or (0, NORMAL, None)
            if labels or conf > NORMAL:
                hidden.add(visit)
        openly = [one.event for one in told if one.visit not in hidden]
        if not identity.links(tx.direct, patient):
            return openly
        return [event for event in openly if not identity.held(tx.direct, names(event))]

    def _source(self, tx: Transaction, owner: str, events: Sequence[AdtEvent]) -> int:
        """Labels of what is made of these events; nothing is shown of what nobody confirmed to be theirs."""
        unsure = identity.links(tx.direct, owner) and any(
            identity.held(tx.direct, names(event)) for event in events
        )
        return self._labels(events) | (UNREADABLE if unsure else 0)

    def _labels(self, events: Sequence[AdtEvent]) -> int:
        """One sender that is a Part 2 programme labels all of it."""
        senders = self._senders()
        part2 = any(senders.named(event.sender).part2 for event in events)
        return BITS["SUD"] if part2 else 0


def names(event: AdtEvent) -> list[identity.Identifier]:
    """The identifiers by which an event names somebody."""
    return [(system, value) for system, value, _ in event.identifiers]
