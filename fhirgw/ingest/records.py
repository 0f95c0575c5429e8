"""What is known of people and visits, folded anew from their events after something was said of them.

Whoever changes which event belongs to whom, or to which visit, names here what is concerned; the resources follow,
in the right compartment, and what no fold makes any more is deleted. (DESIGN §4; docs/decisions/0092.)
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import orjson

from fhirgw import __version__, alerts
from fhirgw.consent import vocabulary
from fhirgw.consent.labels import TABLE_VERSION
from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import BITS, HIGH, HIGHEST, NORMAL, UNREADABLE
from fhirgw.ingest.precedence import put
from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.news import news
from fhirgw.mappers.record import fold_record
from fhirgw.mappers.segments.restriction import RESTRICTED, VERY_RESTRICTED
from fhirgw.mappers.visit import fold_person, fold_visit, merge_patient
from fhirgw.programs import Program
from fhirgw.referral import Referrals
from fhirgw.settings import Senders
from fhirgw.store import identity, repository, visits
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.database import Transaction
from fhirgw.store.held import held

DAY = 86_400_000_000
Level = tuple[int, int]
"""Labels and confidentiality of what something was told with."""
OPEN: Level = (0, NORMAL)


class _Folded(NamedTuple):
    """A visit as it was folded: whose it is, whose it was, and what was told of it."""

    key: visits.Key
    owner: str | None
    former: str | None
    events: Sequence[AdtEvent]
    encounter: Json | None


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
        folded = [self._visit(tx, visit) for visit in sorted(set(concerned))]
        pairs = sorted(set(people))
        new = {patient for patient, sender in pairs if self._person(tx, patient, sender)}
        for patient in sorted(new | set(linked)):
            self._patient(tx, patient)
        told = {patient for patient, _ in pairs} | set(linked)
        for visit in folded:
            for whose in dict.fromkeys((visit.former, visit.owner)):
                if whose is not None:
                    self._referrals.settle(tx, whose, visit.key, visit.events)
                    told.discard(whose)
            if visit.owner is not None and visit.encounter is not None:
                oldest = None if self._alert_days is None else tx.now - self._alert_days * DAY
                alerts.note(tx, visit.owner, visit.encounter, oldest=oldest)
        for patient in sorted(told):
            self._referrals.settle(tx, patient, None)

    def owner(self, tx: Transaction, visit: str, told: Sequence[visits.Told]) -> str | None:
        """Whose the visit is: of whom it was last moved to, else of the one whom its events name."""
        accounts = {visits.text(one.event.account) for one in told if one.event.account}
        moved = visits.numbers(tx.direct, {visit, *accounts})
        if moved.moves:
            return moved.owner
        return min((one.patient for one in told if one.patient), default=None)

    def _visit(self, tx: Transaction, visit: str) -> _Folded:
        """Fold a visit."""
        told, key, scope = visits.of_visit(tx.direct, visit), visits.key(visit), f"visit {visit}"
        owner, events = self.owner(tx, visit, told), [one.event for one in told]
        made = held(tx).read_folded(scope)
        resources = fold_visit(events, owner, self._id_key, key) if owner is not None else []
        held(tx).read(map(_key, resources))
        before = repository.present(tx, "Encounter", resource_id(self._id_key, "Encounter", *key))
        source = self._source(tx, owner, events) if owner is not None else 0
        for resource in resources:
            # Whose record it is says nothing of a place or a doctor, and may be settled before or after.
            free = resource["resourceType"] in PATIENT_FREE
            put(tx, resource, source=source & ~UNREADABLE if free else source)
        self._sweep(tx, scope, made, resources)
        encounter = next((one for one in resources if one["resourceType"] == "Encounter"), None)
        return _Folded(key, owner, before.patient if before else None, events, encounter)

    def _person(self, tx: Transaction, patient: str, sender: str) -> bool:
        """One sender's picture of a person, and what it says of them apart from any visit.

        False where nothing was said that is not in it already: then nothing is folded (docs/decisions/0154).
        """
        by_level = self._by_level(tx, patient, sender)
        told = {
            level: [heard[at] for at in news([one.saying for one in heard])] for level, heard in by_level.items()
        }
        part2, scope = self._senders().named(sender).part2, visits.scope_of(patient, sender)
        digest = _digest(told, part2=part2)
        if visits.is_folded_from(tx.direct, scope, digest):
            return False
        visits.note_folded(tx, scope, digest)
        before = held(tx).read_folded(scope)
        events = {level: visits.facts(tx.direct, heard) for level, heard in sorted(told.items())}
        made = [
            one for level, said in events.items() for one in self._record(tx, level, said, patient, part2=part2)
        ]
        self._sweep(tx, scope, before, made)
        if not part2:  # its picture of a person says that they are in it
            identity.picture(tx, patient, sender, fold_person(events.get(OPEN, ())))
        return True

    def _record(
        self, tx: Transaction, level: Level, events: Sequence[AdtEvent], patient: str, *, part2: bool
    ) -> list[Json]:
        """What events say of a person apart from any visit, as hidden as what they came with; it is put."""
        labels, conf = level
        apart = "" if level == OPEN else f"{conf} {' '.join(vocabulary.names(labels))}"
        security = {HIGH: [RESTRICTED], HIGHEST: [VERY_RESTRICTED]}.get(conf, [])
        resources = fold_record(events, patient, self._id_key, apart=apart, security=security)
        held(tx).read(map(_key, resources))
        for resource in resources:
            free = resource["resourceType"] in PATIENT_FREE
            put(tx, resource, source=(0 if free else labels) | (BITS["SUD"] if part2 else 0))
        return resources

    def _patient(self, tx: Transaction, patient: str) -> None:
        merged = merge_patient(patient, identity.pictures(tx.direct, patient))
        put(tx, identity.linked(tx.direct, merged))

    def _sweep(
        self, tx: Transaction, scope: str, before: Collection[tuple[str, str]], resources: Sequence[Json]
    ) -> None:
        made = [_key(one) for one in resources if one["resourceType"] not in PATIENT_FREE]
        for kind, logical in visits.swept(tx, scope, before, made):
            repository.delete(tx, kind, logical)

    def _by_level(self, tx: Transaction, patient: str, sender: str) -> dict[Level, list[visits.Heard]]:
        """A sender's events about a person, by the level of the visits that they are of.

        The Patient is seen by many who may not know of a visit that carries labels as a whole: a record number that
        came with it, or an address, would tell of it (consent specification §2.3: what is derived carries the
        labels of its source). So would a record made of open and hidden events: each level has its own, and nothing
        of one depends on another (docs/decisions/0143). What came with a record that was merged is shown to nobody
        outside, until a person has confirmed that it is theirs (§4 row 49).
        """
        heard = visits.of_person(tx.direct, patient, sender)
        of = {one.visit for one in heard if one.visit}
        encounters = {visit: resource_id(self._id_key, "Encounter", *visits.key(visit)) for visit in of}
        levels = held(tx).levels("Encounter", encounters.values())
        unsure = self._unsure(tx, heard) if identity.links(tx.direct, patient) else ()
        found: dict[Level, list[visits.Heard]] = {}
        for one in heard:
            level = levels[encounters[one.visit]] if one.visit else None
            labels, conf = level[:2] if level else OPEN
            if one in unsure:
                labels, conf = labels | UNREADABLE, HIGHEST
            found.setdefault((labels, max(conf, NORMAL)), []).append(one)
        return found

    @staticmethod
    def _unsure(tx: Transaction, heard: Sequence[visits.Heard]) -> set[visits.Heard]:
        """What came with a record that was merged, and nobody confirmed to be of the same person."""
        events = visits.facts(tx.direct, heard, again=True)
        return {one for one, event in zip(heard, events, strict=True) if identity.held(tx.direct, names(event))}

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


def _key(resource: Json) -> tuple[str, str]:
    return resource["resourceType"], resource["id"]


def _digest(told: Mapping[Level, Sequence[visits.Heard]], *, part2: bool) -> bytes:
    """Of all that the fold of a person is a function of; other code, or other label tables, make it anew."""
    sayings = [
        (level, [(one.saying.order, one.saying.said.hex(), one.saying.account) for one in heard])
        for level, heard in sorted(told.items())
    ]
    return hashlib.sha256(orjson.dumps([__version__, TABLE_VERSION, part2, sayings])).digest()


def names(event: AdtEvent) -> list[identity.Identifier]:
    """The identifiers by which an event names somebody."""
    return [(system, value) for system, value, _ in event.identifiers]
