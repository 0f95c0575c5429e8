"""What the privacy officer types, over a store with people in it."""

import asyncio
import sqlite3

import orjson
import pytest
from composed_gateway import ALMA, composed
from typed_command import typed

from fhirgw.asks import Read

ALMA_NAMED = "|".join(ALMA)


@pytest.fixture
def office(tmp_path):
    """Run a command over the demo's store: its exit code, what it printed."""
    with composed(tmp_path) as whole:
        whole.clock.tick(seconds=1)
        alma = Read("Patient", whole.patient(ALMA))
        asyncio.run(whole.gateway.share.release(whole.requester("pcmh-elm"), alma))

    def run(*words):
        done = typed(*words, data=tmp_path / "data", folder=tmp_path)
        return done.returncode, done.stdout

    return run


def test_a_member_is_explained_for_all_who_are_registered_and_that_is_accounted_for(office):
    code, printed = office("consent", "explain", "--patient", ALMA_NAMED)
    said = orjson.loads(printed)
    assert code == 0
    assert [(view["client"], view["purpose"]) for view in said["views"]] == [
        ("agency-dss", "COC"), ("pcmh-elm", "TREAT"), ("pcmh-oak", "TREAT"),
    ]  # fmt: skip
    assert len(said["consents"]) == 3
    assert office("audit", "verify") == (0, b'{"ok":true,"problems":[]}\n')


def test_the_page_is_a_file_that_its_owner_alone_reads(office, tmp_path):
    code, printed = office(
        "consent",
        "explain",
        "--patient",
        ALMA_NAMED,
        "--recipient",
        "pcmh-elm",
        "--format",
        "html",
        "--output",
        "a.html",
    )
    assert (code, printed) == (0, b"")
    page = tmp_path / "a.html"
    assert "Who sees what of Alma Testperson" in page.read_text("utf-8")
    assert page.stat().st_mode & 0o077 == 0


def test_an_organization_is_explained_though_no_client_is_registered_for_it(office):
    code, printed = office(
        "consent", "explain", "--patient", ALMA_NAMED, "--recipient", "http://hl7.org/fhir/sid/us-npi|1234567893",
        "--purpose", "HPAYMT", "--format", "text",
    )  # fmt: skip
    assert code == 0
    assert b"for HPAYMT: 0 of" in printed


def test_a_recipient_that_nobody_knows_is_an_error(office):
    assert office("consent", "explain", "--patient", ALMA_NAMED, "--recipient", "nobody")[0] == 1


@pytest.mark.parametrize(("form", "begins"), [("pdf", b"%PDF"), ("html", b"<!DOCTYPE html>")])
def test_an_accounting_is_printed_for_the_member_and_that_is_accounted_for(office, tmp_path, form, begins):
    words = ("--patient", ALMA_NAMED, "--language", "es", "--format", form, "--output", "a")
    assert office("audit", "accounting", *words) == (0, b"")
    assert (tmp_path / "a").read_bytes().startswith(begins)
    assert office("audit", "accounting", *words, "--start", "yesterday")[0] == 2


def test_an_accounting_of_nobody_is_an_error(office):
    assert office("audit", "accounting", "--patient", "nobody", "--output", "a.pdf")[0] == 1


def test_a_disclosure_is_decided_again_and_a_consent_that_was_altered_is_named(office, tmp_path):
    told = orjson.loads(office("audit", "disclosures", "--patient", ALMA_NAMED)[1])
    [under] = told["consents"]
    with sqlite3.connect(tmp_path / "data/fhirgw.db") as database:
        altered = "UPDATE history SET body = replace(body, 'active', 'draft') WHERE type = 'Consent' AND id = ?"
        assert database.execute(altered, (under.split("/")[1],)).rowcount == 1
    code, printed = office("audit", "replay", told["entry"])
    said = orjson.loads(printed)
    assert (code, said["entry"], said["same"]) == (1, told["entry"], False)
    assert f"{under} was changed" in said["differences"]


def test_roots_are_kept_in_a_file_and_held_against_the_ledger(office, tmp_path):
    assert office("audit", "roots", "--output", "roots.ndjson") == (0, b"")
    assert office("audit", "verify", "--roots", "roots.ndjson") == (0, b'{"ok":true,"problems":[]}\n')
    with sqlite3.connect(tmp_path / "data/fhirgw.db") as database:
        database.execute("DELETE FROM ledger_root")
    code, printed = office("audit", "verify", "--roots", "roots.ndjson")
    assert (code, orjson.loads(printed)["ok"]) == (1, False)
    (tmp_path / "roots.ndjson").write_text("{}\n")
    assert office("audit", "verify", "--roots", "roots.ndjson") == (1, b"")
