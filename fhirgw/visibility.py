"""What each requester may see: compiled of one patient's policy, or of everybody's, and kept until it moves.

An answer that can be about one patient alone is decided by that patient's policy, however many there are. One that
can be about anybody is selected by what the patterns of the policies come to, each compiled once, however many
patients have it (docs/decisions/0270, 0315). What is shown of a patient is decided by their own policy either way.

INVARIANT: what is kept is what would be compiled anew: policy.py notes, in the transaction that changes anything
that decides, whose policy moved.
"""

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from fhirgw import emergency
from fhirgw.asks import Ask, History, Read, Requester, Search, VRead
from fhirgw.consent.authority import any_agreement, turns
from fhirgw.consent.compile import compile_visibility, grant_of
from fhirgw.consent.decide import Case, earliest
from fhirgw.consent.labels import TABLE_VERSION
from fhirgw.consent.minimum import narrowing
from fhirgw.consent.model import ConsentSettings, Request
from fhirgw.consent.predicate import ALWAYS, Everybody, Grant, Predicate, Visibility
from fhirgw.emergency import Claim
from fhirgw.errors import DependencyDown
from fhirgw.store import clients, parties, patterns, policy, relabelling, repository
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.held import level

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_OF_PATIENT = frozenset({"patient", "patient:Patient", "subject:Patient"})
SOME = 20
"""Patients through whom it is first tried to see what is about nobody."""
MOST = 20_000
"""Patients of whom a requester's grants are kept, one by one."""
RECENT = 2_000
"""Visibilities of some patients that are kept as they were told: whoever asks about somebody asks again soon."""


class PolicyMovedError(DependencyDown):
    """The policy moved between the decision and the account of it, or while others decided."""

    def __init__(self, text: str = "The consent policy keeps changing; ask again.") -> None:
        """Nothing else is to be said of it."""
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What was made of one patient's policy.

    Attributes:
        revision: Of the store, at which it was last known to hold.
        grant: None: nothing may be seen.
        expires_at: When a Consent starts or ends.
    """

    revision: int
    grant: Grant | None
    expires_at: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether nothing has started or ended since."""
        return self.expires_at is None or at < self.expires_at


@dataclass(frozen=True, slots=True)
class _Whole:
    """What was made of everybody's policies.

    Attributes:
        revision: Of the store, at which it was last known to hold.
        compiled: By pattern.
        until: When somebody comes to another pattern, or a pattern to something else.
        everybody: The same, as statements ask.
    """

    revision: int
    compiled: Mapping[str, _Compiled]
    until: datetime | None
    everybody: Everybody

    def holds(self, at: datetime) -> bool:
        """Whether nothing has started or ended since."""
        return self.until is None or at < self.until


def _everybody(compiled: Mapping[str, _Compiled]) -> Everybody:
    seen: dict[Predicate, set[str]] = {}
    for pattern, one in compiled.items():
        if one.grant is not None:
            seen.setdefault(one.grant.predicate, set()).add(pattern)
    return Everybody({predicate: frozenset(some) for predicate, some in seen.items()})


class Visibilities:
    """The visible projections of the store, for all requesters. To be asked from any thread."""

    def __init__(self, settings: ConsentSettings) -> None:
        """Nothing is kept yet."""
        self._settings = settings
        self._askers: dict[tuple[str, ...], _Asker] = {}

    def of(
        self, connection: Connection, requester: Requester, now: int, about: frozenset[str] | None = None
    ) -> Visibility:
        """The visible projection for this requester.

        Args:
            connection: One snapshot.
            requester: Who asks.
            now: Microseconds since the epoch.
            about: Of these patients alone; None: of everybody.

        Raises:
            PolicyMovedError: The policy moved since the snapshot.
            DependencyDown: The label tables have changed, and not everything is labelled by them yet.
        """
        if requester.inside is not None:
            programs = None if "*" in requester.inside else requester.inside
            own = Grant(patients=None, programs=programs, predicate=ALWAYS)
            return Visibility((own,), inside=True, revision=policy.revision(connection), label_table=TABLE_VERSION)
        revision = relabelling.revision(connection, self._settings.zone)
        if revision is None:
            raise DependencyDown("The store is being labelled anew; ask again later.")
        at = datetime.fromtimestamp(now / 1_000_000, UTC)
        if requester.emergency is not None:
            return self._in_emergency(connection, requester, requester.emergency, at)
        asker = self._asker(connection, requester, revision, at)
        return asker.whole(connection, revision, at) if about is None else asker.of(connection, revision, at, about)

    def _asker(self, connection: Connection, requester: Requester, revision: int, at: datetime) -> "_Asker":
        """Who asks, as kept; looked at anew when somebody moved who may ask."""
        key = (requester.client, requester.organization, requester.purpose, requester.action, requester.channel)
        kept = self._askers.get(key)
        if kept is not None and at < kept.until:
            if kept.revision == revision:
                return kept
            if kept.revision < revision and policy.last_move(connection, {policy.ORGANIZATIONS}) <= kept.revision:
                kept.revision = revision
                return kept
        request = request_of(connection, requester, at)
        same = kept is not None and kept.request.recipient == request.recipient and at < kept.until
        asker = kept if kept is not None and same else _Asker(request, self._settings)
        if kept is None or kept.revision <= revision:
            asker.revision = revision
            self._askers[key] = asker
        return asker

    def _in_emergency(self, connection: Connection, requester: Requester, claim: Claim, at: datetime) -> Visibility:
        """What a claim lets be seen: of one patient, what it permits and what a release does; of nobody else."""
        patient = emergency.patient(connection, claim)
        policies = policy.load(connection, {patient} if patient else ())
        request = request_of(connection, requester, at)
        if patient:
            person = emergency.recipient(connection, claim, request.recipient)
            request = replace(request, recipient=person, emergency=emergency.as_asked(claim, patient))
        return compile_visibility(request, policies, self._settings, revision=policy.revision(connection))


def request_of(connection: Connection, requester: Requester, at: datetime) -> Request:
    """The ask as the decision sees it.

    INVARIANT: a system asks, and no person is identified; a refusal of a person of theirs therefore fires.
    """
    client = clients.find(connection, requester.client)
    classes = client.classes if client else frozenset[str]()
    recipient = parties.recipient(connection, requester.organization, classes, at)
    return Request(recipient, requester.purpose, requester.action, requester.channel, at)


class _Asker:
    """One who asks for one purpose, and what was compiled for them.

    Attributes:
        request: The ask, at any instant.
        revision: Of the store, at which they were last looked at.
        until: When who they are changes by itself.
    """

    def __init__(self, request: Request, settings: ConsentSettings) -> None:
        self.request, self.revision = request, -1
        self.until = earliest(turns(request, settings)) or datetime.max.replace(tzinfo=UTC)
        self._settings = settings
        self._one: dict[str, _Compiled] = {}
        self._told: dict[frozenset[str], Visibility] = {}
        self._whole: _Whole | None = None
        self._one_lock, self._whole_lock = threading.Lock(), threading.Lock()

    # --- of some ------------------------------------------------------------------------------------------

    def of(self, connection: Connection, revision: int, at: datetime, about: frozenset[str]) -> Visibility:
        """What may be seen of these patients: as it was told before, until something moves, starts or ends."""
        told = self._told.get(about)
        if told is not None and told.revision == revision and (told.expires_at is None or at < told.expires_at):
            return told
        told = self._of(connection, revision, at, about)
        with self._one_lock:
            self._told[about] = told
            if len(self._told) > RECENT:
                del self._told[next(iter(self._told))]
        return told

    def _of(self, connection: Connection, revision: int, at: datetime, about: frozenset[str]) -> Visibility:
        """Each is looked up, and compiled if it moved."""
        found = [self._known(connection, revision, at, patient) for patient in sorted(about)]
        return Visibility(
            tuple(one.grant for one in found if one.grant is not None), inside=False, revision=revision,
            label_table=TABLE_VERSION, profile=narrowing(self.request, self._settings.minimum), about=about,
            expires_at=earliest([self.until, *(one.expires_at for one in found)]),
        )  # fmt: skip

    def _known(self, connection: Connection, revision: int, at: datetime, patient: str) -> _Compiled:
        kept = self._one.get(patient)
        if kept is not None and kept.holds(at):
            if kept.revision == revision:
                return kept
            if kept.revision < revision and policy.last_move(connection, {patient}) <= kept.revision:
                return self._keep(patient, replace(kept, revision=revision))
        fresh = self._compile(connection, revision, at, {patient}).get(patient) or _Compiled(revision, None, None)
        return fresh if kept is not None and kept.revision > revision else self._keep(patient, fresh)

    def _keep(self, patient: str, compiled: _Compiled) -> _Compiled:
        with self._one_lock:
            self._one[patient] = compiled
            if len(self._one) > MOST:
                del self._one[next(iter(self._one))]
        return compiled

    # --- of everybody -------------------------------------------------------------------------------------

    def whole(self, connection: Connection, revision: int, at: datetime) -> Visibility:
        """What may be seen of anybody; patterns that are new, or of whose patients one moved, are compiled."""
        with self._whole_lock:
            kept = self._whole
            if kept is not None and kept.revision > revision:
                raise PolicyMovedError
            if kept is None or kept.revision < revision or not kept.holds(at):
                kept = self._whole = self._brought_up(connection, revision, at, kept)
        return Visibility(
            (), inside=False, revision=revision, label_table=TABLE_VERSION, expires_at=kept.until,
            profile=narrowing(self.request, self._settings.minimum), everybody=kept.everybody,
            instant=patterns.count(at), compiled=lambda one: self._known(connection, revision, at, one).grant,
        )  # fmt: skip

    def _brought_up(self, connection: Connection, revision: int, at: datetime, kept: "_Whole | None") -> "_Whole":
        """What is kept, without the patterns of whose policy moved, and with those that are new.

        INVARIANT: what is kept of a pattern holds, though nobody may have it now: whom it depends on moves all who
        have it at any instant (``policy.actor_changed``), and whoever gets it later will have moved.
        """
        moved = policy.moved(connection, kept.revision) if kept is not None else None
        if kept is None or moved is None:
            return self._whole_of(connection, revision, at, {}, patterns.present(connection, at))
        gone = patterns.of(connection, moved)
        left = {pattern: one for pattern, one in kept.compiled.items() if pattern not in gone}
        if kept.holds(at):
            found = patterns.present(connection, at, moved)
            return self._whole_of(connection, revision, at, left, found, kept.until)
        found = patterns.present(connection, at)
        still = {one.pattern for one in found}
        left = {pattern: one for pattern, one in left.items() if pattern in still and one.holds(at)}
        return self._whole_of(connection, revision, at, left, found)

    def _whole_of(
        self,
        connection: Connection,
        revision: int,
        at: datetime,
        known: Mapping[str, _Compiled],
        found: Sequence[patterns.Present],
        until: datetime | None = None,
    ) -> "_Whole":
        """Of what is known, and the patterns that were found; one is compiled of somebody who has it."""
        fresh = {one.pattern: one.patient for one in found if one.pattern not in known}
        compiled = self._compile(connection, revision, at, {*fresh.values()})
        nothing = _Compiled(revision, None, None)
        every = {**known, **{pattern: compiled.get(patient, nothing) for pattern, patient in fresh.items()}}
        turns = [one.until for one in found] + [one.expires_at for one in every.values()]
        return _Whole(revision, every, earliest([until, self.until, *turns]), _everybody(every))

    # --- compiling ----------------------------------------------------------------------------------------

    def _compile(
        self, connection: Connection, revision: int, at: datetime, patients: set[str]
    ) -> dict[str, _Compiled]:
        """Of those among these patients whose Consents may name the asker."""
        if not patients:
            return {}
        request = replace(self.request, at=at)
        concerned = policy.candidates(connection, request.recipient.named_by, patients)
        if any_agreement(request, self._settings):
            concerned |= policy.members(connection, patients)
        cases = (Case(request, one, self._settings) for one in policy.load(connection, concerned))
        return {case.policy.patient: _Compiled(revision, grant_of(case), case.next_change) for case in cases}


# --- of whom an answer can be -------------------------------------------------------------------------------------


def whom(connection: Connection, ask: Ask) -> tuple[frozenset[str] | None, ...]:
    """The patients of whom the answer can be; None: of anybody. Several: the first that show anything show all.

    What is about nobody is seen through what refers to it, and as anybody sees it: through some of those whom it
    was brought here for, or else through all.
    """
    match ask:
        case Read(type=kind, id=logical) | VRead(type=kind, id=logical) | History(type=kind, id=str(logical)):
            whose = _whose(connection, kind, logical)
            some = repository.brought_for(connection, kind, logical, SOME) if whose is None else None
            return (some, None) if some else (whose,)
        case Search(type=kind, parameters=parameters):
            return (_sought(connection, kind, parameters),)
        case _:
            return (None,)


def _whose(connection: Connection, kind: str, logical: str) -> frozenset[str] | None:
    found = level(connection, kind, logical)
    if found is None:
        return frozenset()
    patient = found[2]
    return None if patient is None else frozenset({patient})


def _sought(connection: Connection, kind: str, parameters: Iterable[tuple[str, str]]) -> frozenset[str] | None:
    """By one patient, or one id: a visible match is in that patient's record (``store.compartment``)."""
    if kind in PATIENT_FREE:
        return None
    for name, value in parameters:
        logical = value.removeprefix("Patient/")
        if not _ID.fullmatch(logical):
            continue
        if name == "_id" and logical == value:
            return _whose(connection, kind, logical)
        if name in _OF_PATIENT or (name == "subject" and logical != value):
            return frozenset({logical})
    return None


def has_moved(connection: Connection, visibility: Visibility) -> bool:
    """Whether something moved since that may decide otherwise of those of whom the visibility says anything.

    The label tables, too: another program may have begun to label the store by its own.
    """
    revision = policy.revision(connection) if visibility.inside else relabelling.revision(connection)
    if revision == visibility.revision:
        return False
    if revision is None or visibility.about is None:
        return True
    return policy.last_move(connection, {*visibility.about, policy.ORGANIZATIONS}) > visibility.revision
