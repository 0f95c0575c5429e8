"""Commands over the journal: what came, what became of it, what would become of it now.

Local, and accounted for in the ledger where they show a member's data (DESIGN §1). What a listing shows is about
messages, never what stands in them.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial, wraps
from inspect import Signature, signature
from typing import Annotated, Any

import typer

from fhirgw import retention
from fhirgw.app import Gateway, new_id
from fhirgw.audit import Entry
from fhirgw.cli.lint import tell
from fhirgw.cli.terminal import emit, local
from fhirgw.configuration import SendersFile
from fhirgw.difference import differences
from fhirgw.errors import GatewayError, InvalidElement, NotFound
from fhirgw.ingest.messages import Trial
from fhirgw.intake import refusals
from fhirgw.mappers.adt import read
from fhirgw.store import inspection, journal
from fhirgw.store.journal import STATES, Which
from fhirgw.store.stored import instant
from fhirgw.v2.explanation import explain

journal_app = typer.Typer(help="The inbound messages: what came, what became of it.", no_args_is_help=True)

AGAIN = ("parked", "rejected")
"""What is replayed when nobody says what."""


def _microseconds(text: str) -> int:
    """An instant; what names no offset is UTC, as everything that is listed."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidElement("This is no date or time of ISO 8601.", location="--since, --until") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


States = Annotated[list[str] | None, typer.Option("--state", help=f"{', '.join(STATES)}; repeat.")]
Ack = Annotated[str | None, typer.Option("--ack", help="Whose ACK is owed, sent or unsent.")]
SenderName = Annotated[str | None, typer.Option("--sender", help="Name in the senders file, or default.")]
ControlId = Annotated[str | None, typer.Option("--control-id", help="MSH-10.")]
Event = Annotated[str | None, typer.Option("--event", help="MSH-9.2: A01.")]
Error = Annotated[str | None, typer.Option("--error", help="Code of table 0357: 101.")]
Location = Annotated[str | None, typer.Option("--location", help="Where the error is: PID-3.4.")]
Since = Annotated[int | None, typer.Option("--since", parser=_microseconds, help="Received then or later (UTC).")]
Until = Annotated[int | None, typer.Option("--until", parser=_microseconds, help="Received before (UTC).")]
RowId = Annotated[int, typer.Argument(help="Journal id.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(journal_app, name="journal")


def _which(
    state: States = None,
    ack: Ack = None,
    sender: SenderName = None,
    control_id: ControlId = None,
    event: Event = None,
    error: Error = None,
    location: Location = None,
    since: Since = None,
    until: Until = None,
) -> Which:
    """Which messages a command is about."""
    for one in state or ():
        if one not in STATES:
            raise InvalidElement(f"A message is {', '.join(STATES)}.", location="--state")
    return {
        "state": tuple(state) if state else None,
        "ack_state": ack,
        "sender": sender,
        "control_id": control_id,
        "trigger": event,
        "error_code": error,
        "error_location": location,
        "since": since,
        "until": until,
    }


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``_which`` instead of its argument ``which``."""
    options = signature(_which).parameters

    @wraps(command)
    def chosen(**given: Any) -> None:
        command(_which(**{name: given.pop(name) for name in options}), **given)

    _, *own = signature(command).parameters.values()
    chosen.__signature__ = Signature([*options.values(), *own])  # type: ignore[attr-defined]  # typer reads it
    return chosen


@journal_app.command("list")
@_choosing
def journal_list(
    which: Which,
    before: Annotated[int | None, typer.Option(help="Only what is older than this journal id.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 50,
) -> None:
    """List messages without their content. Example: fhirgw journal list --state rejected"""
    with local() as gateway, gateway.database.read() as connection:
        for row in journal.list_(connection, before=before, limit=limit, **which):
            emit(_listed(row))


@journal_app.command("counts")
@_choosing
def journal_counts(which: Which) -> None:
    """How many messages of whom are in which state, for what. Example: fhirgw journal counts --state parked"""
    with local() as gateway, gateway.database.read() as connection:
        for one in inspection.kinds(connection, **which):
            emit(
                {
                    "state": one.state,
                    "sender": one.sender,
                    "error": one.error_code,
                    "location": one.error_location,
                    "messages": one.messages,
                    "first": instant(one.first_at),
                    "last": instant(one.last_at),
                }
            )


@journal_app.command("show")
def journal_show(
    row: RowId,
    facts: Annotated[
        bool, typer.Option("--facts", help="What was read of it, for the visit and the person.")
    ] = False,
    lint: Annotated[bool, typer.Option("--lint", help="Explain it segment by segment, as lint does.")] = False,
) -> None:
    """Print the bytes of a message; this is accounted for. Example: fhirgw journal show 12"""
    with local() as gateway:
        with gateway.database.read() as connection:
            found = journal.get(connection, row)
            told = inspection.facts(connection, row)
        if found.state == "expired" and not facts:
            raise NotFound("The bytes of this message have expired; --facts shows what was read of them.")
        _account(gateway, "journal-show", row, [patient for patient, _ in told])
        if facts:
            for patient, fact in told:
                emit({"id": row, "patient": patient, "facts": fact})
        elif lint:
            reader = partial(read, senders=SendersFile(gateway.settings)(), id_key=gateway.keys.ids)
            tell(explain(found.raw, reader, refusals), f"journal {row}", {"id": row}, values=True)
        else:
            print(bytes(found.raw).decode("utf-8", "replace").replace("\r", "\n"))


@journal_app.command("replay")
@_choosing
def journal_replay(
    which: Which,
    rows: Annotated[
        list[int] | None, typer.Argument(help="Journal ids; none: by the options, else all parked or rejected.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of them; change nothing.")
    ] = False,
) -> None:
    """Process messages again, under the senders file as it is now.

    Without ids, what is parked or rejected, as the options say; --state says otherwise.

    Example: fhirgw journal replay 12
    """
    if rows and any(value is not None for value in which.values()):
        raise InvalidElement("Give journal ids, or options that say which.")
    which["state"] = which.get("state") or AGAIN
    with local() as gateway:
        with gateway.database.read() as connection:
            wanted = rows or inspection.keys(connection, **which)
        failed = asyncio.run(_each(gateway, wanted, _would if dry_run else _replay))
    raise typer.Exit(code=int(failed))


@journal_app.command("diff")
def journal_diff(
    rows: Annotated[list[int], typer.Argument(help="Journal ids.", show_default=False)],
    values: Annotated[
        bool, typer.Option(help="Show what stands there: data of people; this is accounted for.")
    ] = False,
) -> None:
    """What processing messages again would change, element by element. Example: fhirgw journal diff 12"""
    with local() as gateway:
        failed = asyncio.run(_each(gateway, rows, partial(_differ, values=values)))
    raise typer.Exit(code=int(failed))


@journal_app.command("expire")
def journal_expire() -> None:
    """Remove what is over its time now, as `serve` does every hour. Example: fhirgw journal expire"""
    with local() as gateway:
        emit(asyncio.run(retention.of(gateway.database, gateway.settings, gateway.keys).run()))


def _listed(row: journal.Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "received": instant(row.received_at),
        "channel": row.channel,
        "sender": row.sender,
        "control_id": row.control_id,
        "event": row.trigger,
        "state": row.state,
        "attempts": row.attempts,
        "ack": row.ack_code,
        "ack_state": row.ack_state,
        "error": row.error_code,
        "location": row.error_location,
        "text": row.error_text,
    }


async def _each(gateway: Gateway, rows: Iterable[int], take: Any) -> bool:
    """Take messages one after the other, and tell of each; whether one of them is not well."""
    failed = False
    for key in rows:
        try:
            told = await take(gateway, key)
        except NotFound as error:
            told = {"id": key, "state": None, "error": error.err, "location": None, "text": error.text}
        failed = failed or told["state"] not in ("processed", "waiting")
        emit(told)
    return failed


async def _replay(gateway: Gateway, key: int) -> dict[str, Any]:
    row = await gateway.ingest.messages.replay(key)
    return {
        "id": key,
        "state": row.state,
        "error": row.error_code,
        "location": row.error_location,
        "text": row.error_text,
    }


async def _would(gateway: Gateway, key: int) -> dict[str, Any]:
    trial = await gateway.ingest.messages.try_(key)
    return _outcome(key, trial) | {"resources": len(trial.changes)}


async def _differ(gateway: Gateway, key: int, *, values: bool) -> dict[str, Any]:
    trial = await gateway.ingest.messages.try_(key)
    if values:
        with gateway.database.read() as connection:
            told = {patient for patient, _ in inspection.facts(connection, key)}
        await asyncio.to_thread(_account, gateway, "journal-diff", key, trial.patients | told)
    changes = [
        {"resource": reference, "path": change.path, "change": change.kind}
        | ({"before": change.before, "after": change.after} if values else {})
        for reference, before, after in trial.changes
        for change in differences(reference.partition("/")[0], before, after)
    ]
    return _outcome(key, trial) | {"changes": changes}


def _outcome(key: int, trial: Trial) -> dict[str, Any]:
    """What would become of a message; of an error of our own, no text, which may hold a value."""
    problem = trial.problem
    known = problem if isinstance(problem, GatewayError) else None
    return {
        "id": key,
        "state": trial.state,
        "error": known.err if known else None,
        "location": known.location if known else None,
        "text": known.text if known else type(problem).__name__ if problem else None,
    }


def _account(gateway: Gateway, command: str, row: int, patients: Iterable[str | None]) -> None:
    """An entry for each patient a message is about; of one about nobody here, one for the message."""
    known: list[str | None] = [*sorted({patient for patient in patients if patient})]
    entries = [
        Entry(patient, "operator", None, "HOPERAT", False, command, (f"journal/{row}",), (), new_id())
        for patient in known or [None]
    ]
    gateway.database.write_sync(lambda tx: gateway.ledger.append(tx, entries))
