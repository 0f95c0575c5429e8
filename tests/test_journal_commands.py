"""What the operator's commands over the journal owe: what they show, what they leave, what is accounted for."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from composed_gateway import ALMA, message
from sqlalchemy import select
from typer.testing import CliRunner

from fhirgw.cli import app
from fhirgw.difference import differences
from fhirgw.errors import GatewayError
from fhirgw.store.schema import ledger, metadata

ADMITTED, LEFT = message("A01/member.hl7"), message("A03/member.hl7")
STRANGER = message("A01/terse.hl7")
UNMAPPED = message("A01/member.hl7", ("1|I|4E", "1|ZZ|4E"), control="ELM-UNMAPPED")
LOCAL_CODES = (("||PSY||", "||Q7||"), ("|E|||1234567893", "|JOHN DOE|||1234567893"))


@pytest.fixture
def fhirgw(whole, monkeypatch):
    """Run a command over the same store, as beside the running gateway: its exit code and its lines."""
    monkeypatch.setenv("FHIRGW_DATA_DIR", str(whole.gateway.settings.data_dir))

    def run(*words):
        with ThreadPoolExecutor(1) as elsewhere:  # a command has an event loop of its own
            done = elsewhere.submit(CliRunner().invoke, app, [str(word) for word in words]).result()
        if done.exception and not isinstance(done.exception, (SystemExit, GatewayError)):
            raise done.exception
        lines = [orjson.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return done.exit_code, lines

    return run


def accounted(whole, command):
    with whole.gateway.database.read() as connection:
        found = connection.execute(select(ledger).order_by(ledger.c.seq))
        return [row.patient for row in found if f'"{command}"'.encode() in row.event]


async def test_messages_are_listed_and_counted_by_everything_that_became_of_them(whole, fhirgw):
    await whole.take(ADMITTED, LEFT)
    assert (await whole.receive(UNMAPPED)) is not None
    whole.clock.tick(days=1)
    later = "2026-09-22"
    _, refused = fhirgw("journal", "list", "--state", "rejected")
    assert [(one["control_id"], one["location"]) for one in refused] == [("ELM-UNMAPPED", "PV1-2")]
    for words, control_ids in (
        (("--event", "A03"), ["ELM-000102"]),
        (("--control-id", "ELM-000101"), ["ELM-000101"]),
        (("--error", refused[0]["error"], "--location", "PV1-2"), ["ELM-UNMAPPED"]),
        (("--location", "PV1-3"), []),
        (("--state", "rejected", "--state", "processed", "--limit", "1"), ["ELM-UNMAPPED"]),
        (("--before", refused[0]["id"], "--sender", "elm-hospital", "--event", "A01"), ["ELM-000101"]),
        (("--ack", "sent"), []),
        (("--since", later), []),
        (("--until", "2026-09-01T00:00:00-05:00"), []),
    ):
        _, lines = fhirgw("journal", "list", *words)
        assert [one["control_id"] for one in lines] == control_ids, words
    _, kinds = fhirgw("journal", "counts")
    assert [(one["state"], one["sender"], one["location"], one["messages"]) for one in kinds] == [
        ("processed", "elm-hospital", None, 2),
        ("rejected", "elm-hospital", "PV1-2", 1),
    ]
    assert fhirgw("journal", "list", "--state", "lost")[0] == 1
    assert fhirgw("journal", "list", "--since", "yesterday")[0] != 0


async def test_a_trial_says_what_a_corrected_map_would_change_and_changes_nothing(whole, fhirgw):
    await whole.take(ADMITTED)
    await whole.receive(UNMAPPED)
    first, refused = whole.rows()
    before = whole.everything()
    assert fhirgw("journal", "diff", first.id) == (0, [outcome(first.id, "processed") | {"changes": []}])
    code, [line] = fhirgw("journal", "replay", "--dry-run")
    assert (code, line["id"], line["state"], line["location"]) == (1, refused.id, "parked", "PV1-2")
    senders = whole.gateway.settings.data_dir / "senders.toml"
    senders.write_text(senders.read_text() + '\n[senders.elm-hospital.codes]\n"0004" = { ZZ = "E" }\n')
    code, [line] = fhirgw("journal", "replay", "--dry-run", "--location", "PV1-2")
    assert (code, line["state"]) == (0, "processed")
    assert line["resources"] > 0
    _, [plain] = fhirgw("journal", "diff", refused.id)
    encounter = [one for one in plain["changes"] if one["resource"].startswith("Encounter/")]
    assert {"path": "Encounter.class.code", "change": "changed", "resource": encounter[0]["resource"]} in encounter
    assert all(one.keys() == {"resource", "path", "change"} for one in plain["changes"])
    assert accounted(whole, "journal-diff") == []
    _, [shown] = fhirgw("journal", "diff", refused.id, "--values")
    changed = next(one for one in shown["changes"] if one["path"] == "Encounter.class.code")
    assert (changed["before"], changed["after"]) == ("IMP", "EMER")
    assert accounted(whole, "journal-diff") == [whole.patient(ALMA)]
    assert whole.everything() == before
    assert [row.state for row in whole.rows()] == ["processed", "rejected"]
    assert fhirgw("journal", "replay", "--location", "PV1-2")[1] == [outcome(refused.id, "processed")]
    assert fhirgw("journal", "diff", refused.id)[1][0]["changes"] == []


async def test_a_trial_leaves_every_table_as_it_was(whole, fhirgw):
    await whole.receive(ADMITTED)
    (row,) = whole.rows()
    before = tables(whole)
    _, [line] = fhirgw("journal", "diff", row.id, "--values")
    assert {one["change"] for one in line["changes"]} >= {"added"}
    assert tables(whole) == before


def tables(whole):
    """Every row of every table, but for the ledger's."""
    with whole.gateway.database.read() as connection:
        return {
            table.name: connection.execute(select(table)).all()
            for table in metadata.sorted_tables
            if not table.name.startswith("ledger")
        }


def outcome(key, state):
    return {"id": key, "state": state, "error": None, "location": None, "text": None}


async def test_what_has_expired_cannot_be_shown_or_tried_and_its_facts_can(whole, fhirgw):
    await whole.take(ADMITTED)
    (row,) = whole.rows()
    whole.gateway.database.write_sync(
        lambda tx: tx.connection.exec_driver_sql("UPDATE journal SET state = 'expired', raw = x''")
    )
    assert fhirgw("journal", "show", row.id)[0] == 1
    code, [line] = fhirgw("journal", "replay", "--state", "expired")
    assert (code, line["id"], line["state"]) == (1, row.id, None)
    _, [told] = fhirgw("journal", "show", row.id, "--facts")
    assert (told["patient"], told["facts"]["trigger"]) == (whole.patient(ALMA), "A01")
    assert accounted(whole, "journal-show") == [whole.patient(ALMA)]


async def test_showing_a_message_is_accounted_for_to_whom_it_is_about(whole, fhirgw):
    await whole.take(ADMITTED, STRANGER)
    member, stranger = whole.rows()
    assert fhirgw("journal", "show", member.id)[0] == 0
    assert fhirgw("journal", "show", stranger.id, "--lint")[0] == 0
    assert accounted(whole, "journal-show") == [whole.patient(ALMA), None]


async def test_unmapped_codes_are_counted_once_a_message_of_members_and_strangers_without_words(whole, fhirgw):
    member = message("A01/member.hl7", *LOCAL_CODES)
    stranger = message(
        "A01/member.hl7", *LOCAL_CODES, ("MRN-1001", "MRN-9001"), ("CT-TEST-0001", "CT-TEST-9999"), control="ELM-X"
    )
    await whole.take(member, stranger)
    expected = {("PV1-4", "0007", "(text)", 2), ("PV1-10", "0069", "Q7", 2)}
    assert seen(fhirgw) == expected
    fhirgw("journal", "replay", "--state", "processed")
    assert seen(fhirgw) == expected
    assert fhirgw("codes", "forget")[0] == 1
    assert fhirgw("codes", "forget", "--field", "PV1-4")[1] == [{"forgotten": 1}]
    assert fhirgw("codes", "list", "--sender", "oak")[1] == []


def seen(fhirgw):
    _, lines = fhirgw("codes", "list", "--sender", "elm-hospital")
    return {(one["field"], one["system"], one["code"], one["seen"]) for one in lines}


def test_differences_pair_the_members_of_a_list_by_content():
    before = {"name": [{"family": "A"}, {"family": "B", "given": ["C"]}], "gender": "female", "active": True}
    after = {"name": [{"family": "Z"}, {"family": "A"}, {"family": "B", "given": ["D"]}], "active": False}
    assert [(one.path, one.before, one.after) for one in differences("Patient", before, after)] == [
        ("Patient.active", True, False),
        ("Patient.gender", "female", None),
        ("Patient.name[0]", None, {"family": "Z"}),
        ("Patient.name[2].given[0]", "C", "D"),
    ]
    assert [one.kind for one in differences("Patient", before, after)] == ["changed", "removed", "added", "changed"]
    assert list(differences("Patient", after, after)) == []
    assert [one.kind for one in differences("Patient", None, after)] == ["added"]
