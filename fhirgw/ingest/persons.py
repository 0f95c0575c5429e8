"""Who is who, and what follows: merges, links and moves, told by messages or by a person, and taken back.

The facts are the store's (``store.identity``); here, everything that belongs to whom they concern is put where it
belongs now. Nothing of a merged record is shown outside before a person has confirmed the merge, and no permission
moves with it (consent specification §4 row 49; docs/decisions/0093).
"""

from collections.abc import Callable, Iterable

from fhirgw.audit import Entry, Ledger
from fhirgw.consent.model import Json
from fhirgw.errors import ProfileViolation
from fhirgw.ingest.precedence import put
from fhirgw.ingest.records import Records, names
from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.identities import fact_of
from fhirgw.mappers.ids import resource_id
from fhirgw.store import identity, repository, visits
from fhirgw.store.database import Database, Transaction
from fhirgw.terminology import BASE

TASK = "merge-review"


class Persons:
    """Keeps people and their records together."""

    def __init__(
        self, database: Database, ledger: Ledger, records: Records, *, id_key: bytes, new_id: Callable[[], str]
    ) -> None:
        """Compose; the arguments are those of ``Ingest``."""
        self._database = database
        self._ledger = ledger
        self._records = records
        self._id_key = id_key
        self._new_id = new_id

    # --- what a person says ---------------------------------------------------------------------------------------

    async def merge(self, survivor: str, merged: str) -> None:
        """These two Patients are one: what is told of the second is the first's from now on."""
        await self._say("merge", identity.merge, survivor, merged)

    async def unmerge(self, survivor: str, merged: str) -> None:
        """They are two: each has its own again, whatever was merged or linked before."""
        await self._say("unmerge", identity.unmerge, survivor, merged)

    async def link(self, one: str, other: str) -> None:
        """They are one, and their records stay distinct."""
        await self._say("link", identity.link, one, other)

    async def unlink(self, one: str, other: str) -> None:
        """They are not; as ``unmerge``."""
        await self._say("unlink", identity.unlink, one, other)

    async def confirm(self, survivor: str, merged: str) -> None:
        """A merge that a message told of is right: what came with the merged record may be shown as the survivor's.

        Permissions still do not move: who is to see more needs a release of the survivor's.
        """
        await self._settle("accept", survivor, merged, lambda tx: identity.confirm(tx, survivor, merged))

    async def _say(self, said: str, what: Callable[..., set[str]], one: str, other: str) -> None:
        key = self._new_id()
        await self._settle(said, one, other, lambda tx: what(tx, one, other, key=key))

    async def _settle(self, said: str, one: str, other: str, what: Callable[[Transaction], set[str]]) -> None:
        """Take what a person says of two people, and what follows, and account for it: one unit of work."""
        entries = [
            Entry(
                who, "operator", None, "HOPERAT", False, f"match-{said}", (f"Patient/{whom}",), (), self._new_id()
            )
            for who, whom in ((one, other), (other, one))
        ]

        def unit(tx: Transaction) -> None:
            self.settle(tx, what(tx))
            self._ledger.append(tx, entries)

        await self._database.write(unit)

    # --- what a message says --------------------------------------------------------------------------------------

    def take(self, tx: Transaction, event: AdtEvent, *, part2: bool) -> bool:
        """Keep what an event says of who is who; False where that concerns nobody here.

        Raises:
            ProfileViolation: A Part 2 programme says that two people here are one: the link would tell of it.
        """
        fact = fact_of(event)
        if fact is None:
            return False
        others = [(system, value) for system, value, _ in event.others]
        known = identity.find(tx.connection, names(event)), identity.find(tx.connection, others)
        if not any(known):
            return False
        if part2 and all(known) and known[0] != known[1]:
            raise ProfileViolation("A person must decide whether these two people are one.", location="MRG-1")
        self.settle(tx, identity.say(tx, fact))
        return True

    def agree(self, tx: Transaction, event: AdtEvent) -> None:
        """Let what one message says of one person go before what merges made of its identifiers.

        A merge that came first gave a number to the survivor; the message says whose number it was.
        """
        self.settle(tx, identity.regraph(tx, (), tuple(map(visits.text, names(event)))))

    def settle(self, tx: Transaction, people: set[str]) -> None:
        """Put the events of these people to whom they are about now, and fold what changed."""
        touched: set[str] = set()
        spoken: set[str] = set()
        pairs: set[tuple[str, str]] = set()
        for told in visits.of_people(tx.connection, people):
            found = identity.find(tx.connection, names(told.event))
            patient = found.pop() if len(found) == 1 else None
            pairs |= {(one, told.event.sender) for one in (told.patient, patient) if one}
            touched |= {told.visit} if told.visit else set()
            if patient == told.patient:
                continue
            spoken |= visits.speaks_of(told.event)
            if patient is None:
                self.wait(tx, told.journal, told.event)
                visits.forget(tx, told)
            else:
                visits.place(tx, told, patient=patient, visit=told.visit)
        if spoken:  # what a stranger said of a visit's number counts no more
            touched |= visits.renumber(tx, spoken)[1]
        self._records.fold(tx, touched, pairs, people)
        for one in sorted(people):
            repository.settle(tx, one)
            self._review(tx, one)
            self.known(tx, identity.names_of(tx.connection, one), one)

    def wait(self, tx: Transaction, message: int, event: AdtEvent) -> None:
        """Take the message up again when somebody here is known by one of its names, or owns its visit."""
        numbers = {visits.text(one) for one in (event.visit, event.account) if one} | visits.speaks_of(event)
        visits.wait(tx, message, self._digests(numbers | _bearers(event)))

    def wait_for_bearer(self, tx: Transaction, message: int, event: AdtEvent) -> None:
        """Take the message up again when who it is about, or whom it says them to be, is somebody here."""
        visits.wait(tx, message, self._digests(_bearers(event)))

    def known(self, tx: Transaction, of: Iterable[str], patient: str) -> None:
        """These are somebody's here now: what waited for them is due, if it came since the person is known."""
        digests = self._digests(of)
        if digests and (waiting := visits.waiting_for(tx.direct, digests)):
            visits.due(tx, waiting, repository.known_since(tx.connection, "Patient", patient))

    def _digests(self, of: Iterable[str]) -> list[str]:
        """Of a stranger's identifiers nothing is kept that could be read."""
        return [resource_id(self._id_key, "pending", one) for one in of]

    def _review(self, tx: Transaction, merged: str) -> None:
        """The Task to look at a merge that nobody has confirmed. It is for nobody: no consent shows it outside."""
        links = identity.links(tx.connection, merged)
        survivor = next((other for other, kind in links.items() if kind == "replaced-by"), None)
        logical = resource_id(self._id_key, "Task", TASK, merged)
        before = repository.present(tx, "Task", logical)
        open_ = survivor is not None and identity.is_held(tx.connection, merged)
        if before is None and not open_:
            return
        authored = before.body["authoredOn"] if before else repository.instant(tx.now)
        code = {"system": f"{BASE}/CodeSystem/icm-task", "code": TASK, "display": "Confirm that two people are one"}
        said = [("merged", merged)] + ([("survivor", survivor)] if survivor else [])
        task: Json = {
            "resourceType": "Task",
            "id": logical,
            "status": "requested" if open_ else ("completed" if survivor else "cancelled"),
            "intent": "order",
            "code": {"coding": [code]},
            "authoredOn": authored,
            "input": [
                {"type": {"text": what}, "valueReference": {"reference": f"Patient/{one}"}} for what, one in said
            ],
        }
        put(tx, task)


def _bearers(event: AdtEvent) -> set[str]:
    return {visits.text((system, value)) for system, value, _ in (*event.identifiers, *event.others)}
