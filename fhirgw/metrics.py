"""Counters for the operator.

INVARIANT: no label tells of a patient, a resource id, a consent category, a client or a decision: what is counted
here for hidden data must not be told from what is counted for visible data (leak 36). Routes are templates,
never paths. A sender is a name of the senders file, or ``default``: the operator's own word, and as many as there
are of those (docs/decisions/0123). ``/metrics`` answers this machine alone.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

registry = CollectorRegistry()

messages = Counter(
    "fhirgw_v2_messages",
    "HL7 v2 messages received, by sender and by what it was told (MSA-1; none: no answer)",
    ["sender", "code"],
    registry=registry,
)
ack_seconds = Histogram(
    "fhirgw_v2_ack_seconds",
    "Time from the last byte of a message to its ACK handed to the socket, by sender",
    ["sender"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=registry,
)
processed = Counter(
    "fhirgw_v2_processed",
    "HL7 v2 messages by sender and by what became of them after the ACK",
    ["sender", "state"],
    registry=registry,
)
breaches = Counter("fhirgw_clock_breaches", "Tasks whose due time passed while they were open", registry=registry)
consent_tasks = Counter(
    "fhirgw_consent_tasks", "Tasks about Consents that were raised, changed or closed", registry=registry
)
expired = Counter(
    "fhirgw_journal_expired",
    "Journal rows whose bytes were removed by retention, by why",
    ["why"],
    registry=registry,
)
relabelled = Counter(
    "fhirgw_relabelled", "Resources labelled anew after the label tables changed", registry=registry
)
relabelling_left = Gauge(
    "fhirgw_relabelling_left",
    "Resources still to be labelled anew; outside, nothing is answered",
    registry=registry,
)
emergencies = Counter("fhirgw_emergency_claims", "Emergencies that clients claimed", registry=registry)
journal_rows = Gauge("fhirgw_journal_rows", "Journal rows by processing state", ["state"], registry=registry)
journal_open = Gauge(
    "fhirgw_journal_open",
    "Journal rows that a worker or a person has still to do something about, by sender and processing state",
    ["sender", "state"],
    registry=registry,
)
journal_oldest = Gauge(
    "fhirgw_journal_oldest_seconds",
    "Age of the oldest message that is kept and not processed, by sender; 0: there is none",
    ["sender"],
    registry=registry,
)
outbox_rows = Gauge("fhirgw_outbox_rows", "Outbox rows by state", ["state"], registry=registry)
outbox_oldest = Gauge(
    "fhirgw_outbox_oldest_seconds",
    "Age of the oldest notification that is due; 0: there is none",
    registry=registry,
)
reviews_open = Gauge(
    "fhirgw_match_reviews_open", "Reviews that wait for a person to say who is who", registry=registry
)
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
