"""The command that tries a FHIR server with what we emit, or a gateway with a hospital's feed: harness."""

import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fhirgw import harness as course
from fhirgw import send
from fhirgw.app import new_id
from fhirgw.cli import hospital as feeds
from fhirgw.cli.terminal import emit, people
from fhirgw.configuration import load_programs
from fhirgw.errors import InvalidElement
from fhirgw.harness.hospital import Course
from fhirgw.harness.report import FORMS, Report, write
from fhirgw.harness.synthetic import Amount, Run, samples
from fhirgw.harness.target import Target, is_here
from fhirgw.harness.written import Written
from fhirgw.settings import Settings

PUBLIC = "https://hapi.fhir.org/baseR4"
"""HAPI's public test server for R4."""
POLITE = 4.0
"""Requests a second to a server that is not on this machine."""
TOKEN_SECONDS = 120
SCOPE, ICM = "system/*.cruds", "system/icm"
INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="harness")(harness)


def harness(
    target: Annotated[
        str | None, typer.Option(help=f"Base URL of a FHIR R4 server. Default: {PUBLIC}; with --hospital, none.")
    ] = None,
    token: Annotated[str | None, typer.Option("--token", help="Access token, where it asks for one.")] = None,
    client: Annotated[str | None, typer.Option(help="Sign in as this client instead (SMART Backend).")] = None,
    key: Annotated[Path | None, typer.Option(help="The client's private key (PEM or JWK).")] = None,
    amount: Annotated[
        Amount | None,
        typer.Option(help="How much is sent. Default: full to this machine, small to others."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave on the server what was written.")] = False,
    report: Annotated[
        list[Path] | None, typer.Option(help="Write a report: .html, .json or .xml (JUnit); repeat.")
    ] = None,
    per_second: Annotated[
        float | None, typer.Option(help="Requests a second. Default: 4, and no limit on this machine.")
    ] = None,
    clean: Annotated[
        Path | None, typer.Option(help="Only remove what the run left that this journal is of.")
    ] = None,
    hospital: Annotated[
        str | None,
        typer.Option(help="Send days of a synthetic hospital to this gateway: mllp://host:port, mllps://"),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Days of the hospital.")] = 2,
    visits_a_day: Annotated[int, typer.Option(min=1, help="Visits that begin on each of them.")] = 30,
    speed_up: Annotated[
        float | None, typer.Option(min=1.0, help="Its seconds in one of ours. Default: no waiting.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same hospital.")] = 0,
    connections: Annotated[int, typer.Option(min=1, help="MLLP connections at once.")] = 4,
    ca: Annotated[Path | None, typer.Option(help="CA of the MLLP server (PEM); default: the system's.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="The hospital's certificate (PEM), for mutual TLS.")
    ] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
) -> None:
    """Try a FHIR R4 server with all that this gateway emits, or a gateway with days of a synthetic hospital.

    Everything is invented. What is written to a FHIR server is tagged, and removed at the end, also after Ctrl-C;
    after a crash by the next run, or by --clean. What a gateway received as a hospital's message stays there.
    The local store is never opened. Example: fhirgw harness --report report.html
    """
    for path in report or []:
        if path.suffix not in FORMS:
            raise InvalidElement(f"A report is written as {', '.join(FORMS)}.", location="--report")
    written = Written.read(clean) if clean else None
    base = written.target if written else target or (None if hospital else PUBLIC)
    signed_in = _signed_in(base, token, client, key, scope=f"{SCOPE} {ICM}" if hospital else SCOPE)
    server = _server(base, signed_in, per_second) if base else None
    try:
        if written and server:
            raise typer.Exit(code=_removed(server, written))
        with _progress() as progress, _terminated_as_interrupted():
            if hospital:
                feed = feeds.Feed(
                    hospital, days, visits_a_day, speed_up, seed, connections, ca, certificate, certificate_key
                )
                done = feeds.trial(feed, server, Course(progress))
            elif server:
                done = _tried(server, amount, progress, keep=keep)
    finally:
        if server:
            server.close()
    for path in report or []:
        write(done, path)
    _tell(done)
    raise typer.Exit(code=INTERRUPTED if done.interrupted else int(not done.passed))


def _server(base: str, signed_in: Callable[[], str | None], per_second: float | None) -> Target:
    return Target(base, token=signed_in, per_second=per_second or (None if is_here(base) else POLITE))


def _tried(
    server: Target, amount: Amount | None, progress: Callable[[str, int, int], None], *, keep: bool
) -> Report:
    """A FHIR server, with what the gateway emits."""
    settings = Settings()
    run = Run(secrets.token_hex(4), secrets.token_bytes(32))
    size = amount or ("full" if is_here(server.base) else "small")
    programs = load_programs(settings.programs_dir)
    options = course.Options(settings.data_dir / "harness", size, keep, progress)
    return course.run(server, run, samples(run, size, programs), options)


def _removed(server: Target, written: Written) -> int:
    left = course.clean(server, written)
    emit({"target": written.target, "run": written.run, "left": left})
    return int(bool(left))


def _tell(report: Report) -> None:
    """What went wrong for people, the numbers for machines."""
    for one in report.results:
        if one.status == "failed":
            people.print(f"[red]failed[/red] {one.capability} {one.subject}", soft_wrap=True)
            people.print(*(f"  {note}" for note in one.notes), sep="\n", soft_wrap=True, markup=False)
    emit(report.summary())


def _signed_in(
    base: str | None, given: str | None, client: str | None, key: Path | None, *, scope: str
) -> Callable[[], str | None]:
    """What gives each request its token: the given one, or a fresh one of the client's every two minutes."""
    if (client is None) != (key is None) or (given and client):
        raise InvalidElement("Give --token, or --client with --key.")
    if (given or client) and not (base and (base.startswith("https://") or is_here(base))):
        raise InvalidElement("A token is shown over https only.", location="--target")
    if base is None or client is None or key is None:
        return lambda: given
    credentials = send.Credentials(client, key.read_text("utf-8"), scope=scope)
    held: list[tuple[float, str]] = []

    def fresh() -> str:
        now = time.time()
        if not held or now > held[-1][0] + TOKEN_SECONDS:
            held[:] = [(now, send.token(base, credentials, now=int(now), jti=new_id()))]
        return held[-1][1]

    return fresh


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=people, transient=True) as bar:
        task = bar.add_task("connect", total=None)

        def told(what: str, before: int, of: int) -> None:
            bar.update(task, description=what[:60], completed=before, total=of)

        yield told


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A SIGTERM ends a run as Ctrl-C does: it cleans up. A second one, as ``timeout`` sends, does not end that."""

    def interrupt(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
