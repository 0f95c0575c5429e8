"""The five files load, say where each fact comes from, and a file that contradicts itself does not load."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cited_facts import facts
from pydantic import ValidationError

from fhirgw import programs
from fhirgw.programs import Span, load

FOLDER = Path(programs.__file__).parent
TEXTS = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.toml"))}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_is_named_for_its_programme(name):
    assert load(TEXTS[name]).id == name


def test_there_are_five_and_all_five_run_clocks_and_rules():
    loaded = [load(text) for text in TEXTS.values()]
    assert len(loaded) == 5
    assert all(program.clocks and program.tiers and program.admission and program.discharge for program in loaded)


@pytest.mark.parametrize("name", TEXTS)
def test_every_fact_has_the_words_of_its_source(name):
    found = list(facts(load(TEXTS[name])))
    assert found
    assert all(source.words.strip() and source.section.strip() for fact in found for source in fact.sources)


def test_a_number_that_the_source_states_twice_is_marked_configurable():
    clocks = {clock.id: clock for clock in load(TEXTS["bc-icmt"]).clocks}
    assert clocks["BC-CONTACT-3"].configurable
    assert len(clocks["BC-CONTACT-3"].sources) == 2
    assert not clocks["BC-REASSESS"].configurable


def test_the_law_of_another_country_is_no_part_2():
    assert not load(TEXTS["bc-icmt"]).part2
    with pytest.raises(ValidationError, match="law of the United States"):
        load(TEXTS["bc-icmt"].replace("part2 = false", "part2 = true"))


SOURCE = 'sources = [{ section = "1", words = "words" }]'
CONTRADICTIONS = {
    "a role that is not there": ('roles = ["icm", "peer"]', 'roles = ["icm", "wizard"]'),
    "a tier stated twice": ('code = "tier-1"', 'code = "tier-2"'),
    "a range upside down": ("frequency = 1, frequency_max = 3", "frequency = 3, frequency_max = 1"),
    "a period upside down": ("period = 1, period_max = 2", "period = 2, period_max = 1"),
    "a clock met by its own start": ('met_by = "plan"', 'met_by = "first-contact"'),
    "a clock that recurs and is met": ('met_by = "plan"', 'met_by = "plan"\nrecurs = true'),
    "a first start without recurrence": ('met_by = "plan"', 'met_by = "plan"\nfirst_from = "admission"'),
    "a clock without a length": ('due = { amount = 30, unit = "day" }\nmet_by', "met_by"),
    "a zone that does not exist": ('zone = "America/New_York"', 'zone = "America/Elsewhere"'),
    "a fact without a source": (r'sources = [{ section = "ICM role"', 'was = [{ section = "ICM role"'),
    "an unknown field": ("part2 = false", "part2 = false\ncolour = 1"),
    "no time at all": ("amount = 30", "amount = 0"),
    "a trigger stated twice": ('id = "CT-VISIT"', 'id = "CT-AFTERCARE"'),
    "a pattern that fits everything": (
        'visits = [{ classes = ["IMP", "ACUTE", "NONAC", "OBSENC"] }]',
        "visits = [{}]",
    ),
    "a trigger without visits": ('visits = [{ classes = ["IMP", "ACUTE", "NONAC", "OBSENC"] }]', "visits = []"),
    "a look-back without a measure": ('when = "discharge"', 'when = "look-back"'),
    "a readmission without a time": ('when = "discharge"', 'when = "readmission"'),
    "a time where nothing is looked back on": (
        'when = "discharge"',
        'when = "discharge"\nwithin = { amount = 3, unit = "day" }',
    ),
    "a look-back on working days": (
        'when = "discharge"',
        'when = "readmission"\nwithin = { amount = 3, unit = "working-day" }',
    ),
    "a criterion that no visit can show": ('when = "discharge"', 'when = "discharge"\nrequires = ["opt-in"]'),
    "a criterion that is not there": ('when = "discharge"', 'when = "discharge"\nrequires = ["age-99"]'),
    "a clock that is not there": (
        'title = "First contact", due = { amount = 7, unit = "day" }',
        'title = "First contact", clock = "CT-NONE"',
    ),
    "a licence that is not there": (
        'licences = ["behavioral-health-clinician"]',
        'licences = ["wizard"]',
    ),
    "a signature by nobody": ("[plan]\n", '[plan]\nsigned_by = ["wizard"]\n'),
    "a caseload of nobody": ("[plan]\n", f'[[caseloads]]\nrole = "wizard"\nmaximum = 9\n{SOURCE}\n[plan]\n'),
    "an ideal above the maximum": (
        "[plan]\n",
        f'[[caseloads]]\nrole = "icm"\nmaximum = 9\nideal = 10\n{SOURCE}\n[plan]\n',
    ),
    "a group upside down": ("[plan]\n", f"[groups]\nsmallest = 5\nlargest = 3\n{SOURCE}\n[plan]\n"),
    "two lengths": ('title = "First contact", due', 'title = "First contact", clock = "CT-PLAN-30", due'),
}


@pytest.mark.parametrize("old_new", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_contradiction_is_refused(old_new):
    old, new = old_new
    assert old in TEXTS["ct-bhp"]
    with pytest.raises(ValidationError):
        load(TEXTS["ct-bhp"].replace(old, new))


def test_a_sixth_programme_is_a_file_and_nothing_else():
    text = re.sub(r"^id = .*$", 'id = "sixth"', TEXTS["ct-bhp"], count=1, flags=re.MULTILINE)
    assert load(text).id == "sixth"


@pytest.mark.parametrize(
    ("amount", "unit", "start", "expected"),
    [
        (30, "day", date(2025, 1, 31), date(2025, 3, 2)),
        (2, "week", date(2025, 12, 25), date(2026, 1, 8)),
        (1, "month", date(2025, 1, 31), date(2025, 2, 28)),
        (1, "month", date(2024, 1, 31), date(2024, 2, 29)),
        (6, "month", date(2025, 8, 31), date(2026, 2, 28)),
        (12, "month", date(2024, 2, 29), date(2025, 2, 28)),
        (3, "working-day", date(2025, 5, 2), date(2025, 5, 7)),
        (1, "working-day", date(2025, 5, 3), date(2025, 5, 5)),
    ],
)
def test_lengths_of_time(amount, unit, start, expected):
    assert Span(amount=amount, unit=unit).after(start) == expected


def test_a_holiday_is_no_working_day():
    span = Span(amount=3, unit="working-day")
    assert span.after(date(2025, 5, 16), frozenset({date(2025, 5, 19)})) == date(2025, 5, 22)


def test_a_day_is_due_until_its_last_second_where_the_programme_is():
    program = load(TEXTS["bc-icmt"])
    due = program.due(Span(amount=3, unit="day"), date(2025, 3, 7))
    assert due.isoformat() == "2025-03-10T23:59:59-07:00"  # summer time began in between
    assert program.day(datetime(2025, 3, 8, 5, 0, tzinfo=UTC)) == date(2025, 3, 7)


@pytest.mark.parametrize("days", [1, 30])
@pytest.mark.parametrize("unit", ["day", "week"])
def test_the_time_before_a_day_ends_with_it(days, unit):
    span = Span(amount=days, unit=unit)
    assert span.after(span.before(date(2026, 3, 5))) == date(2026, 3, 5)


def test_two_years_back_is_the_same_day_of_the_year():
    assert Span(amount=24, unit="month").before(date(2026, 3, 5)) == date(2024, 3, 5)
    assert Span(amount=12, unit="month").before(date(2024, 2, 29)) == date(2023, 2, 28)
