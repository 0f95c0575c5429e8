"""The composition root: settings in, a running gateway out."""

import asyncio
import base64
import contextlib
import gc
import ipaddress
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from ssl import SSLContext

import structlog
import uvicorn

from fhirgw import clocks, consent_tasks, mirror, relabelling, retention
from fhirgw.admission import Admission
from fhirgw.answer import PageSeal
from fhirgw.api import create_api
from fhirgw.audit import Ledger
from fhirgw.configuration import SendersFile, load_agreements, load_matching, load_minimum, load_programs
from fhirgw.consent.model import ConsentSettings
from fhirgw.doors import Doors, HttpDoor
from fhirgw.errors import DependencyDown, GatewayError, InvalidElement
from fhirgw.ingest import Ingest
from fhirgw.ingest.definitions import publish
from fhirgw.intake import Intake
from fhirgw.mappers.definitional import definitions
from fhirgw.mirror import Mirror
from fhirgw.notify import Notifier
from fhirgw.programs import Program
from fhirgw.replies import Replies
from fhirgw.settings import Keys, Settings
from fhirgw.share import Share
from fhirgw.store import basis
from fhirgw.store.database import Database, migrate
from fhirgw.v2.server import MllpServer
from fhirgw.v2.tls import client_context, server_context

log = structlog.get_logger(__name__)
POLL_SECONDS = 1.0
"""How long work left by another process (a replay from the command line) may wait."""
HTTP_GRACE_SECONDS = 10
"""How long what HTTP has begun may take after a signal (docs/decisions/0326)."""


class UnsafeBindingError(GatewayError):
    """An address that others can reach, without TLS."""

    issue, http = "security", 500


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
    doors: Doors
    mirror: Mirror | None = None


def now() -> int:
    """Microseconds since the epoch: the clock of a real gateway."""
    return time.time_ns() // 1000


def new_id() -> str:
    """A fresh opaque id of 26 characters, 130 random bits."""
    return base64.b32encode(secrets.token_bytes(17))[:26].decode().lower()


def build(settings: Settings, *, clock: Callable[[], int] = now) -> Gateway:
    """Compose a gateway over a migrated database."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    keys = settings.keys()
    database = Database(settings.database, clock=clock)
    ledger = Ledger(secrets.token_hex(8), keys.audit, site=settings.base)
    known = load_programs(settings.programs_dir)
    model = load_matching(settings.matching_file)
    share = Share(
        database,
        ledger,
        base=settings.base,
        pages=PageSeal(keys.cursor, settings.cursor_seconds),
        consent=ConsentSettings(
            agreements=load_agreements(settings.agreements_file, settings.zone),
            minimum=load_minimum(settings.minimum_file),
            break_glass_minutes=settings.break_glass_minutes,
            disclosers=frozenset({settings.organization or ""} - {""}),
            zone=settings.zone,
        ),
        clock=clock,
        matching=model,
    )
    senders = SendersFile(settings)
    senders()  # one that cannot be read ends the start, not the first message
    intake = Intake(
        database,
        senders=senders,
        admission=Admission(refuse_unknown=settings.unknown_senders == "refuse", seconds=time.monotonic),
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
        matching=model,
        alert_days=settings.alert_days,
    )
    notifier = Notifier(database, share, new_id=new_id, id_key=keys.ids, clock=clock)
    replies = Replies(intake, clock=clock, tls=lambda: _return_context(settings))
    doors = Doors(intake, replies, settings, new_id=new_id)
    kept = mirror.configured(settings, database, share, new_id=new_id, clock=clock)
    return Gateway(settings, keys, known, database, ledger, share, intake, ingest, notifier, doors, kept)


def opened(settings: Settings) -> Gateway:
    """The gateway over its database, made or migrated first.

    Raises:
        InvalidElement: What the store keeps of its Consents was read in another zone.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    migrate(settings.database, settings.zone)
    gateway = build(settings)
    with gateway.database.read() as connection:
        kept = basis.zone(connection)
    if kept != settings.zone:
        gateway.database.close()
        text = f"FHIRGW_ZONE is {settings.zone}; this store reads its Consents in {kept}: see fhirgw relabel."
        raise InvalidElement(text, location="zone")
    return gateway


def require_safe_binding(settings: Settings) -> None:
    """Refuse to listen where others could read along (DESIGN §3).

    Raises:
        UnsafeBindingError: A non-loopback address without TLS, and without ``FHIRGW_BEHIND_TLS_PROXY``.
    """
    exposed = [settings.http_host] + [settings.mllp_host] * (settings.mllp_tls_certificate is None)
    for host in exposed:
        loopback = host == "localhost" or _is_loopback(host)
        if not loopback and not settings.behind_tls_proxy:
            raise UnsafeBindingError(
                "Others could read along: put a TLS proxy in front and set FHIRGW_BEHIND_TLS_PROXY=1, "
                "or give MLLP a certificate (FHIRGW_MLLP_TLS_CERTIFICATE)."
            )


def _mllp_context(settings: Settings) -> SSLContext | None:
    """The listener's TLS; None without a certificate."""
    if settings.mllp_tls_certificate is None:
        if settings.mllp_tls_client_ca or settings.mllp_tls_key:
            text = "MLLP has a key or a client CA, and no certificate (FHIRGW_MLLP_TLS_CERTIFICATE)."
            raise InvalidElement(text, location="mllp_tls_certificate")
        return None
    return server_context(settings.mllp_tls_certificate, settings.mllp_tls_key, settings.mllp_tls_client_ca)


def _return_context(settings: Settings) -> SSLContext:
    """TLS towards a sender's return address: our own certificate, where we have one, and the CA of its clients."""
    return client_context(settings.mllp_tls_client_ca, settings.mllp_tls_certificate, settings.mllp_tls_key)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[MllpServer]:
    """The MLLP server and the workers, up while the context is; drained on the way out."""
    doors = gateway.doors
    await gateway.database.write(gateway.ledger.sign)
    await publish(gateway.database, definitions(gateway.programs.values()))
    server = MllpServer(doors, gateway.settings, tls=_mllp_context(gateway.settings))
    await server.start()
    workers = [
        asyncio.create_task(_process(gateway)),
        asyncio.create_task(gateway.notifier.deliver()),
        asyncio.create_task(clocks.keep(_reviews(gateway))),
        asyncio.create_task(retention.keep(retention.of(gateway.database, gateway.settings, gateway.keys))),
        asyncio.create_task(doors.replies.run()),
        asyncio.create_task(relabelling.keep(gateway.database)),
    ]
    if gateway.mirror is not None:
        workers.append(asyncio.create_task(gateway.mirror.keep()))
    try:
        yield server
    finally:
        await server.quiesce()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        while await gateway.ingest.messages.process_due():
            pass
        await doors.replies.deliver()
        await server.stop()
        await doors.drained()
        await gateway.database.write(gateway.ledger.sign)


def _reviews(gateway: Gateway) -> dict[str, Callable[[], Awaitable[int]]]:
    """What the clocks are about."""
    database, consent = gateway.database, gateway.share.consent
    return {
        "tasks": partial(clocks.review_due, database),
        "consents": partial(consent_tasks.review_due, database, consent, gateway.keys.ids),
    }


async def _process(gateway: Gateway) -> None:
    """Process kept messages as they come; a database that is away is asked again."""
    wake = gateway.doors.work
    while True:
        try:
            while await gateway.ingest.messages.process_due():
                gateway.doors.replies.wake()
        except DependencyDown as error:
            log.warning("processing waits", reason=error.text)
        except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets; the rows are still due
            log.error("processing failed", error=type(error).__name__)  # noqa: TRY400 - a trace could hold data
        wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):  # wait_for would swallow a cancel that meets the wake-up
                await wake.wait()


class HttpServer(uvicorn.Server):
    """uvicorn, ended by a signal without being killed by it: MLLP drains, and the ledger is signed.

    Once HTTP has ended a further signal ends the process (docs/decisions/0326).
    """

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


def collect_rarely() -> None:
    """Let the cycle collector look seldom at what lives as long as the process: tables, caches, modules.

    Resources are trees of dicts, freed by their reference counts; with the default thresholds a fifth of the time
    of processing goes into walking the caches (docs/decisions/0117).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


async def serve(settings: Settings) -> None:
    """Run until a signal ends it; everything acknowledged is on disk, and processed or due."""
    require_safe_binding(settings)
    if not settings.disk_encrypted:
        log.warning("data at rest is not declared encrypted", set="FHIRGW_DISK_ENCRYPTED")
    gateway = opened(settings)
    collect_rarely()
    try:
        async with running(gateway):
            await asyncio.to_thread(gateway.database.reserve)
            api = create_api(
                gateway.share,
                gateway.ingest,
                gateway.database,
                settings,
                gateway.keys,
                now,
                new_id,
                feeds=HttpDoor(gateway.doors),
                senders=SendersFile(settings),
            )
            config = uvicorn.Config(
                api,
                host=settings.http_host,
                port=settings.http_port,
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                timeout_graceful_shutdown=HTTP_GRACE_SECONDS,
            )
            await HttpServer(config).serve()
    finally:
        gateway.database.close()
