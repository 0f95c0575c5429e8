"""Counters for the operator.

INVARIANT: no label tells of a patient, a resource id, a consent category, a client or a decision: what is counted
here for hidden data must not be told from what is counted for visible data (leak 36). Routes are templates,
never paths. ``/metrics`` answers this machine alone.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

registry = CollectorRegistry()

messages = Counter(
    "fhirgw_v2_messages",
    "HL7 v2 messages by what the sender was told (MSA-1; none: no answer)",
    ["code"],
    registry=registry,
)
processed = Counter(
    "fhirgw_v2_processed", "HL7 v2 messages by what became of them after the ACK", ["state"], registry=registry
)
breaches = Counter("fhirgw_clock_breaches", "Tasks whose due time passed while they were open", registry=registry)
expired = Counter(
    "fhirgw_journal_expired", "Journal rows whose bytes were removed by retention, by why", ["why"], registry=registry
)
journal_rows = Gauge("fhirgw_journal_rows", "Journal rows by processing state", ["state"], registry=registry)
outbox_rows = Gauge("fhirgw_outbox_rows", "Outbox rows by state", ["state"], registry=registry)
requests = Counter(
    "fhirgw_http_requests",
    "HTTP requests by route template, method and status",
    ["route", "method", "status"],
    registry=registry,
)
request_seconds = Histogram(
    "fhirgw_http_request_seconds",
    "Time from the request line to the end of the answer, by route template",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=registry,
)


def exposition() -> bytes:
    """All of it in the Prometheus text format."""
    return generate_latest(registry)
