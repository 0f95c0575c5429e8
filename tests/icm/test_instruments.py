"""VR-12, PHQ, PSS-10, HITS and HARK: published values, and everything that is not a complete answer set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import InvalidElement, MissingElement
from fhirgw.icm.instruments import INSTRUMENTS, PHQ9_BANDS, score

CODES = list(INSTRUMENTS)
BEST = {"GH1": 1, "PF02": 3, "PF04": 3, "RP2": 1, "RP3": 1, "RE2": 1, "RE3": 1, "BP2": 1, "MH3": 1, "VT2": 1}
BEST |= {"MH4": 6, "SF2": 5}


def lowest(code):
    return {name: item.lowest for name, item in INSTRUMENTS[code].items.items()}


def complete(code):
    items = INSTRUMENTS[code].items
    return st.fixed_dictionaries({name: st.integers(one.lowest, one.highest) for name, one in items.items()})


def test_vr12_reproduces_the_published_extremes():
    """Best and worst answers of the mailed form: two open ports agree on these."""
    items = INSTRUMENTS["vr12-mail"].items
    worst = {name: items[name].highest + items[name].lowest - answer for name, answer in BEST.items()}
    assert score("vr12-mail", BEST).scores == pytest.approx({"pcs": 55.73852, "mcs": 62.87781}, abs=1e-5)
    assert score("vr12-mail", worst).scores == pytest.approx({"pcs": 21.04686, "mcs": 12.66205}, abs=1e-5)


def test_the_two_modes_of_the_vr12_differ_by_their_constants_alone():
    mail, phone = score("vr12-mail", BEST).scores, score("vr12-phone", BEST).scores
    assert mail["pcs"] - phone["pcs"] == pytest.approx(21.04685974 - 17.75544739, abs=1e-5)
    assert mail["mcs"] - phone["mcs"] == pytest.approx(12.66204834 - 11.51387024, abs=1e-5)


@pytest.mark.parametrize(
    ("total", "band"),
    [(0, "minimal"), (4, "minimal"), (5, "mild"), (10, "moderate"), (15, "moderately severe"), (20, "severe")],
)
def test_a_phq9_total_has_its_band(total, band):
    answers = {str(n): min(3, max(0, total - 3 * (n - 1))) for n in range(1, 10)}
    found = score("phq9", answers)
    assert (found.scores["total"], found.band, found.positive) == (total, band, total >= 10)
    assert [start for start, _ in PHQ9_BANDS] == [0, 5, 10, 15, 20]


@given(complete("phq9"))
def test_thoughts_of_harm_call_for_a_person_whatever_the_total(answers):
    assert score("phq9", answers).danger == (answers["9"] > 0)


@pytest.mark.parametrize(("answers", "positive"), [((0, 2), False), ((1, 2), True)])
def test_phq2_is_positive_from_three(answers, positive):
    assert score("phq2", dict(zip("12", answers, strict=True))).positive is positive


@pytest.mark.parametrize(("last", "positive"), [(1, False), (2, True)])
def test_hits_is_positive_above_ten(last, positive):
    assert score("hits", {"1": 3, "2": 3, "3": 3, "4": last}).positive is positive


def test_hark_is_positive_from_one_yes():
    assert score("hark", lowest("hark")).positive is False
    assert score("hark", lowest("hark") | {"3": 1}).positive is True


def test_the_good_items_of_the_pss10_count_the_other_way_round():
    assert score("pss10", lowest("pss10")).scores["total"] == 16
    assert score("pss10", {str(n): 4 for n in range(1, 11)}).scores["total"] == 24
    assert score("pss10", {str(n): 4 * (n not in (4, 5, 7, 8)) for n in range(1, 11)}).scores["total"] == 40


@pytest.mark.parametrize("code", CODES)
@given(data=st.data())
def test_one_item_missing_out_of_range_or_of_another_type_is_no_score_and_says_which(code, data):
    answers = data.draw(complete(code))
    name = data.draw(st.sampled_from(sorted(answers)))
    item = INSTRUMENTS[code].items[name]
    without = {one: answer for one, answer in answers.items() if one != name}
    with pytest.raises(MissingElement) as missing:
        score(code, without)
    assert missing.value.location == name
    for answer in (item.lowest - 1, item.highest + 1, True, 1.0, "1", None):
        with pytest.raises(InvalidElement) as invalid:
            score(code, answers | {name: answer})
        assert invalid.value.location == name
    assert score(code, answers).scores.keys() == INSTRUMENTS[code].scores.keys()


def test_an_unknown_instrument_and_an_unknown_item_are_named():
    with pytest.raises(InvalidElement, match="phq9"):
        score("gad7", {})
    with pytest.raises(InvalidElement) as error:
        score("phq2", {"1": 0, "2": 0, "3": 0})
    assert error.value.location == "3"


def test_every_label_of_an_instrument_is_one_of_ours():
    assert {label for one in INSTRUMENTS.values() for label in one.sensitivity} <= BITS.keys()
