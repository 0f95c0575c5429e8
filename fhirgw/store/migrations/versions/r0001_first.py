"""The first tables.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("jwks", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False),
        sa.Column("inside", sa.Text(), nullable=True),
        sa.Column("notify_url", sa.Text(), nullable=True),
        sa.Column("notify_on", sa.Text(), nullable=False),
        sa.Column("notify_header", sa.Text(), nullable=True),
        sa.Column("classes", sa.Text(), nullable=False),
        sa.Column("emergency", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client")),
    )
    op.create_table(
        "consent_actor",
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("consent", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("patient", "consent", "token", name=op.f("pk_consent_actor")),
    )
    op.create_index(op.f("ix_consent_actor_consent"), "consent_actor", ["consent"], unique=False)
    op.create_index(op.f("ix_consent_actor_token"), "consent_actor", ["token"], unique=False)
    op.create_table(
        "enrolment",
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("program", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient", "program", name=op.f("pk_enrolment")),
    )
    op.create_index(op.f("ix_enrolment_program"), "enrolment", ["program"], unique=False)
    op.create_table(
        "guard_need",
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("guard", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("conf", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "guard", "type", "labels", "conf", name=op.f("pk_guard_need")),
    )
    op.create_table(
        "history",
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=True),
        sa.Column("standing", sa.String(length=8), nullable=False),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("conf", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("type", "id", "version", name=op.f("pk_history")),
    )
    op.create_index(op.f("ix_history_patient_updated_at"), "history", ["patient", "updated_at"], unique=False)
    op.create_table(
        "icm_case",
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_icm_case")),
    )
    op.create_table(
        "icm_return",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("case", sa.String(length=256), nullable=False),
        sa.Column("program", sa.String(length=64), nullable=False),
        sa.Column("based_on", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("records", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_icm_return")),
    )
    op.create_index(op.f("ix_icm_return_case"), "icm_return", ["case"], unique=False)
    op.create_table(
        "identity",
        sa.Column("system", sa.String(length=512), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("home", sa.String(length=64), nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("moved", sa.Boolean(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("system", "value", name=op.f("pk_identity")),
    )
    op.create_index(op.f("ix_identity_home"), "identity", ["home"], unique=False)
    op.create_index(op.f("ix_identity_patient"), "identity", ["patient"], unique=False)
    op.create_table(
        "identity_fact",
        sa.Column("key", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_identity_fact")),
    )
    op.create_table(
        "identity_name",
        sa.Column("name", sa.String(length=1024), nullable=False),
        sa.Column("fact", sa.String(length=96), nullable=False),
        sa.PrimaryKeyConstraint("name", "fact", name=op.f("pk_identity_name")),
    )
    op.create_index(op.f("ix_identity_name_fact"), "identity_name", ["fact"], unique=False)
    op.create_table(
        "patient_link",
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("other", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("patient", "other", name=op.f("pk_patient_link")),
    )
    op.create_table(
        "pending_name",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column(
            "journal", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.PrimaryKeyConstraint("digest", "journal", name=op.f("pk_pending_name")),
    )
    op.create_index(op.f("ix_pending_name_journal"), "pending_name", ["journal"], unique=False)
    op.create_table(
        "number_fact",
        sa.Column("number", sa.String(length=1024), nullable=False),
        sa.Column(
            "journal", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("number", "journal", "part", name=op.f("pk_number_fact")),
    )
    op.create_index(op.f("ix_number_fact_journal"), "number_fact", ["journal"], unique=False)
    op.create_table(
        "unmapped_code",
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("field", sa.String(length=16), nullable=False),
        sa.Column("system", sa.String(length=128), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sender", "field", "system", "code", name=op.f("pk_unmapped_code")),
    )
    op.create_table(
        "folded",
        sa.Column("scope", sa.String(length=768), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("scope", "type", "id", name=op.f("pk_folded")),
    )
    op.create_index(op.f("ix_folded_type_id"), "folded", ["type", "id"], unique=False)
    op.create_table(
        "folded_from",
        sa.Column("scope", sa.String(length=768), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_folded_from")),
    )
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("control_id", sa.String(length=256), nullable=True),
        sa.Column("trigger", sa.String(length=16), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("ack_state", sa.String(length=8), nullable=False),
        sa.Column("ack_code", sa.String(length=2), nullable=True),
        sa.Column("ack", sa.LargeBinary(), nullable=True),
        sa.Column("error_code", sa.String(length=8), nullable=True),
        sa.Column("error_location", sa.String(length=128), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("processed_at", sa.BigInteger(), nullable=True),
        sa.Column("application", sa.String(length=2), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    op.create_index(
        op.f("ix_journal_sender_control_id_received_at"),
        "journal",
        ["sender", "control_id", "received_at"],
        unique=False,
    )
    op.create_index(op.f("ix_journal_state_id"), "journal", ["state", "id"], unique=False)
    op.create_table(
        "labelling",
        sa.Column("label_table", sa.Text(), nullable=False),
        sa.Column("reached", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("label_table", name=op.f("pk_labelling")),
    )
    op.create_table(
        "ledger",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("chain", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=True),
        sa.Column("recipient", sa.String(length=128), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("disclosure", sa.Boolean(), nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger")),
        sa.UniqueConstraint("chain", "number", name=op.f("uq_ledger_chain_number")),
    )
    op.create_index(op.f("ix_ledger_patient_recorded_at"), "ledger", ["patient", "recorded_at"], unique=False)
    op.create_table(
        "ledger_root",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("heads", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger_root")),
    )
    op.create_table(
        "fhir_import",
        sa.Column("base", sa.String(length=512), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("local", sa.String(length=64), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("base", "type", "id", name=op.f("pk_fhir_import")),
    )
    op.create_index(op.f("ix_fhir_import_base_state"), "fhir_import", ["base", "state"], unique=False)
    op.create_table(
        "fhir_source",
        sa.Column("base", sa.String(length=512), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("since", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("base", "type", name=op.f("pk_fhir_source")),
    )
    op.create_table(
        "mirror",
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("weighed_until", sa.BigInteger(), nullable=True),
        sa.Column("holder", sa.String(length=32), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.Column("resume_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("client", name=op.f("pk_mirror")),
    )
    op.create_table(
        "mirror_copy",
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("history_left", sa.Boolean(), nullable=False),
        sa.Column("foreign_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("client", "type", "id", name=op.f("pk_mirror_copy")),
    )
    op.create_index(op.f("ix_mirror_copy_client_patient"), "mirror_copy", ["client", "patient"], unique=False)
    op.create_table(
        "mirror_member",
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("permit", sa.LargeBinary(), nullable=True),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=True),
        sa.Column("refused", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("client", "patient", name=op.f("pk_mirror_member")),
    )
    op.create_index(op.f("ix_mirror_member_client_due_at"), "mirror_member", ["client", "due_at"], unique=False)
    op.create_table(
        "mirror_reference",
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("target_type", sa.String(length=64), nullable=False),
        sa.Column("target_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint(
            "client", "type", "id", "target_type", "target_id", name=op.f("pk_mirror_reference")
        ),
    )
    op.create_index(
        op.f("ix_mirror_reference_target_type_target_id_client"),
        "mirror_reference",
        ["target_type", "target_id", "client"],
        unique=False,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("focus", sa.String(length=128), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.Column("nth", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint(
            "focus", "client", "code", "key", "nth", name=op.f("uq_outbox_focus_client_code_key_nth")
        ),
    )
    op.create_index(op.f("ix_outbox_state_due_at"), "outbox", ["state", "due_at"], unique=False)
    op.create_table(
        "person_source",
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient", "source", name=op.f("pk_person_source")),
    )
    op.create_table(
        "patient_mark",
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient", name=op.f("pk_patient_mark")),
    )
    op.create_table(
        "policy_pattern",
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("pattern", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("patient", "since", name=op.f("pk_policy_pattern")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_policy_pattern_pattern_since_until_patient"),
        "policy_pattern",
        ["pattern", "since", "until", "patient"],
        unique=False,
    )
    op.create_table(
        "policy_revision",
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient", name=op.f("pk_policy_revision")),
    )
    op.create_index(op.f("ix_policy_revision_moved"), "policy_revision", ["moved"], unique=False)
    op.create_table(
        "resource",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=True),
        sa.Column("standing", sa.String(length=8), nullable=False),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("conf", sa.SmallInteger(), nullable=False),
        sa.Column("guard", sa.BigInteger(), nullable=False),
        sa.Column("source_labels", sa.BigInteger(), nullable=False),
        sa.Column("label_table", sa.Text(), nullable=False),
        sa.Column("elements", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_resource")),
        sa.UniqueConstraint("type", "id", name=op.f("uq_resource_type_id")),
    )
    op.create_index(op.f("ix_resource_patient_type"), "resource", ["patient", "type"], unique=False)
    op.create_index(op.f("ix_resource_type_updated_at"), "resource", ["type", "updated_at"], unique=False)
    op.create_table(
        "consent_clock",
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient", name=op.f("pk_consent_clock")),
    )
    op.create_index(op.f("ix_consent_clock_due_at"), "consent_clock", ["due_at"], unique=False)
    op.create_table(
        "task_clock",
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task", name=op.f("pk_task_clock")),
    )
    op.create_index(op.f("ix_task_clock_due_at"), "task_clock", ["due_at"], unique=False)
    op.create_table(
        "used_assertion",
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("jti", sa.String(length=256), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "jti", name=op.f("pk_used_assertion")),
    )
    op.create_table(
        "application_ack",
        sa.Column("journal", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("code", sa.String(length=2), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal", name=op.f("pk_application_ack")),
    )
    op.create_index(
        op.f("ix_application_ack_state_sender_due_at"),
        "application_ack",
        ["state", "sender", "due_at"],
        unique=False,
    )
    op.create_table(
        "block_key",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", "patient", name=op.f("pk_block_key")),
    )
    op.create_index(op.f("ix_block_key_patient"), "block_key", ["patient"], unique=False)
    op.create_table(
        "match_review",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_match_review")),
    )
    op.create_index(op.f("ix_match_review_state_id"), "match_review", ["state", "id"], unique=False)
    op.create_table(
        "match_candidate",
        sa.Column("review", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("probability", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.ForeignKeyConstraint(["review"], ["match_review.id"], name=op.f("fk_match_candidate_review")),
        sa.PrimaryKeyConstraint("review", "patient", name=op.f("pk_match_candidate")),
    )
    op.create_table(
        "match_message",
        sa.Column(
            "journal", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("review", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["review"], ["match_review.id"], name=op.f("fk_match_message_review")),
        sa.PrimaryKeyConstraint("journal", name=op.f("pk_match_message")),
    )
    op.create_index(op.f("ix_match_message_review"), "match_message", ["review"], unique=False)
    op.create_table(
        "match_subject",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("review", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["review"], ["match_review.id"], name=op.f("fk_match_subject_review")),
        sa.PrimaryKeyConstraint("digest", "review", name=op.f("pk_match_subject")),
    )
    op.create_index(op.f("ix_match_subject_review"), "match_subject", ["review"], unique=False)
    op.create_table(
        "visit_event",
        sa.Column(
            "journal", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=True),
        sa.Column("visit", sa.String(length=512), nullable=True),
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("said", sa.LargeBinary(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("journal", "part", name=op.f("pk_visit_event")),
    )
    op.create_index(op.f("ix_visit_event_patient_sender"), "visit_event", ["patient", "sender"], unique=False)
    op.create_index(op.f("ix_visit_event_visit"), "visit_event", ["visit"], unique=False)
    op.create_table(
        "label_group",
        sa.Column("resource", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("guard", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["resource"], ["resource.pk"], name=op.f("fk_label_group_resource")),
        sa.PrimaryKeyConstraint("resource", "guard", name=op.f("pk_label_group")),
    )
    op.create_table(
        "search_date",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("param", sa.String(length=64), nullable=False),
        sa.Column("guard", sa.BigInteger(), nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["resource"], ["resource.pk"], name=op.f("fk_search_date_resource")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_search_date")),
    )
    op.create_index(op.f("ix_search_date_resource_param"), "search_date", ["resource", "param"], unique=False)
    op.create_index(
        op.f("ix_search_date_type_param_low_high"), "search_date", ["type", "param", "low", "high"], unique=False
    )
    op.create_table(
        "search_reference",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("param", sa.String(length=64), nullable=False),
        sa.Column("guard", sa.BigInteger(), nullable=False),
        sa.Column("target_type", sa.String(length=64), nullable=False),
        sa.Column("target_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["resource"], ["resource.pk"], name=op.f("fk_search_reference_resource")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_search_reference")),
    )
    op.create_index(
        op.f("ix_search_reference_resource_param"), "search_reference", ["resource", "param"], unique=False
    )
    op.create_index("ix_search_reference_target", "search_reference", ["target_id", "target_type"], unique=False)
    op.create_index(
        op.f("ix_search_reference_type_param_target_id_target_type"),
        "search_reference",
        ["type", "param", "target_id", "target_type"],
        unique=False,
    )
    op.create_table(
        "search_string",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("param", sa.String(length=64), nullable=False),
        sa.Column("guard", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("exact", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["resource"], ["resource.pk"], name=op.f("fk_search_string_resource")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_search_string")),
    )
    op.create_index(op.f("ix_search_string_resource_param"), "search_string", ["resource", "param"], unique=False)
    op.create_index(
        op.f("ix_search_string_type_param_value"), "search_string", ["type", "param", "value"], unique=False
    )
    op.create_table(
        "search_token",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("param", sa.String(length=64), nullable=False),
        sa.Column("guard", sa.BigInteger(), nullable=False),
        sa.Column("system", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["resource"], ["resource.pk"], name=op.f("fk_search_token_resource")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_search_token")),
    )
    op.create_index(op.f("ix_search_token_resource_param"), "search_token", ["resource", "param"], unique=False)
    op.create_index(
        op.f("ix_search_token_type_param_code_system"),
        "search_token",
        ["type", "param", "code", "system"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_search_token_type_param_code_system"), table_name="search_token")
    op.drop_index(op.f("ix_search_token_resource_param"), table_name="search_token")
    op.drop_table("search_token")
    op.drop_index(op.f("ix_search_string_type_param_value"), table_name="search_string")
    op.drop_index(op.f("ix_search_string_resource_param"), table_name="search_string")
    op.drop_table("search_string")
    op.drop_index(op.f("ix_search_reference_type_param_target_id_target_type"), table_name="search_reference")
    op.drop_index("ix_search_reference_target", table_name="search_reference")
    op.drop_index(op.f("ix_search_reference_resource_param"), table_name="search_reference")
    op.drop_table("search_reference")
    op.drop_index(op.f("ix_search_date_type_param_low_high"), table_name="search_date")
    op.drop_index(op.f("ix_search_date_resource_param"), table_name="search_date")
    op.drop_table("search_date")
    op.drop_table("label_group")
    op.drop_index(op.f("ix_match_subject_review"), table_name="match_subject")
    op.drop_table("match_subject")
    op.drop_index(op.f("ix_match_message_review"), table_name="match_message")
    op.drop_table("match_message")
    op.drop_table("match_candidate")
    op.drop_index(op.f("ix_match_review_state_id"), table_name="match_review")
    op.drop_table("match_review")
    op.drop_index(op.f("ix_block_key_patient"), table_name="block_key")
    op.drop_table("block_key")
    op.drop_index(op.f("ix_visit_event_visit"), table_name="visit_event")
    op.drop_index(op.f("ix_visit_event_patient_sender"), table_name="visit_event")
    op.drop_table("visit_event")
    op.drop_index(op.f("ix_application_ack_state_sender_due_at"), table_name="application_ack")
    op.drop_table("application_ack")
    op.drop_table("used_assertion")
    op.drop_index(op.f("ix_task_clock_due_at"), table_name="task_clock")
    op.drop_table("task_clock")
    op.drop_index(op.f("ix_consent_clock_due_at"), table_name="consent_clock")
    op.drop_table("consent_clock")
    op.drop_index(op.f("ix_resource_type_updated_at"), table_name="resource")
    op.drop_index(op.f("ix_resource_patient_type"), table_name="resource")
    op.drop_table("resource")
    op.drop_table("policy_revision")
    op.drop_index(op.f("ix_policy_pattern_pattern_since_until_patient"), table_name="policy_pattern")
    op.drop_table("policy_pattern")
    op.drop_table("patient_mark")
    op.drop_table("person_source")
    op.drop_table("fhir_source")
    op.drop_index(op.f("ix_fhir_import_base_state"), table_name="fhir_import")
    op.drop_table("fhir_import")
    op.drop_index(op.f("ix_mirror_reference_target_type_target_id_client"), table_name="mirror_reference")
    op.drop_table("mirror_reference")
    op.drop_index(op.f("ix_mirror_member_client_due_at"), table_name="mirror_member")
    op.drop_table("mirror_member")
    op.drop_index(op.f("ix_mirror_copy_client_patient"), table_name="mirror_copy")
    op.drop_table("mirror_copy")
    op.drop_table("mirror")
    op.drop_index(op.f("ix_outbox_state_due_at"), table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("labelling")
    op.drop_table("ledger_root")
    op.drop_index(op.f("ix_ledger_patient_recorded_at"), table_name="ledger")
    op.drop_table("ledger")
    op.drop_index(op.f("ix_journal_state_id"), table_name="journal")
    op.drop_index(op.f("ix_journal_sender_control_id_received_at"), table_name="journal")
    op.drop_table("journal")
    op.drop_table("unmapped_code")
    op.drop_table("folded_from")
    op.drop_index(op.f("ix_folded_type_id"), table_name="folded")
    op.drop_table("folded")
    op.drop_index(op.f("ix_number_fact_journal"), table_name="number_fact")
    op.drop_table("number_fact")
    op.drop_index(op.f("ix_pending_name_journal"), table_name="pending_name")
    op.drop_table("pending_name")
    op.drop_table("patient_link")
    op.drop_index(op.f("ix_identity_name_fact"), table_name="identity_name")
    op.drop_table("identity_name")
    op.drop_table("identity_fact")
    op.drop_index(op.f("ix_identity_home"), table_name="identity")
    op.drop_index(op.f("ix_identity_patient"), table_name="identity")
    op.drop_table("identity")
    op.drop_index(op.f("ix_icm_return_case"), table_name="icm_return")
    op.drop_table("icm_return")
    op.drop_table("icm_case")
    op.drop_index(op.f("ix_history_patient_updated_at"), table_name="history")
    op.drop_table("history")
    op.drop_table("guard_need")
    op.drop_index(op.f("ix_enrolment_program"), table_name="enrolment")
    op.drop_table("enrolment")
    op.drop_index(op.f("ix_consent_actor_token"), table_name="consent_actor")
    op.drop_table("consent_actor")
    op.drop_table("client")
