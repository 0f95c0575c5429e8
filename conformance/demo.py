"""A gateway with the demo's members, after every message of the fixtures about them."""

from pathlib import Path

from fhirgw.admission import Peer
from fhirgw.app import Gateway, build
from fhirgw.demo import CASES, SENDERS
from fhirgw.icm.statements import read_case
from fhirgw.settings import Settings
from fhirgw.store.database import migrate

FIXTURES = Path(__file__).parent.parent / "fixtures"
PEER = Peer("conformance", local=True)


def gateway_in(folder: Path) -> Gateway:
    """An empty one."""
    (folder / "senders.toml").write_text(SENDERS, "utf-8")
    settings = Settings(data_dir=folder)
    migrate(settings.database)
    return build(settings)


async def fill(gateway: Gateway) -> None:
    """State the cases, and take the messages."""
    for name in CASES:
        await gateway.ingest.cases.store(read_case((FIXTURES / "icm" / name).read_bytes()))
    for path in sorted(FIXTURES.glob("v2/*/*.hl7")):
        await gateway.intake.receive(path.read_bytes(), "file", PEER)
    while await gateway.ingest.messages.process_due():
        pass
