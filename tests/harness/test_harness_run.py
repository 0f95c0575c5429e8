"""A run reports what a server does wrong, obeys it when it is busy, and leaves nothing of its own behind."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from xml.etree import ElementTree as ET

import orjson
import pytest
from gateway_process import ROOT

from fhirgw import harness
from fhirgw.configuration import load_programs
from fhirgw.errors import InvalidElement
from fhirgw.harness import findings
from fhirgw.harness.report import write
from fhirgw.harness.searches import SEARCHES
from fhirgw.harness.synthetic import RUN, Run, samples
from fhirgw.harness.target import MOST_WAIT, Target, retry_after
from fhirgw.harness.written import Written

ONE = Run("run1", b"key")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def sent():
    """A case and a message."""
    found = samples(ONE, "small", load_programs(None))
    return [one for one in found if one.name in ("ct-bhp", "A01")]


class Clocked(Target):
    """A target whose waits take no time, and are counted."""

    def __init__(self, base, **how):
        self.slept = []
        super().__init__(base, clock=lambda: 0.0, sleep=self.slept.append, **how)


def run(plain, sent, tmp_path, **how):
    target = Clocked(plain.base)
    try:
        return harness.run(target, ONE, sent, harness.Options(tmp_path, "small", **how)), target
    finally:
        target.close()


def status(report, capability, subject=""):
    (found,) = [one for one in report.results if (one.capability, one.subject) == (capability, subject)]
    return found


def journals(folder):
    return sorted(path.name for path in folder.glob("*.ndjson"))


def test_what_is_written_comes_back_and_is_removed_and_nothing_else(plain, sent, tmp_path):
    report, _ = run(plain, sent, tmp_path)
    for sample in sent:
        assert status(report, "write", sample.name).status == "passed"
        assert status(report, "read back", sample.name).status == "passed"
    assert status(report, "conditional create").status == "passed"
    assert status(report, "clean up").status == "passed"
    assert list(plain.resources) == ["Patient/foreign"]
    assert journals(tmp_path) == []


def test_everything_that_is_sent_says_that_it_is_a_test(sent):
    for sample in sent:
        for resource in sample.resources:
            tags = {(one["system"], one["code"]) for one in resource["meta"]["tag"]}
            assert {(RUN, "run1"), ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST")} <= tags


def test_no_two_samples_and_no_two_runs_write_the_same_resource(sent):
    others = samples(Run("run2", b"another"), "small", load_programs(None))
    ids = Counter(f"{one['resourceType']}/{one['id']}" for each in (*sent, *others) for one in each.resources)
    assert set(ids.values()) == {1}


def test_a_full_run_has_every_case_and_every_event():
    names = {sample.name for sample in samples(ONE, "full", load_programs(None))}
    events = {path.name for path in (ROOT / "fixtures" / "v2").iterdir() if re.fullmatch(r"A\d\d", path.name)}
    cases = {path.stem for path in (ROOT / "fixtures" / "icm").glob("*.json") if ".fhir" not in path.name}
    assert names == cases | (events - {"A20"})  # A20 has an event of its own that the gateway does not take


def test_what_a_server_loses_is_named(plain, sent, tmp_path):
    plain.spoil = lambda one: {name: value for name, value in one.items() if name != "birthDate"}
    report, _ = run(plain, sent, tmp_path)
    failed = status(report, "read back", "ct-bhp")
    assert failed.status == "failed"
    assert [(one.path, one.kind) for one in failed.differences] == [("Patient.birthDate", "lost")]
    assert not report.passed


def test_a_busy_server_is_left_alone_for_as_long_as_it_says(plain, sent, tmp_path):
    refused = iter([(429, {"Retry-After": "3"}), (503, {"Retry-After": "7"})])
    plain.fault = lambda method, _path: next(refused, None) if method == "POST" else None
    report, target = run(plain, sent, tmp_path)
    assert status(report, "write", "ct-bhp").status == "passed"
    assert [seconds for seconds in target.slept if seconds] == [3.0, 7.0]


def test_a_server_that_stays_busy_is_given_up_and_asked_no_more(plain, sent, tmp_path):
    plain.fault = lambda _method, path: None if path.endswith("/metadata") else (429, {"Retry-After": "0"})
    report, _ = run(plain, sent, tmp_path)
    found = Counter(one.status for one in report.results)
    assert found["failed"] == 4  # three steps, and the cleaning up
    assert found["passed"] == 1  # the statement
    assert status(report, "subscription").notes == ["The server does not answer any more."]


def test_after_a_server_was_down_half_way_the_next_run_removes_what_was_left(plain, sent, tmp_path):
    def down(_method, _path):
        return (503, {"Retry-After": "0"}) if len(plain.asked) > 30 else None

    plain.fault = down
    report, _ = run(plain, sent, tmp_path)
    assert status(report, "clean up").status == "failed"
    assert any("--clean" in note for note in status(report, "clean up").notes)
    left = set(plain.resources) - {"Patient/foreign"}
    assert left
    assert journals(tmp_path) == ["run1.written.ndjson"]

    plain.fault = lambda _method, _path: None
    target = Clocked(plain.base)
    harness.run(target, Run("run2", b"another"), [], harness.Options(tmp_path, "small"))
    target.close()
    assert list(plain.resources) == ["Patient/foreign"]
    assert journals(tmp_path) == []


def test_what_a_server_brings_back_is_removed_again(plain, sent, tmp_path):
    def bring_back(method, path):
        if method == "GET" and path.startswith("/fhir/Subscription?") and not brought:
            brought.append(path)
            plain.put("Subscription/run1-subscription", session_resource)

    brought = []
    session_resource = ONE.marked({"resourceType": "Subscription", "id": "run1-subscription"})
    plain.fault = bring_back
    target = Clocked(plain.base)
    written = Written.begin(tmp_path, plain.base, "run1")
    written.note(["Subscription/run1-subscription"])
    assert harness.clean(target, written) == []
    target.close()
    assert brought
    assert list(plain.resources) == ["Patient/foreign"]


@pytest.mark.parametrize("steps", [5, 12])
def test_an_interrupted_run_cleans_up_wherever_it_is(plain, sent, tmp_path, steps):
    def interrupt(_what, before, _all):
        if before == steps:
            raise KeyboardInterrupt

    report, _ = run(plain, sent, tmp_path, progress=interrupt)
    assert report.interrupted
    assert not report.passed
    assert list(plain.resources) == ["Patient/foreign"]


def test_without_transactions_what_holds_another_is_removed_in_rounds(plain, sent, tmp_path):
    plain.fault = lambda method, path: (400, {}) if (method, path.strip("/")) == ("POST", "fhir") else None
    report, _ = run(plain, sent, tmp_path)
    assert status(report, "write", "ct-bhp").status == "failed"
    assert status(report, "clean up").status == "passed"
    assert list(plain.resources) == ["Patient/foreign"]


def test_what_is_kept_stays_until_it_is_asked_away(plain, sent, tmp_path):
    run(plain, sent, tmp_path, keep=True)
    assert len(plain.resources) > 100
    (journal,) = tmp_path.glob("*.kept.ndjson")
    assert Written.unfinished(tmp_path, plain.base) == []
    target = Clocked(plain.base)
    assert harness.clean(target, Written.read(journal)) == []
    target.close()
    assert list(plain.resources) == ["Patient/foreign"]


def test_a_server_that_cannot_delete_is_not_written_to(plain, sent, tmp_path, monkeypatch):
    monkeypatch.setattr("fhirgw.harness.target.Offers.deletes", False)
    report, _ = run(plain, sent, tmp_path)
    assert status(report, "write", "ct-bhp").status == "skipped"
    assert {method for method, path in plain.asked if "_search" not in path} == {"GET"}


def test_a_link_to_another_server_is_not_followed(plain):
    target = Clocked(plain.base, token=lambda: "secret")
    with pytest.raises(Exception, match="another server"):
        target.request("GET", "http://elsewhere.example/fhir/Patient?page=2")
    target.close()
    assert plain.asked == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("100000", MOST_WAIT),
        (format_datetime(NOW + timedelta(seconds=9), usegmt=True), 9.0),
        (format_datetime(NOW - timedelta(seconds=9), usegmt=True), 0.0),
        ("soon", 5.0),
        (None, 5.0),
    ],
)
def test_retry_after_is_read_in_both_forms(value, seconds):
    assert retry_after(value, NOW) == seconds


def test_requests_keep_their_distance(plain):
    target = Clocked(plain.base, per_second=4)
    for _ in range(3):
        target.request("GET", "metadata")
    target.close()
    assert target.slept == [0.25, 0.25]


@pytest.mark.parametrize(
    ("location", "text", "counts"),
    [
        ("Patient.name[3].use", "No code provided, and a code is required from the value set 'NameUse'", False),
        ("Patient.birthDate", "No code provided, and a code is required from the value set", True),
        ("Patient.name[3].use", "Unknown code", True),
        (
            "Encounter.extension[0]",
            "'http://hl7.org/fhir/5.0/StructureDefinition/extension-X.y' is not valid (invalid Version '5.0')",
            False,
        ),
    ],
)
def test_only_what_is_known_of_validators_does_not_count(location, text, counts):
    assert (findings.reason(location, text) is None) == counts


@pytest.mark.parametrize("raw", [b"", b"{}", b"no journal\n"])
def test_no_other_file_is_taken_for_a_journal(tmp_path, raw):
    path = tmp_path / "x.written.ndjson"
    path.write_bytes(raw)
    with pytest.raises(InvalidElement):
        Written.read(path)


def test_a_journal_that_was_cut_off_holds_what_was_sent_before(tmp_path):
    written = Written.begin(tmp_path, "http://x/fhir", "run1")
    written.note(["Patient/a"])
    with written.path.open("ab") as file:
        file.write(b'{"references":["Pat')
    assert [group.references for group in Written.read(written.path).groups] == [("Patient/a",)]


def test_the_three_reports_say_the_same(plain, sent, tmp_path):
    plain.spoil = lambda one: {**one, "language": "<script>"}
    report, _ = run(plain, sent, tmp_path)
    for suffix in ("html", "json", "xml"):
        write(report, tmp_path / f"report.{suffix}")
    told = orjson.loads((tmp_path / "report.json").read_bytes())
    assert {name: told[name] for name in ("passed", "failed", "skipped")} == report.counts
    suite = ET.parse(tmp_path / "report.xml").getroot()
    assert len(suite.findall("testcase/failure")) == report.counts["failed"] == int(suite.get("failures"))
    assert len(suite.findall("testcase/skipped")) == report.counts["skipped"]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert f'<b class="failed">{report.counts["failed"]}</b>' in page
    assert "Patient.language" in page
    assert "<script>" not in page
    assert not re.search(r'(src|href)="(?!#)', page)


def documented():
    """The searches that the documents for practices and agencies tell people to run."""
    call = re.compile(
        r"fhirgw client call \S+ --key \S+ (GET|POST)\s+['\"]?([A-Z]\w+(?:/_search)?)(?:\?([^'\"\s]*))?['\"]?"
        r"(?:\s+--form\s+'([^']*)')?"
    )
    for name in ("pcmh.md", "agency.md"):
        text = (ROOT / "docs" / "connect" / name).read_text("utf-8").replace("\\\n", " ")
        yield from ((method, path, query or form) for method, path, query, form in call.findall(text))


def test_every_search_that_people_are_told_to_run_is_run():
    assert {(one.method, one.path, one.parameters) for one in SEARCHES} == set(documented())


# --- the history of what was removed ------------------------------------------------------------------------------


def offering_expunge(plain):
    (rest,) = plain.statement["rest"]
    plain.statement = {**plain.statement, "rest": [{**rest, "operation": [{"name": "expunge"}]}]}


def test_a_server_that_can_forget_is_asked_to_of_everything_that_was_removed_and_of_nothing_else(
    plain, sent, tmp_path
):
    offering_expunge(plain)
    report, _ = run(plain, sent, tmp_path)
    assert status(report, "forget").status == "passed"
    written = {f"{one['resourceType']}/{one['id']}" for sample in sent for one in sample.resources}
    assert written < set(plain.forgotten)
    assert "Patient/foreign" not in plain.forgotten
    assert journals(tmp_path) == []


def test_a_server_that_lists_expunge_and_does_not_allow_it_is_left_in_peace(plain, sent, tmp_path):
    offering_expunge(plain)
    plain.fault = lambda _method, path: (405, {}) if path.endswith("$expunge") else None
    report, _ = run(plain, sent, tmp_path)
    assert (status(report, "forget").status, len(journals(tmp_path))) == ("skipped", 0)
    assert sum(path.endswith("$expunge") for _, path in plain.asked) == 1
    assert status(report, "clean up").status == "passed"
