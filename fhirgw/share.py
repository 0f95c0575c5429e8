"""The only way out: who asks? ► decide ► select ► redact ► account ► release.

Every exit calls ``Share.release``; it alone makes a ``Released``. The answer is a function of the visible
projection of the store: policies become a ``Visibility``, the store selects, counts, sorts and pages under it, what
is selected is redacted, and the disclosure is in the ledger before the bytes are handed over. If the policy moved
meanwhile, everything is done again. (DESIGN §1, §6; consent specification §0, §2.)
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlencode

import orjson
import structlog
from sqlalchemy import Connection

from fhirgw import alerts, emergency, metrics
from fhirgw.answer import (
    Answer,
    PageSeal,
    Place,
    Shown,
    distinct,
    history,
    http_date,
    page_url,
    searchset,
    show,
)
from fhirgw.asks import (
    Ask,
    History,
    NextPage,
    Notification,
    Operation,
    Read,
    Requester,
    Search,
    VRead,
)
from fhirgw.audit import Ledger
from fhirgw.bookkeeping import Books, Unit
from fhirgw.came_back import Returns, came_back
from fhirgw.consent.decide import Case
from fhirgw.consent.model import ConsentSettings, digest
from fhirgw.consent.notice import STATEMENT, scopes
from fhirgw.consent.predicate import Visibility
from fhirgw.consult import Asker, Consult, consult
from fhirgw.document import Disclosures, Document, assemble, disclosed
from fhirgw.errors import Forbidden, TooLarge, Withheld
from fhirgw.lookup import Match, look_up
from fhirgw.matching import Model, load
from fhirgw.released import Released
from fhirgw.replica import Replica, next_transaction
from fhirgw.store import clients, policy, repository, search
from fhirgw.store.database import Database
from fhirgw.store.endings import RELEASE_ENDED, to_tell
from fhirgw.store.repository import Stored
from fhirgw.store.search import BeyondError
from fhirgw.store.versions import kept_versions
from fhirgw.visibility import PolicyMovedError, Visibilities, has_moved, request_of, whom

log = structlog.get_logger(__name__)
PART2_HEADER = "X-42CFR-Part-2"
PART2_SCOPE_HEADER = "X-42CFR-Part-2-Scope"
"""With the notice, what the releases say that such records are released for (42 CFR 2.32)."""
SCOPE_CHARACTERS = 6000
"""What a header may hold: clients and proxies stop reading at 8 KiB."""

ATTEMPTS = 5
ENCOUNTER_INCLUDES = ("subject", "location", "participant", "service-provider")


@dataclass(frozen=True, slots=True)
class _Turn:
    """One attempt at an answer: a consistent read, for one requester, at one instant."""

    connection: Connection
    requester: Requester
    visibility: Visibility
    now: int

    def shown(self, rows: Sequence[Stored]) -> list[Shown]:
        return [one for stored in rows if (one := show(stored, self.visibility))]

    def readable(self, kind: str) -> bool:
        return clients.scope_allows(self.requester.scopes, kind, "r")


class Share:
    """The gateway's mouth. One instance serves all exits."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        *,
        base: str,
        pages: PageSeal,
        consent: ConsentSettings,
        clock: Callable[[], int],
        matching: Model | None = None,
    ) -> None:
        """Compose.

        Args:
            database: The store.
            ledger: This process's chain.
            base: Base URL of the API, for links.
            pages: Seals page tokens.
            consent: The switches of the consent specification.
            clock: Microseconds since the epoch.
            matching: Weights and thresholds of ``$match``; None: those that ship with fhirgw.
        """
        self._database = database
        self._books = Books(ledger, digest(consent))
        self._base = base
        self._pages = pages
        self.consent = consent
        self._clock = clock
        self._matching = matching or load()
        self.visibilities = Visibilities(consent)

    async def release(self, requester: Requester, ask: Ask) -> Released:
        """Answer, as far as consent goes; the account of it is durable when this returns.

        Raises:
            NotFound: There is nothing, or nothing this requester may see; the two cannot be told apart.
            InvalidElement: A parameter or page token that cannot be read.
            Forbidden: The scope of the token, whatever the store holds.
        """
        for _ in range(ATTEMPTS):
            try:
                visibility, answer, entered = await asyncio.to_thread(self._answered, requester, ask)
                if entered is not None:
                    await self._database.write(entered, urgent=True)
            except PolicyMovedError:
                continue
            still = None if visibility.inside else partial(self._holds, _as_far_as(visibility, answer))
            return _released(answer, still)
        raise PolicyMovedError

    def _answered(self, requester: Requester, ask: Ask) -> tuple[Visibility, Answer, Unit | None]:
        """An answer, and what is still to be entered of it: nothing, where nobody else was writing."""
        now = self._clock()
        visibility, answer = self._select(requester, ask, now)
        unit = self._books.account(requester, visibility, answer, now)
        entered = self._database.write_here(unit)
        return visibility, answer, None if entered else unit

    async def claimed(self, requester: Requester) -> None:
        """Document an emergency claim and tell of it, before anything is asked under it, and whatever it opens."""
        claim = requester.emergency
        if claim is None:
            return
        await self._database.write(self._books.claim(requester, claim), urgent=True)
        metrics.emergencies.inc()
        log.warning("an emergency was claimed; it is to be reviewed", client=requester.client, claim=claim.id)

    async def _holds(self, visibility: Visibility) -> bool:
        """Whether the policy has not moved: what is of an answer that was not handed over yet ends where it has."""

        def moved() -> bool:
            with self._database.read() as connection:
                return has_moved(connection, visibility)

        return not await asyncio.to_thread(moved)

    # --- select and redact --------------------------------------------------------------------------------

    def _select(self, requester: Requester, ask: Ask, now: int) -> tuple[Visibility, Answer]:
        with self._database.read() as connection:
            *first, last = self._whom(connection, requester, ask, now)
            for about in first:
                with suppress(Withheld):
                    return self._select_of(connection, requester, ask, now, about)
            return self._select_of(connection, requester, ask, now, last)

    def _select_of(
        self, connection: Connection, requester: Requester, ask: Ask, now: int, about: frozenset[str] | None
    ) -> tuple[Visibility, Answer]:
        """The answer as far as these patients go, and those whom its includes lead to; None: anybody."""
        while True:
            visibility = self.visibilities.of(connection, requester, now, about)
            turn = _Turn(connection, requester, visibility, now)
            try:
                answer = self._answer(turn, ask)
            except BeyondError as others:
                about = others.patients.union(about or ())
            else:
                visibility.grant_for(answer.about or None)  # it is accounted for when the connection is closed
                scopes = self._scopes(turn, answer.shown)
                return visibility, replace(answer, scopes=scopes) if scopes else answer

    def _whom(
        self, connection: Connection, requester: Requester, ask: Ask, now: int
    ) -> tuple[frozenset[str] | None, ...]:
        """Of whom the answer can be; None: of anybody."""
        if requester.inside is not None:
            return (None,)
        if isinstance(ask, NextPage):
            place = self._pages.open(ask.token, _bound_to(requester), now)
            ask = Search(place.type, place.parameters)
        return whom(connection, ask)

    def _answer(self, turn: _Turn, ask: Ask) -> Answer:
        match ask:
            case Read(type=kind, id=logical):
                stored = repository.read(turn.connection, kind, logical, turn.visibility)
                return _single(turn.shown([stored] if stored and not stored.deleted else []), "read")
            case VRead(type=kind, id=logical, version=version):
                versions = self._versions(turn, kind, logical)
                named = [one for one in versions if one.body["meta"]["versionId"] == version]
                return _single([one for one in named if not one.stored.deleted], "vread")
            case History(type=kind, id=logical):
                return self._history(turn, kind, logical)
            case Search(type=kind, parameters=parameters, strict=strict, by_post=by_post):
                return self._search(turn, Place(kind, parameters, strict, by_post, None))
            case NextPage(token=token):
                return self._search(turn, self._pages.open(token, _bound_to(turn.requester), turn.now))
            case Notification():
                notices = {clients.EMERGENCY: self._emergency_notice, RELEASE_ENDED: self._ended_notice}
                return notices.get(ask.code, self._notification)(turn, ask)
            case _:
                return self._operation(turn, ask)

    def _operation(self, turn: _Turn, ask: Operation) -> Answer:
        match ask:
            case Match():
                return look_up(turn.connection, turn.visibility, self._matching, ask, self._base)
            case Consult():
                return self._consult(turn, ask)
            case Document() | Replica():
                return self._record(turn, ask)
            case Disclosures() | Returns():
                return self._own(turn, ask)

    def _consult(self, turn: _Turn, ask: Consult) -> Answer:
        asking = request_of(turn.connection, turn.requester, datetime.fromtimestamp(turn.now / 1_000_000, UTC))
        return consult(turn.connection, Asker(asking, turn.visibility, self.consent), ask, self._base)

    def _history(self, turn: _Turn, kind: str, logical: str | None) -> Answer:
        versions = self._versions(turn, kind, logical)
        if logical and not versions:
            raise Withheld
        path = f"{kind}/{logical}" if logical else kind
        interaction = "history-instance" if logical else "history-type"
        return Answer(history(self._base, path, versions), versions, interaction)

    def _versions(self, turn: _Turn, kind: str, logical: str | None) -> list[Shown]:
        """Newest first. Outside the programme, versions that differ in hidden parts only are one."""
        rows = kept_versions(turn.connection, kind, logical, turn.visibility)
        versions = turn.shown(rows)
        return versions if turn.visibility.inside else distinct(versions)

    def _search(self, turn: _Turn, place: Place) -> Answer:
        if not clients.scope_allows(turn.requester.scopes, place.type, "s"):
            raise Forbidden("The token's scope does not cover searching this type.")
        query = search.parse(place.type, place.parameters, strict=place.strict, base=self._base)
        page = search.run(turn.connection, query, turn.visibility, after=place.after)
        matches = turn.shown(page.matches)
        included = [
            one
            for one in turn.shown(page.included)
            if clients.scope_allows(turn.requester.scopes, one.stored.type, "r")
        ]
        links = [("self", self._self_link(turn, place, query.ignored))]
        if page.after is not None:
            links.append(("next", self._page_link(turn, replace(place, after=page.after))))
        bundle = searchset(self._base, matches, included, total=page.total, links=links, ignored=query.ignored)
        return Answer(bundle, [*matches, *included], "search-type")

    def _self_link(self, turn: _Turn, place: Place, ignored: Sequence[str]) -> str:
        """The search as understood. Values that came in a body, or a later page, come back sealed."""
        if place.by_post or place.after is not None:
            return self._page_link(turn, place)
        known = [(name, value) for name, value in place.parameters if name not in ignored]
        return f"{self._base}/{place.type}" + (f"?{urlencode(known)}" if known else "")

    def _page_link(self, turn: _Turn, place: Place) -> str:
        return page_url(self._base, self._pages.seal(place, _bound_to(turn.requester), turn.now))

    def _notification(self, turn: _Turn, ask: Notification) -> Answer:
        """The visible part of the visit.

        Without the Encounter itself there is nothing to say; nor if what is told cannot be seen in what is shown
        of it: that it is told would say it.
        """
        encounter = ask.focus.removeprefix("Encounter/")
        asked: list[tuple[str, str]] = [("_id", encounter)]
        asked += [("_include", f"Encounter:{name}") for name in ENCOUNTER_INCLUDES]
        shown: list[Shown] = []
        for kind, parameters in (("Encounter", asked), ("Condition", [("encounter", f"Encounter/{encounter}")])):
            page = search.run(
                turn.connection, search.parse(kind, parameters, strict=True), turn.visibility, after=None
            )
            shown += turn.shown([*page.matches, *page.included])
        if not shown or shown[0].stored.type != "Encounter":
            raise Withheld
        facts = alerts.facts(shown[0].body, alerts.units(turn.connection))
        if ask.undone == any((one.code, one.key) == (ask.code, ask.key) for one in facts):
            raise Withheld
        receiver = f"Organization/{turn.requester.organization}"
        body = alerts.message(self._base, ask.code, ask.endpoint, receiver, shown, id=ask.id, timestamp=turn.now)
        return Answer(body, shown, "operation")

    def _emergency_notice(self, turn: _Turn, ask: Notification) -> Answer:
        """The Task to review a claim, for the programme's own system: outside, nobody can see it."""
        stored = repository.read(turn.connection, "Task", ask.focus.removeprefix("Task/"), turn.visibility)
        shown = turn.shown([stored] if stored and not stored.deleted else [])
        if not shown:
            raise Withheld
        receiver = f"Organization/{turn.requester.organization}"
        body = emergency.notice(self._base, ask.endpoint, receiver, shown[0], id=ask.id, timestamp=turn.now)
        return Answer(body, shown, "operation")

    def _ended_notice(self, turn: _Turn, ask: Notification) -> Answer:
        """That a release has ended, to whom the ledger has it that something was released under it (leak 50)."""
        consent = ask.focus.removeprefix("Consent/")
        stored = repository.current(turn.connection, "Consent", consent)
        if stored is not None and not stored.deleted and stored.body.get("status") == "active":
            raise Withheld
        if not any(one.client == turn.requester.client for one in to_tell(turn.connection, ask.patient, consent)):
            raise Withheld
        receiver = f"Organization/{turn.requester.organization}"
        body = alerts.release_ended(self._base, ask.endpoint, receiver, ask.patient, id=ask.id, timestamp=turn.now)
        return Answer(body, (), "operation", about=ask.patient)

    def _record(self, turn: _Turn, ask: Document | Replica) -> Answer:
        connection, visibility, readable = turn.connection, turn.visibility, turn.readable
        if isinstance(ask, Replica):
            return next_transaction(connection, visibility, ask, readable=readable)
        return assemble(
            connection, visibility, ask, base=self._base, now=turn.now, readable=readable,
            scopes=partial(self._scopes, turn),
        )  # fmt: skip

    def _scopes(self, turn: _Turn, shown: Sequence[Shown]) -> tuple[str, ...]:
        """What the releases of the patients of Part 2 records say of them."""
        kinds: dict[str, set[str]] = {}
        for one in shown:
            if one.part2 and one.stored.patient is not None:
                kinds.setdefault(one.stored.patient, set()).add(one.stored.type)
        if not kinds:
            return ()
        request = request_of(turn.connection, turn.requester, datetime.fromtimestamp(turn.now / 1_000_000, UTC))
        said = (
            scopes(Case(request, known, self.consent), kinds[known.patient])
            for known in policy.load(turn.connection, kinds)
        )
        found = tuple(dict.fromkeys(sentence for each in said for sentence in each))
        if sum(map(len, found)) > SCOPE_CHARACTERS:
            raise TooLarge("More consents are behind this answer than it can state: ask for less at a time.")
        return found

    def _own(self, turn: _Turn, ask: Disclosures | Returns) -> Answer:
        """What the programme's own systems alone may ask; nobody else learns whether there is anything."""
        if turn.requester.inside is None:
            raise Forbidden("This is for the programme's own systems.")
        if isinstance(ask, Disclosures):
            return disclosed(turn.connection, turn.visibility, ask, turn.now)
        return came_back(turn.connection, turn.visibility, turn.requester.inside, ask)


def _single(shown: Sequence[Shown], interaction: str) -> Answer:
    if not shown:
        raise Withheld
    return Answer(shown[0].body, shown[:1], interaction)


def _released(answer: Answer, still: Callable[[], Awaitable[bool]] | None) -> Released:
    headers = {PART2_HEADER: STATEMENT} if any(one.part2 for one in answer.shown) else {}
    if answer.scopes:
        headers[PART2_SCOPE_HEADER] = "; ".join(answer.scopes)
    if answer.interaction in ("read", "vread"):
        meta = answer.shown[0].body["meta"]
        headers["ETag"] = f'W/"{meta["versionId"]}"'
        if "lastUpdated" in meta:
            headers["Last-Modified"] = http_date(meta["lastUpdated"])
    body = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
    return Released(body, answer.media_type, headers=headers, still=still)


def _as_far_as(visibility: Visibility, answer: Answer) -> Visibility:
    """The visibility, about those alone whom the answer shows; what came of somebody's care may be of anybody's."""
    whose = {one.stored.patient for one in answer.shown if one.stored.standing != "registry"}
    about = frozenset(patient for patient in {*whose, answer.about or None} if patient is not None)
    if None in whose or not about or about == visibility.about:
        return visibility
    return replace(visibility, about=about)


def _bound_to(requester: Requester) -> tuple[str, str]:
    """Whom a page token serves."""
    return requester.client, requester.purpose
