"""The mirror: a FHIR server upstream has of every member what it may have, and nothing else.

Each look at a member sends what ``Share.release`` says the server lacks or has too much, one transaction after the
other, until there is nothing to send. What is revoked while it is being sent is broken off. (docs/decisions/0230)
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection

from fhirgw.asks import Requester
from fhirgw.consent.predicate import Both, Either, Negation, Predicate, TypeIn, Visibility
from fhirgw.errors import DependencyDown, InvalidElement, NotFound
from fhirgw.mirror.upstream import Access, LeaveAloneError, Server, Taken
from fhirgw.released import Released
from fhirgw.replica import Replica, digest_of, targets
from fhirgw.send import Credentials, RecalledError
from fhirgw.settings import Settings
from fhirgw.share import Share
from fhirgw.store import clients, copies, mirror, patterns, policy, repository
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.copies import Written
from fhirgw.store.database import Database, Transaction
from fhirgw.store.mirror import SEVERAL, Key, Member, Upstream

__all__ = ["Access", "Mirror", "Server"]

log = structlog.get_logger(__name__)
IDLE_SECONDS = 1.0
LEASE = 150_000_000
"""Microseconds for which a process that died is waited for."""
PURPOSE = "COC"
"""A mirror serves care coordination, unless the client is registered for one other purpose alone."""
REFUSED_AFTER = (60, 600, 3600, 10_800, 43_200, 86_400, 86_400)
"""Seconds until what was refused is tried again, by attempts made; after three days it waits for a person."""
DOWN_AFTER = (2, 10, 60, 300, 600)
"""Seconds for which a server that does not answer is left alone, by failures in a row; the last for as long as it
takes: nothing is given up because a server is away."""
SURPRISES = 3
"""How often in one look other versions may be found than were expected, before it counts as refused."""
SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class _Part:
    """A transaction that may go, and the policy revision since which it may."""

    released: Released
    revision: int
    request_id: str

    @property
    def entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = orjson.loads(self.released.body)["entry"]
        return entries


class Mirror:
    """Keeps one upstream server in step. Of several processes, one at a time does so."""

    def __init__(
        self,
        database: Database,
        share: Share,
        server: Server,
        *,
        client: str,
        new_id: Callable[[], str],
        clock: Callable[[], int],
    ) -> None:
        """Compose.

        Args:
            database: Holds what is to be sent, and what was.
            share: Decides what may be.
            server: The upstream server.
            client: As which it is registered.
            new_id: Fresh opaque ids, of requests.
            clock: Microseconds since the epoch.
        """
        self.client = client
        self.server = server
        self._database, self._share, self._new_id, self._clock = database, share, new_id, clock
        self._holder = new_id()
        self._weighed = False  # by this process: its settings may say otherwise than those of the last one

    async def keep(self) -> None:
        """Keep it in step, for ever."""
        while True:
            looked = 0
            try:
                looked = await self.deliver_due()
            except DependencyDown as error:
                log.warning("the mirror waits", reason=error.text)
            except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets; all is still due
                log.error("the mirror failed", error=type(error).__name__)  # noqa: TRY400 - a trace could hold data
            if not looked:
                await asyncio.sleep(IDLE_SECONDS)

    async def deliver_due(self) -> int:
        """Look at everybody who is due; how many were looked at."""
        requester = self.requester()
        if requester is None:
            return 0
        await self._database.write(lambda tx: mirror.enlist(tx, self.client, self.server.base))
        now = self._clock()
        upstream = self.state()
        if upstream.resume_at > now or not await self._hold():
            return 0
        try:
            if upstream.failures:
                await self.server.require_answer()
            await self._weigh(requester, upstream)
            return await self._look_at_all(requester)
        except LeaveAloneError as error:
            await self._pause(error)
            return 0
        finally:
            await self._database.write(lambda tx: mirror.leave(tx, self.client, self._holder))

    def requester(self) -> Requester | None:
        """As whom the server gets what it gets; None: its registration has ended, and nothing goes to it."""
        with self._database.read() as connection:
            client = clients.find(connection, self.client)
        if client is None or client.revoked:
            return None
        return Requester(
            client=client.id,
            organization=client.organization,
            purpose=client.purposes[0] if len(client.purposes) == 1 else PURPOSE,
            scopes=client.scopes,
            inside=client.inside,
            request_id="",
            channel="mirror",
        )

    def state(self) -> Upstream:
        """How the server stands.

        Raises:
            NotFound: It was never kept in step.
        """
        with self._database.read() as connection:
            found = mirror.find(connection, self.client)
        if found is None:
            raise NotFound("This server was never kept in step.")
        return found

    async def _hold(self) -> bool:
        until = self._clock() + LEASE
        return await self._database.write(lambda tx: mirror.hold(tx, self.client, self._holder, until))

    async def _pause(self, error: LeaveAloneError) -> None:
        failures = self.state().failures
        seconds = DOWN_AFTER[min(failures, len(DOWN_AFTER) - 1)] if error.seconds is None else error.seconds
        until = self._clock() + int(seconds * SECOND)
        await self._database.write(lambda tx: mirror.pause(tx, self.client, until, str(error)))
        log.warning("the upstream server is left alone", seconds=seconds, reason=str(error))

    # --- whose record is to be looked at ----------------------------------------------------------------------

    async def _weigh(self, requester: Requester, upstream: Upstream) -> None:
        """Note of whom something else may be seen than before: a consent was given, revoked, began or ended."""
        now = self._clock()
        with self._database.read() as connection:
            revision = policy.revision(connection)
            until = upstream.weighed_until
            if self._weighed and upstream.revision == revision and (until is None or now < until):
                return
            visibility = self._share.visibilities.of(connection, requester, now)
            permits = _permits(connection, visibility)
            if visibility.inside:
                people = mirror.everybody(connection, visibility.grants[0].programs)
                permits = dict.fromkeys(people, b"inside")
        expires = visibility.expires_at
        until = int(expires.timestamp() * SECOND) if expires else None
        await self._database.write(lambda tx: mirror.weigh(tx, upstream, permits, revision, until))
        self._weighed = True

    async def _look_at_all(self, requester: Requester) -> int:
        with self._database.read() as connection:
            members = mirror.due(connection, self.client, self._clock())
        for member in members:
            try:
                await self._look(requester, member)
            except (LeaveAloneError, DependencyDown):
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others are looked at
                name = type(error).__name__
                log.error("a member could not be looked at", error=name)  # noqa: TRY400 - a trace could hold data
                await self._end(member, frozenset({digest_of(name.encode())}), frozenset(), name)
            await self._database.write(lambda tx: mirror.answered(tx, self.client))
        return len(members)

    # --- one member -------------------------------------------------------------------------------------------

    async def _look(self, requester: Requester, member: Member) -> None:
        """Send until there is nothing to send; what was refused and is the same is sent again when it is time."""
        early = member.retry_at is None or self._clock() < member.retry_at
        kept = member.refused if early else frozenset()
        refused, error, surprises = kept, "", 0
        while (part := await self._part(requester, member, refused)) is not None:
            if not await self._hold():
                return
            taken = await self._send(part)
            if taken is None:
                continue
            await self._record(requester, member, part, taken)
            if taken.is_whole:  # something that may be seen has changed: what was refused may be taken now
                refused, kept = refused - kept, frozenset()
                continue
            surprises += 1
            if surprises > SURPRISES or not await self._found_otherwise(part):
                refused, error = refused | {digest_of(part.released.body)}, taken.error
        await self._expunge(requester, member)
        await self._end(member, refused, kept, error)

    async def _end(self, member: Member, refused: frozenset[bytes], kept: frozenset[bytes], error: str) -> None:
        write, client = self._database.write, self.client
        if refused != kept:
            delay = REFUSED_AFTER[member.attempts] * SECOND if member.attempts < len(REFUSED_AFTER) else None
            retry_at = None if delay is None else self._clock() + delay
            await write(lambda tx: mirror.refused(tx, client, member, refused, error, retry_at))
            log.warning("upstream refuses something of a member", reason=error, again=retry_at is not None)
        elif kept:
            await write(lambda tx: mirror.unchanged(tx, client, member))
        else:
            await write(lambda tx: mirror.settled(tx, client, member))

    async def _part(self, requester: Requester, member: Member, refused: frozenset[bytes]) -> _Part | None:
        """The next transaction, accounted for; None: there is nothing to send.

        The revision is read before the decision: as long as it stands, so does the decision.
        """
        request_id = self._new_id()
        revision = self._revision()
        ask = Replica(self.client, self.server.base, member.patient, refused)
        try:
            released = await self._share.release(replace(requester, request_id=request_id), ask)
        except NotFound:
            return None
        return _Part(released, revision, request_id)

    async def _send(self, part: _Part) -> Taken | None:
        """What the server says of it; None: it was broken off, since the policy has changed."""
        try:
            return await self.server.transact(
                part.released, part.request_id, lambda: self._revision() == part.revision
            )
        except RecalledError:
            log.info("a transaction was broken off: the policy has changed")
            return None

    def _revision(self) -> int:
        with self._database.read() as connection:
            return policy.revision(connection)

    async def _record(self, requester: Requester, member: Member, part: _Part, taken: Taken) -> None:
        """Keep what the server has taken, at once: the next transaction rests on it."""
        entries = part.entries if 200 <= taken.status < 300 else []
        kept = [(one, taken.version(at)) for at, one in enumerate(entries) if at not in taken.refused]
        gone = [_key(entry) for entry, _ in kept if "resource" not in entry]

        def unit(tx: Transaction) -> None:
            written = [_written(tx, member, entry, version) for entry, version in kept if "resource" in entry]
            copies.record(tx, self.client, written, gone, outside=requester.inside is None)

        if kept:
            await self._database.write(unit)

    async def _found_otherwise(self, part: _Part) -> bool:
        """Whether other versions are there than were expected, and what they are: ours, or somebody else's edit."""
        found = False
        for entry in part.entries:
            expected = entry["request"].get("ifMatch")
            if expected is None:
                continue
            there = await self.server.read(_key(entry))
            version = None if there is None else there.get("meta", {}).get("versionId")
            if expected == f'W/"{version}"':
                continue
            foreign = there is None or _content(there) != _content(entry["resource"])
            note = _otherwise(self.client, _key(entry), version, foreign=foreign)
            await self._database.write(note)
            found = True
            if foreign:
                log.warning("somebody else's edit upstream is replaced", resource=entry["request"]["url"])
        return found

    async def _expunge(self, requester: Requester, member: Member) -> None:
        """Outside, what was replaced or deleted is not to be read in the server's history, where it can forget."""
        if requester.inside is not None:
            return
        with self._database.read() as connection:
            keys = copies.with_history(connection, self.client, member.patient)
        if not keys or not await self.server.expunges():
            return
        forgotten = [key for key in keys if await self.server.expunge(key)]
        await self._database.write(lambda tx: copies.expunged(tx, self.client, forgotten))


def configured(
    settings: Settings,
    database: Database,
    share: Share,
    *,
    new_id: Callable[[], str],
    clock: Callable[[], int],
) -> Mirror | None:
    """The mirror of the upstream server that the settings name; None: they name none.

    Raises:
        InvalidElement: They do not say which registered client it is, or its key cannot be read.
    """
    if settings.upstream is None:
        return None
    client = settings.upstream_client
    if client is None:
        text = "An upstream server is a registered client: set FHIRGW_UPSTREAM_CLIENT to its id."
        raise InvalidElement(text, location="upstream_client")
    try:
        key = settings.upstream_key.read_text("utf-8") if settings.upstream_key else None
    except OSError as error:
        raise InvalidElement(f"The key for the upstream: {error.strerror}", location="upstream_key") from None
    access = Access(
        bearer=settings.upstream_token.get_secret_value() if settings.upstream_token else None,
        credentials=Credentials(client, key) if key else None,
        seconds=lambda: clock() // SECOND,
        new_id=new_id,
    )
    server = Server(settings.upstream, access)
    return Mirror(database, share, server, client=client, new_id=new_id, clock=clock)


def _otherwise(client: str, key: Key, version: str | None, *, foreign: bool) -> Callable[[Transaction], None]:
    return lambda tx: copies.found_otherwise(tx, client, key, version, foreign=foreign)


def _key(entry: dict[str, Any]) -> Key:
    kind, _, logical = entry["request"]["url"].partition("/")
    return kind, logical


def _written(tx: Transaction, member: Member, entry: dict[str, Any], version: str | None) -> Written:
    """What was written; what is here no more was the member's, and goes with the next transaction."""
    key, body = _key(entry), entry["resource"]
    stored = repository.current(tx.direct, *key)
    patient = None if key[0] in PATIENT_FREE else (stored.patient or SEVERAL) if stored else member.patient
    free = frozenset(target for target in targets(body) if target[0] in PATIENT_FREE)
    return Written(key, patient, digest_of(orjson.dumps(body)), version, free)


def _content(resource: dict[str, Any]) -> dict[str, Any]:
    """What a server does not add by itself."""
    return {name: value for name, value in resource.items() if name not in ("meta", "text")}


def _permits(connection: Connection, visibility: Visibility) -> dict[str, bytes]:
    """Of whom something may be seen, and a digest of what."""
    seen: dict[str, bytes] = {}
    for predicate, some in visibility.everybody.patterns.items() if visibility.everybody else ():
        spelled = f"{visibility.label_table} {_spelled(predicate)}"
        seen.update(dict.fromkeys(some, hashlib.sha256(spelled.encode()).digest()))
    people = patterns.everybody(connection, visibility.instant) if seen else ()
    return {patient: seen[pattern] for patient, pattern in people if pattern in seen}


def _spelled(predicate: Predicate) -> str:
    """The same words for the same predicate in every process: a set has no order of its own."""
    match predicate:
        case TypeIn(types=types):
            return f"TypeIn({sorted(types)})"
        case Both(parts=parts) | Either(parts=parts):
            return f"{type(predicate).__name__}({', '.join(map(_spelled, parts))})"
        case Negation(part=part):
            return f"Negation({_spelled(part)})"
        case _:
            return repr(predicate)
