"""The composition root: settings in, a running gateway out."""

import asyncio
import contextlib
import ipaddress
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import structlog
import uvicorn

from fhirgw import notify, programs
from fhirgw.answer import PageSeal
from fhirgw.api import create_api
from fhirgw.audit import Ledger
from fhirgw.consent.model import ConsentSettings
from fhirgw.errors import DependencyDown, GatewayError, InvalidElement
from fhirgw.ingest import Ingest
from fhirgw.intake import Intake
from fhirgw.notify import Notifier
from fhirgw.programs import Program
from fhirgw.settings import Keys, Senders, Settings
from fhirgw.share import Share
from fhirgw.store.database import Database, migrate
from fhirgw.v2.server import MllpServer, Reply

log = structlog.get_logger(__name__)
POLL_SECONDS = 1.0
"""How long work left by another process (a replay from the command line) may wait."""


class UnsafeBindingError(GatewayError):
    """An address that others can reach, without TLS."""

    issue, http = "security", 500


class SendersFile:
    """The senders file, read again only when it changed."""

    def __init__(self, settings: Settings) -> None:
        """Watch the file the settings name."""
        self._settings = settings
        self._path = settings.senders_file or settings.data_dir / "senders.toml"
        self._seen: tuple[int, int] | None = None
        self._senders = Senders()

    def __call__(self) -> Senders:
        """The senders as the file states them now."""
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            stamp = (0, 0)
        if stamp != self._seen:
            first, self._seen = self._seen is None, stamp
            try:
                self._senders = self._settings.senders()
            except (OSError, ValueError) as error:  # half written, or a slip of the pen: hospitals go on sending
                if first:
                    raise InvalidElement(f"The senders file cannot be read: {error}", location="senders") from None
                log.error("senders file not read; the last one counts", error=type(error).__name__)  # noqa: TRY400
        return self._senders


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything composed; commands and servers take from it what they need."""

    settings: Settings
    keys: Keys
    programs: Mapping[str, Program]
    database: Database
    ledger: Ledger
    share: Share
    intake: Intake
    ingest: Ingest
    notifier: Notifier


def now() -> int:
    """Microseconds since the epoch: the clock of a real gateway."""
    return time.time_ns() // 1000


def new_id() -> str:
    """A fresh opaque id of 26 characters, 130 random bits."""
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    return "".join(secrets.choice(alphabet) for _ in range(26))


def load_programs(folder: Path | None) -> dict[str, Program]:
    """The programmes that ship with fhirgw, and those of the operator's folder."""
    texts = [
        entry.read_text("utf-8")
        for entry in resources.files("fhirgw.programs").iterdir()
        if entry.name.endswith(".toml")
    ]
    texts += [path.read_text("utf-8") for path in sorted(folder.glob("*.toml"))] if folder else []
    loaded = [programs.load(text) for text in texts]
    return {program.id: program for program in loaded}


def build(settings: Settings, *, clock: Callable[[], int] = now) -> Gateway:
    """Compose a gateway over a migrated database."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    keys = settings.keys()
    database = Database(settings.database, clock=clock)
    ledger = Ledger(secrets.token_hex(8), keys.audit)
    known = load_programs(settings.programs_dir)
    share = Share(
        database,
        ledger,
        base=settings.base,
        pages=PageSeal(keys.cursor, settings.cursor_seconds),
        consent=ConsentSettings(),
        clock=clock,
    )
    senders = SendersFile(settings)
    senders()  # one that cannot be read ends the start, not the first message
    intake = Intake(
        database,
        senders=senders,
        id_key=keys.ids,
        duplicate_window_days=settings.duplicate_window_days,
        new_id=new_id,
    )
    ingest = Ingest(
        database,
        ledger,
        programs=known,
        senders=senders,
        id_key=keys.ids,
        new_id=new_id,
        alert_days=settings.alert_days,
    )
    notifier = Notifier(database, share, new_id=new_id, id_key=keys.ids, clock=clock)
    return Gateway(settings, keys, known, database, ledger, share, intake, ingest, notifier)


def require_safe_binding(settings: Settings) -> None:
    """Refuse to listen where others could read along (DESIGN §3).

    Raises:
        UnsafeBindingError: A non-loopback address without ``FHIRGW_BEHIND_TLS_PROXY``.
    """
    for host in (settings.http_host, settings.mllp_host):
        loopback = host == "localhost" or _is_loopback(host)
        if not loopback and not settings.behind_tls_proxy:
            raise UnsafeBindingError(
                "Others could read along: put a TLS proxy in front and set FHIRGW_BEHIND_TLS_PROXY=1."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[MllpServer]:
    """The MLLP server and the workers, up while the context is; drained on the way out."""
    wake = asyncio.Event()
    notes: set[asyncio.Task[None]] = set()

    async def noted(row: int, *, sent: bool) -> None:
        """Note the delivery: before the sender's next message is kept, which does not wait for it to be durable."""
        note = asyncio.create_task(gateway.intake.delivered(row, sent=sent))
        notes.add(note)
        note.add_done_callback(notes.discard)

    async def receive(raw: bytes, peer: str, *, truncated: bool) -> Reply:
        received = await gateway.intake.receive(raw, "mllp", peer, truncated=truncated)
        wake.set()
        row = received.row
        if row is None:
            return Reply(received.answer, None)
        return Reply(received.answer, lambda sent: noted(row, sent=sent))

    await gateway.database.write(gateway.ledger.sign)
    server = MllpServer(receive, gateway.settings, discard=gateway.intake.discard)
    await server.start()
    workers = [
        asyncio.create_task(_process(gateway, wake)),
        asyncio.create_task(gateway.notifier.deliver()),
    ]
    try:
        yield server
    finally:
        await server.stop()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, *notes, return_exceptions=True)
        while await gateway.ingest.messages.process_due():
            pass
        await gateway.database.write(gateway.ledger.sign)


async def _process(gateway: Gateway, wake: asyncio.Event) -> None:
    """Process kept messages as they come; a database that is away is asked again."""
    while True:
        try:
            while await gateway.ingest.messages.process_due():
                pass
        except DependencyDown as error:
            log.warning("processing waits", reason=error.text)
        except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets; the rows are still due
            log.error("processing failed", error=type(error).__name__)  # noqa: TRY400 - a trace could hold data
        wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), POLL_SECONDS)


class HttpServer(uvicorn.Server):
    """uvicorn, ended by a signal without being killed by it: MLLP drains, and the ledger is signed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the serving, and nothing more; uvicorn's own would raise them again."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, self.handle_exit, sign, None)
        try:
            yield
        finally:
            for sign in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(sign)


async def serve(settings: Settings) -> None:
    """Run until a signal ends it; everything acknowledged is on disk, and processed or due."""
    require_safe_binding(settings)
    if not settings.disk_encrypted:
        log.warning("data at rest is not declared encrypted", set="FHIRGW_DISK_ENCRYPTED")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    migrate(settings.database)
    gateway = build(settings)
    try:
        async with running(gateway):
            api = create_api(gateway.share, gateway.ingest, gateway.database, settings, gateway.keys, now, new_id)
            config = uvicorn.Config(
                api,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
            )
            await HttpServer(config).serve()
    finally:
        gateway.database.close()
