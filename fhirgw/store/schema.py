"""The tables. Instants are integers: microseconds since 1970-01-01T00:00:00Z.

Groups: the repository (resource, history, guards, label_group, four index tables), policy (who is enrolled, which
consents name whom, revisions), the journal and the visit events, identity, partners, the ledger, the outbox.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Serial = BigInteger().with_variant(Integer, "sqlite")
"""An auto-incrementing key: SQLite wants INTEGER for it."""

resource = Table(
    "resource",
    metadata,
    Column("pk", Serial, primary_key=True),
    Column("type", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("patient", String(64)),  # compartment; None: about nobody, or about several people
    Column("standing", String(8), nullable=False),  # member, registry, derived, several (store/repository.py)
    Column("labels", BigInteger, nullable=False),  # sensitivity bits of the resource as a whole
    Column("conf", SmallInteger, nullable=False),
    Column("guard", BigInteger, nullable=False),  # of what cannot be left out of it
    Column("source_labels", BigInteger, nullable=False),  # bits its source gave it; kept to label it anew
    Column("label_table", Text, nullable=False),  # version of the label tables (lambda) that gave these labels
    Column("elements", LargeBinary, nullable=False),  # JSON: [[path, labels, conf, target type or null], …]
    Column("hash", LargeBinary, nullable=False),  # SHA-256 of the body without meta.versionId, meta.lastUpdated
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("type", "id"),
    Index(None, "patient", "type"),
    Index(None, "type", "updated_at"),
)

history = Table(
    "history",
    metadata,
    Column("type", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("updated_at", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("patient", String(64)),
    Column("standing", String(8), nullable=False),
    Column("labels", BigInteger, nullable=False),
    Column("conf", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index(None, "patient", "updated_at"),
)


labelling = Table(
    "labelling",
    metadata,
    Column("label_table", Text, primary_key=True),  # version of the label tables
    Column("reached", BigInteger),  # resources up to this key are labelled by it; None: all are
)
"""One row: by which label tables the store is labelled, or is being labelled anew (store/relabelling.py)."""

guard_need = Table(
    "guard_need",
    metadata,
    Column("kind", String(64), primary_key=True),  # type of the resources with elements under this guard
    Column("guard", BigInteger, primary_key=True),  # hash of the kind and all needs
    Column("type", String(64), primary_key=True),  # of the resource itself, or of one its element refers to
    Column("labels", BigInteger, primary_key=True),
    Column("conf", SmallInteger, primary_key=True),
)
"""What must be permitted for an element to be seen: every row of its guard. Few: most elements share a guard."""

label_group = Table(
    "label_group",
    metadata,
    Column("resource", Serial, ForeignKey("resource.pk"), primary_key=True),
    Column("guard", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False),  # of all elements of the group; of nothing when they are gone
    Column("changed_at", BigInteger, nullable=False),
)
"""When the part of a resource with this guard last changed: what a recipient is shown as lastUpdated is the
maximum over the groups it may see, so that a hidden edit moves nothing (consent specification, leak 13)."""


def _index(name: str, *columns: Column[object], by: tuple[str, ...]) -> Table:
    return Table(
        name,
        metadata,
        Column("pk", Serial, primary_key=True),
        Column("resource", Serial, ForeignKey("resource.pk"), nullable=False),
        Column("type", String(64), nullable=False),
        Column("param", String(64), nullable=False),
        Column("guard", BigInteger, nullable=False),  # of the element it came from
        *columns,
        Index(None, "resource", "param"),
        Index(None, "type", "param", *by),
    )


search_token = _index(
    "search_token", Column("system", Text), Column("code", Text), by=("code", "system")
)  # token and uri
search_string = _index(
    "search_string",
    Column("value", Text, nullable=False),  # case and accents folded
    Column("exact", Text, nullable=False),  # as written
    by=("value",),
)
search_date = _index(
    "search_date",
    Column("low", BigInteger, nullable=False),  # inclusive
    Column("high", BigInteger, nullable=False),  # exclusive
    by=("low", "high"),
)
search_reference = _index(
    "search_reference",
    Column("target_type", String(64), nullable=False),
    Column("target_id", String(64), nullable=False),
    by=("target_id", "target_type"),
)
Index("ix_search_reference_target", search_reference.c.target_id, search_reference.c.target_type)

policy_revision = Table(
    "policy_revision",
    metadata,
    Column("patient", String(64), primary_key=True),  # '' the whole store, '*' everybody, '+' organizations
    Column("revision", BigInteger, nullable=False),
    Column("moved", BigInteger, nullable=False),  # the revision that the whole store came to when this one moved
    Index(None, "moved"),
)

consent_actor = Table(
    "consent_actor",
    metadata,
    Column("patient", String(64), primary_key=True),
    Column("consent", String(64), primary_key=True),
    Column("token", String(512), primary_key=True),  # 'Organization/x', 'system|value', or '*' for anybody
    Index(None, "token"),
    Index(None, "consent"),
)

policy_pattern = Table(
    "policy_pattern",
    metadata,
    Column("patient", String(64), primary_key=True),
    Column("since", BigInteger, primary_key=True),  # first instant of the phase
    Column("until", BigInteger, nullable=False),  # first instant of the next
    Column("pattern", String(32), nullable=False),  # digest: patients of one pattern are decided alike
    Index(None, "pattern", "since", "until", "patient"),
    sqlite_with_rowid=False,  # looked up for every row that is met
)
"""What the policy of each patient is to a decision, and when (consent/pattern.py): of whoever has a Consent, or was
ever in a programme."""

patient_mark = Table(
    "patient_mark",
    metadata,
    Column("patient", String(64), primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # of what is singled out: when it moves, all is marked anew
)
"""Patients whose Consents single out resources by their content (consent/marks.py): almost nobody."""

enrolment = Table(
    "enrolment",
    metadata,
    Column("patient", String(64), primary_key=True),
    Column("program", String(64), primary_key=True),
    Column("status", String(16), nullable=False),  # candidate, active, finished, opted-out
    Column("changed_at", BigInteger, nullable=False),
    Index(None, "program"),
)

identity = Table(
    "identity",
    metadata,
    Column("system", String(512), primary_key=True),
    Column("value", String(256), primary_key=True),
    Column("patient", String(64), nullable=False),  # for whom it stands now
    Column("home", String(64), nullable=False),  # for whom it was first known: where it returns to
    Column("given", Boolean, nullable=False),  # by the programme's system or a person; else messages told of it
    Column("moved", Boolean, nullable=False),  # by an A43: it decides beside others
    Column("held", Boolean, nullable=False),  # it stands for another than its home, and no person confirmed that
    Index(None, "patient"),
    Index(None, "home"),
)

identity_fact = Table(
    "identity_fact",
    metadata,
    Column("key", String(96), primary_key=True),  # digest of the event's bytes, or an id of what a person said
    Column("kind", String(8), nullable=False),  # merge, move, link, unlink
    Column("confirmed", Boolean, nullable=False),  # a person has looked at it
    Column("sender", String(128), nullable=False),  # '': a person here
    Column("body", LargeBinary, nullable=False),  # JSON of mappers.identities.IdentityFact
)

identity_name = Table(
    "identity_name",
    metadata,
    Column("name", String(1024), primary_key=True),  # 'system|value', or 'Patient/id'
    Column("fact", String(96), primary_key=True),
    Index(None, "fact"),
)
"""Which facts speak of a name."""

patient_link = Table(
    "patient_link",
    metadata,
    Column("patient", String(64), primary_key=True),
    Column("other", String(64), primary_key=True),
    Column("type", String(16), nullable=False),  # Patient.link.type
)
"""What the identity facts make of the Patients; derived from them."""

pending_name = Table(
    "pending_name",
    metadata,
    Column("digest", String(64), primary_key=True),  # keyed hash of an identifier or a visit number
    Column("journal", Serial, primary_key=True, autoincrement=False),
    Index(None, "journal"),
)
"""Messages about nobody here, or about whom they contradict each other: they are taken up when that changes."""

person_source = Table(
    "person_source",
    metadata,
    Column("patient", String(64), primary_key=True),
    Column("source", String(128), primary_key=True),  # 'icm', or the name of a hospital sender
    Column("body", LargeBinary, nullable=False),  # that source's picture of the Patient, as JSON
)

block_key = Table(
    "block_key",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),  # hash of a key of matching.keys
    Column("patient", String(64), primary_key=True),
    Index(None, "patient"),
)
"""Who is to be compared with somebody who shares a key with them; kept up on every write of a Patient."""

match_review = Table(
    "match_review",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("opened_at", BigInteger, nullable=False),
    Column("sender", String(128), nullable=False),
    Column("state", String(12), nullable=False),  # open, confirmed, rejected
    Column("decided_at", BigInteger),
    Index(None, "state", "id"),
)
"""Somebody whom messages tell of, and who may be one of the people here: a person says who it is."""

match_subject = Table(
    "match_subject",
    metadata,
    Column("digest", String(64), primary_key=True),  # keyed hash of an identifier: of a stranger no more is kept
    Column("review", Serial, ForeignKey("match_review.id"), primary_key=True),
    Index(None, "review"),
)

match_candidate = Table(
    "match_candidate",
    metadata,
    Column("review", Serial, ForeignKey("match_review.id"), primary_key=True),
    Column("patient", String(64), primary_key=True),
    Column("probability", Integer, nullable=False),  # in ten-thousandths
    Column("state", String(12), nullable=False),  # open, confirmed, rejected
)

match_message = Table(
    "match_message",
    metadata,
    Column("journal", Serial, primary_key=True, autoincrement=False),
    Column("review", Serial, ForeignKey("match_review.id"), nullable=False),
    Index(None, "review"),
)
"""Messages that wait for the review."""

journal = Table(
    "journal",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    Column("channel", String(16), nullable=False),  # mllp, http, file
    Column("sender", String(128), nullable=False),  # name in the senders file
    Column("control_id", String(256)),  # MSH-10
    Column("trigger", String(16)),  # MSH-9.2
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the bytes
    Column("raw", LargeBinary, nullable=False),
    Column("state", String(12), nullable=False),  # received, processed, waiting, parked, rejected
    Column("ack_state", String(8), nullable=False),  # owed, sent, unsent
    Column("ack_code", String(2)),
    Column("ack", LargeBinary),
    Column("error_code", String(8)),
    Column("error_location", String(128)),
    Column("error_text", Text),
    Column("attempts", Integer, nullable=False),
    Column("processed_at", BigInteger),
    Column("application", String(2)),  # when an application ACK follows processing (table 0155); None: never
    Index(None, "state", "id"),
    Index(None, "sender", "control_id", "received_at"),
)

unmapped_code = Table(
    "unmapped_code",
    metadata,
    Column("sender", String(128), primary_key=True),  # name in the senders file
    Column("field", String(16), primary_key=True),  # PV1-4
    Column("system", String(128), primary_key=True),  # HL7 table, or the system that the sender names
    Column("code", String(32), primary_key=True),  # as sent, if it looks like a code
    Column("seen", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
)
"""Codes that no map has, counted; of no message and nobody."""

application_ack = Table(
    "application_ack",
    metadata,
    Column("journal", Serial, primary_key=True),
    Column("sender", String(128), nullable=False),  # name in the senders file
    Column("code", String(2), nullable=False),  # MSA-1
    Column("body", LargeBinary, nullable=False),
    Column("state", String(8), nullable=False),  # owed, sent, failed
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Index(None, "state", "sender", "due_at"),
)
"""What enhanced mode says after processing; made with its outcome, so that it survives a restart."""

visit_event = Table(
    "visit_event",
    metadata,
    Column("journal", Serial, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),  # of a message about two records: which
    Column("patient", String(64)),  # whom it names; None: somebody else, whose visit is a member's now
    Column("visit", String(512)),  # 'system|value' of the visit; None for an event without one
    Column("sender", String(128), nullable=False),
    Column("place", Text, nullable=False),  # AdtEvent.order, with spaces between
    Column("said", LargeBinary, nullable=False),  # digest of what it says of the person (mappers.news)
    Column("account", Text),  # which account it speaks of
    Column("digest", LargeBinary, nullable=False),  # of the facts: those that were read before are not read again
    Column("facts", LargeBinary, nullable=False),  # JSON of mappers.adt.AdtEvent: kept when the bytes expire
    Index(None, "visit"),
    Index(None, "patient", "sender"),
)

number_fact = Table(
    "number_fact",
    metadata,
    Column("number", String(1024), primary_key=True),  # 'system|value' of a visit or an account
    Column("journal", Serial, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Index(None, "journal"),
)
"""Which events merged, renumbered or moved a visit or an account."""

folded = Table(
    "folded",
    metadata,
    Column("scope", String(768), primary_key=True),  # 'visit …' or 'person …': what was folded
    Column("type", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Index(None, "type", "id"),
)
"""What a fold made: what it no longer makes is deleted."""

folded_from = Table(
    "folded_from",
    metadata,
    Column("scope", String(768), primary_key=True),
    Column("digest", LargeBinary, nullable=False),
)
"""What a person was last folded from; no row: it is to be folded anew."""

icm_case = Table(
    "icm_case",
    metadata,
    Column("key", String(256), primary_key=True),
    Column("version", BigInteger),
    Column("digest", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("patient", String(64), nullable=False),
    Column("imported_at", BigInteger, nullable=False),
)

icm_return = Table(
    "icm_return",
    metadata,
    Column("number", Serial, primary_key=True),
    Column("case", String(256), nullable=False),
    Column("program", String(64), nullable=False),
    Column("based_on", BigInteger),  # version of the case as it was last stated; None: it has none
    Column("digest", LargeBinary, nullable=False),  # of the statement that it was last stored from
    Column("type", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("records", LargeBinary, nullable=False),  # JSON, as POST /icm/records takes it
    Column("at", BigInteger, nullable=False),
    Index(None, "case"),
)

client = Table(
    "client",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("name", Text, nullable=False),
    Column("organization", String(64), nullable=False),  # logical id of its Organization
    Column("jwks", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("purposes", Text, nullable=False),  # space separated; one alone is also the default
    Column("inside", Text),  # programmes whose own staff it serves, space separated; '*': all; None: outside
    Column("notify_url", Text),  # where notifications about its members go; None: none are sent
    Column("notify_on", Text, nullable=False),  # which it takes, space separated: notification-admit …
    Column("notify_header", Text),  # 'Name: value' that its endpoint asks for
    Column("classes", Text, nullable=False),  # what its organization is, space separated: payer, covered-entity …
    Column("emergency", Boolean, nullable=False),  # may claim an emergency, for persons that it names
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

task_clock = Table(
    "task_clock",
    metadata,
    Column("task", String(64), primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Index(None, "due_at"),
)
"""Open Tasks that are due at a time and not marked as overdue; kept up on every write of a Task."""

consent_clock = Table(
    "consent_clock",
    metadata,
    Column("patient", String(64), primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Index(None, "due_at"),
)
"""When somebody's Consents are to be looked at next: one was written, begins, or is soon to end."""

used_assertion = Table(
    "used_assertion",
    metadata,
    Column("client", String(128), primary_key=True),
    Column("jti", String(256), primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("seq", Serial, primary_key=True),
    Column("chain", String(32), nullable=False),  # one per process segment
    Column("number", Integer, nullable=False),  # position in the chain, from 0
    Column("recorded_at", BigInteger, nullable=False),
    Column("patient", String(64)),
    Column("recipient", String(128), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("disclosure", Boolean, nullable=False),  # left the programme; False: access inside it, or by an operator
    Column("event", LargeBinary, nullable=False),  # the AuditEvent, canonical JSON
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),  # SHA-256 of previous and the row
    UniqueConstraint("chain", "number"),
    Index(None, "patient", "recorded_at"),
)

ledger_root = Table(
    "ledger_root",
    metadata,
    Column("seq", Serial, primary_key=True),
    Column("recorded_at", BigInteger, nullable=False),
    Column("heads", LargeBinary, nullable=False),  # JSON: {chain: [number, hash in hex]}
    Column("previous", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("patient", String(64), nullable=False),
    Column("focus", String(128), nullable=False),  # the resource it is about: 'Encounter/id'
    Column("code", String(64), nullable=False),  # what is told, e.g. notification-admit
    Column("key", String(512), nullable=False),  # what makes it this one and no other of the focus (alerts.Fact)
    Column("nth", Integer, nullable=False),  # even: it happened; odd: it is taken back; and so on
    Column("client", String(128), nullable=False),  # whom it may concern; decided when it is sent
    Column("state", String(8), nullable=False),  # due, sent, withheld, moot, failed
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # when it became what it is: sent, withheld, moot or failed
    Column("error", Text),  # why the last attempt failed, without a word of content
    UniqueConstraint("focus", "client", "code", "key", "nth"),
    Index(None, "state", "due_at"),
)

mirror = Table(
    "mirror",
    metadata,
    Column("client", String(128), primary_key=True),  # as which the upstream server is registered
    Column("base", Text, nullable=False),  # of its FHIR API; another one is another server, with nothing on it
    Column("revision", BigInteger),  # of the policy under which its members were last weighed
    Column("weighed_until", BigInteger),  # when a consent starts or ends by itself
    Column("holder", String(32)),  # the process that speaks with it now
    Column("held_until", BigInteger, nullable=False),
    Column("resume_at", BigInteger, nullable=False),  # it is left alone until then
    Column("failures", Integer, nullable=False),  # in a row
    Column("error", Text),
)
"""The upstream servers that are kept in step."""

mirror_member = Table(
    "mirror_member",
    metadata,
    Column("client", String(128), primary_key=True),
    Column("patient", String(64), primary_key=True),  # '': what is about several
    Column("permit", LargeBinary),  # digest of what may be seen of it; None: nothing
    Column("changed", Integer, nullable=False),  # how often; counted in the transaction of each change
    Column("due_at", BigInteger),  # None: there is nothing to do
    Column("attempts", Integer, nullable=False),  # that the upstream server refused
    Column("retry_at", BigInteger),
    Column("refused", LargeBinary),  # digests of the transactions it refused
    Column("error", Text),
    Index(None, "client", "due_at"),
)
"""The mirror's outbox: whose record may look otherwise upstream than it should."""

mirror_copy = Table(
    "mirror_copy",
    metadata,
    Column("client", String(128), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("patient", String(64)),  # None: about nobody
    Column("digest", LargeBinary),  # of the body that was sent; None: it was deleted there
    Column("version", Text),  # which the upstream server gave it
    Column("history_left", Boolean, nullable=False),  # older versions are there that it may be able to expunge
    Column("foreign_at", BigInteger),  # when somebody else's edit of it was noticed
    Index(None, "client", "patient"),
)
"""What was sent upstream."""

mirror_reference = Table(
    "mirror_reference",
    metadata,
    Column("client", String(128), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("target_type", String(64), primary_key=True),
    Column("target_id", String(64), primary_key=True),
    Index(None, "target_type", "target_id", "client"),
)
"""What of a copy refers to something that is about nobody: that goes when nothing refers to it any more."""

fhir_source = Table(
    "fhir_source",
    metadata,
    Column("base", String(512), primary_key=True),  # of a FHIR server that is imported from
    Column("type", String(64), primary_key=True),
    Column("since", String(40), nullable=False),  # lastUpdated up to which everything has been seen
)

fhir_import = Table(
    "fhir_import",
    metadata,
    Column("base", String(512), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),  # there
    Column("local", String(64)),  # here
    Column("digest", LargeBinary, nullable=False),  # of what was seen last
    Column("state", String(8), nullable=False),  # stored, refused, deleted
    Column("error", Text),
    Column("body", LargeBinary),  # of what was refused, for inspection
    Column("seen_at", BigInteger, nullable=False),
    Index(None, "base", "state"),
)
"""What was seen on FHIR servers that are imported from."""
