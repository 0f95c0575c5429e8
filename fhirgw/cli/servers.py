"""Commands that run the gateway: serve, demo."""

import asyncio
import logging
import sys

import orjson
import structlog
import typer

from fhirgw import app as composition
from fhirgw.cli.clients import add_client, new_key
from fhirgw.cli.terminal import local, patient_id, people
from fhirgw.demo import ALMA, CASES, CLIENTS, FIXTURES, SENDERS, tour
from fhirgw.errors import InvalidElement
from fhirgw.icm.statements import read_case
from fhirgw.settings import Settings
from fhirgw.store import clients
from fhirgw.store.clients import Client

if sys.platform == "win32":  # where uvloop is not to be had
    from asyncio import run
else:
    from uvloop import run

SWITCH_SECONDS = 0.0005
"""How long processing may keep an ACK from its thread; Python's own 5 ms is met several times for each ACK."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.command()(demo)


def serve() -> None:
    """Run the gateway: HTTP and MLLP, until interrupted. Example: FHIRGW_HTTP_PORT=8090 fhirgw serve"""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    sys.setswitchinterval(SWITCH_SECONDS)
    run(composition.serve(Settings()))


def demo() -> None:
    """Load invented members and partners, print what to try, and run the gateway. Example: fhirgw demo"""
    if not FIXTURES.is_dir():
        raise InvalidElement("The demo needs the fixtures of a source checkout.")
    settings = Settings()
    keys = settings.data_dir / "demo"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    senders = settings.data_dir / "senders.toml"
    if not senders.exists():
        senders.write_text(SENDERS, "utf-8")
    with local() as gateway:
        for name in CASES:
            asyncio.run(gateway.ingest.cases.store(read_case((FIXTURES / "icm" / name).read_bytes())))
        for one in CLIENTS:
            with gateway.database.read() as connection:
                known = clients.find(connection, one.id)
            if known is None:
                jwks = new_key(keys / f"{one.id}.jwk")
                added = Client(one.id, one.name, "", jwks, one.scopes, one.purposes, one.inside)
                add_client(gateway, added, one.organization, one.name)
        patient = patient_id(gateway, ALMA)
    people.print(tour(settings, patient), soft_wrap=True, markup=False)
    serve()
