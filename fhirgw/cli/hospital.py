"""The other use of ``harness``: days of a synthetic hospital, sent to a gateway."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from fhirgw.errors import InvalidElement
from fhirgw.harness import hospital
from fhirgw.harness.hospital.sending import Engine
from fhirgw.harness.report import Report
from fhirgw.harness.target import Target
from fhirgw.v2.tls import client_context


@dataclass(frozen=True, slots=True)
class Feed:
    """What the command line says of a hospital.

    Attributes:
        url: ``mllp://host:port``, or ``mllps://`` for TLS.
        days: How many days of it.
        visits_a_day: How many visits begin on each.
        speed_up: Its seconds in one of ours; None: no waiting.
        seed: The same hospital again.
        connections: How many at once.
        ca: CA of the gateway (PEM).
        certificate: The hospital's certificate (PEM).
        key: Its private key (PEM).
    """

    url: str
    days: int
    visits_a_day: int
    speed_up: float | None
    seed: int
    connections: int
    ca: Path | None
    certificate: Path | None
    key: Path | None

    @property
    def engine(self) -> Engine:
        """Where to, and how.

        Raises:
            InvalidElement: The URL is none, or a file cannot be read.
        """
        url = urlsplit(self.url)
        if url.scheme not in ("mllp", "mllps") or not url.hostname or not url.port:
            raise InvalidElement("A hospital feed goes to mllp://host:port, or mllps://", location="--hospital")
        tls = client_context(self.ca, self.certificate, self.key) if url.scheme == "mllps" else None
        return Engine(url.hostname, url.port, tls, self.connections, self.speed_up)


def trial(feed: Feed, target: Target | None, course: hospital.Course) -> Report:
    """Send the days, which ended a moment ago, and hold what came of them to the hospital's books."""
    engine = feed.engine
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=feed.days, hours=1)
    plan = hospital.Plan(secrets.token_hex(3).upper(), start, feed.days, feed.visits_a_day, feed.seed)
    return hospital.run(engine, target, plan, course)
