"""The operator's files: read when they change, and refused with what is wrong."""

from importlib import resources

import pytest

from fhirgw import app, configuration
from fhirgw.cli import main
from fhirgw.configuration import SendersFile, load_agreements, load_programs
from fhirgw.errors import InvalidElement
from fhirgw.settings import Settings
from fhirgw.store import relabelling
from fhirgw.store.database import Database

AGREEMENT = """
[[agreement]]
name = "state audit"
recipient = { references = ["Organization/agency"] }
purposes = ["HOPERAT"]
classes = ["CarePlan", "Goal"]
securityLabels = ["N"]
period = { start = "2026-01-01", end = "2026-12-31" }
"""


def test_a_senders_file_is_read_again_when_it_changed_and_only_then(tmp_path, monkeypatch):
    monkeypatch.setattr(configuration, "LOOK_SECONDS", 0.01)
    now = iter((0.0, 0.005, 0.01, 0.02, 0.03, 0.04))
    path = tmp_path / "senders.toml"
    file = SendersFile(Settings(data_dir=tmp_path), seconds=lambda: next(now))
    assert file().senders == {}
    path.write_text('[senders.a]\nfacility = "A"\n', "utf-8")
    assert file().senders == {}  # too soon to look again
    assert file().by_facility("A")[0] == "a"
    assert file() is file()
    path.unlink()
    assert file().senders == {}


def test_a_senders_file_that_cannot_be_read_ends_the_start(tmp_path):
    (tmp_path / "senders.toml").write_text("[senders", "utf-8")
    with pytest.raises(InvalidElement) as refused:
        SendersFile(Settings(data_dir=tmp_path))()
    assert "table declaration" in refused.value.text


def test_a_programme_of_the_operators_folder_stands_beside_those_that_ship(tmp_path):
    shipped = load_programs(None)
    text = (resources.files("fhirgw.programs") / "ct-bhp.toml").read_text("utf-8")
    (tmp_path / "own.toml").write_text(text.replace('id = "ct-bhp"', 'id = "own"', 1), "utf-8")
    assert load_programs(tmp_path).keys() == shipped.keys() | {"own"}


def test_agreements_are_the_operators_file_and_none_else(tmp_path):
    """Registered, dated, with a scope; one that lacks something ends the start."""
    file = tmp_path / "agreements.toml"
    file.write_text(AGREEMENT, "utf-8")
    [agreed] = load_agreements(file)
    assert (agreed.name, agreed.tokens) == ("state audit", {"Organization/agency"})
    assert load_agreements(None) == ()
    for broken in (AGREEMENT.replace("2026-12-31", ""), "agreement = 3", "[["):
        file.write_text(broken, "utf-8")
        with pytest.raises(InvalidElement):
            load_agreements(file)
    with pytest.raises(InvalidElement):
        load_agreements(tmp_path / "missing.toml")


def test_what_the_operator_sets_is_what_is_decided_by(tmp_path):
    gateway = app.build(Settings(data_dir=tmp_path, organization="urn:npi|1", break_glass_minutes=5))
    try:
        consent = gateway.share.consent
        assert (consent.disclosers, consent.break_glass_minutes) == ({"urn:npi|1"}, 5)
    finally:
        gateway.database.close()


def test_a_store_is_read_in_the_zone_that_it_is_kept_in(tmp_path):
    app.opened(Settings(data_dir=tmp_path, zone="America/Vancouver")).database.close()
    with pytest.raises(InvalidElement, match="America/Vancouver: see fhirgw relabel"):
        app.opened(Settings(data_dir=tmp_path))
    database = Database(Settings(data_dir=tmp_path).database)
    database.write_sync(lambda tx: relabelling.adopt(tx, "America/New_York"))
    database.close()
    app.opened(Settings(data_dir=tmp_path)).database.close()


def test_a_setting_that_is_wrong_ends_the_start_in_a_line_that_repeats_nothing_of_it(monkeypatch, capsys):
    monkeypatch.setenv("FHIRGW_ZONE", "Mars/Olympus")
    monkeypatch.setattr("sys.argv", ["fhirgw", "migrate"])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err == "fhirgw: FHIRGW_ZONE: there is no such time zone\n"
