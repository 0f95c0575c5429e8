"""Who may be whom: levels, probability, grades, and the law that lets the index be of whole Patients."""

import copy
import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirgw.matching import Grade, keys, levels, load, sought, traits
from fhirgw.matching.compare import FIELDS
from fhirgw.matching.model import KINDS

MODEL = load()
MRN = "http://hospital.example.org/mrn"


def patient(family="Testperson", given=("Alma", "Quill"), birth="1984-03-02", **more):
    whole = {
        "resourceType": "Patient",
        "id": "p",
        "name": [{"family": family, "given": list(given)}],
        "birthDate": birth,
        "gender": "female",
        "address": [{"line": ["12 North Sample Street", "Apt 4"], "postalCode": "06103-1234", "city": "Hartford"}],
        "telecom": [{"system": "phone", "value": "+1 (860) 555-0101"}],
    }
    return {name: value for name, value in (whole | more).items() if value is not None}


def compared(**other):
    return levels(traits(patient()), traits(patient(**other)))


def rated(**other):
    return MODEL.rate(traits(patient()), traits(patient(**other)))


@pytest.mark.parametrize(
    ("field", "other", "level"),
    [
        ("family", {"family": "TESTPERSON"}, "exact"),
        ("family", {"family": "Tëst'person"}, "exact"),
        ("family", {"family": "Testperson-Roe"}, "part"),
        ("family", {"family": "Testpersen"}, "close"),
        ("family", {"family": "Quark"}, "different"),
        ("given", {"given": ["ALMA"]}, "exact"),
        ("given", {"given": ["A"]}, "alias"),
        ("given", {"given": ["Quill"]}, "alias"),
        ("given", {"given": ["Alm"]}, "alias"),
        ("given", {"given": ["Amla"]}, "close"),
        ("given", {"given": ["Zoe"]}, "different"),
        ("birth", {"birth": "1984-03-02"}, "exact"),
        ("birth", {"birth": "1984-02-03"}, "swapped"),
        ("birth", {"birth": "1984-03-12"}, "typo"),
        ("birth", {"birth": "1948-03-02"}, "typo"),
        ("birth", {"birth": "1983-03-02"}, "typo"),
        ("birth", {"birth": "1984-03-29"}, "near"),
        ("birth", {"birth": "1951-11-30"}, "different"),
        ("sex", {"gender": "male"}, "different"),
        ("address", {"address": [{"line": ["12 N Sample St #9"], "postalCode": "06103"}]}, "exact"),
        ("address", {"address": [{"line": ["Harbor House", "12 N Sampel St"], "postalCode": "06103"}]}, "exact"),
        ("address", {"address": [{"line": ["12 N Sample St"], "postalCode": "06111"}]}, "street"),
        ("address", {"address": [{"line": ["13 N Sample St"], "postalCode": "06103"}]}, "postal"),
        ("address", {"address": [{"line": ["1 Elm Rd"], "postalCode": "06111", "city": "HARTFORD"}]}, "city"),
        ("address", {"address": [{"line": ["1 Elm Rd"], "postalCode": "06111"}]}, "different"),
        ("contact", {"telecom": [{"value": "860.555.0101 x7"}]}, "same"),
        ("contact", {"telecom": [{"value": "555-0101"}]}, "same"),
        ("contact", {"telecom": [{"value": "860-555-0110"}]}, "close"),
        ("contact", {"telecom": [{"value": "a@example.org"}]}, "different"),
    ],
)
def test_each_field_has_one_level(field, other, level):
    assert compared(**other)[field] == level
    assert levels(traits(patient(**other)), traits(patient()))[field] == level


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("birth", {"birth": "1900-01-01"}),
        ("birth", {"birth": "1984-03"}),
        ("birth", {"birth": None}),
        ("sex", {"gender": "unknown"}),
        ("address", {"address": [{"line": ["HOMELESS"]}]}),
        ("address", {"address": [{"text": "somewhere"}]}),
        ("contact", {"telecom": [{"value": "000-000-0000"}]}),
        ("contact", {"telecom": [{"value": "911"}]}),
        ("family", {"family": "Unknown", "given": ["Baby Girl"]}),
        ("given", {"family": "Unknown", "given": ["Baby Girl"]}),
    ],
)
def test_what_says_nothing_is_not_compared(field, other):
    assert field not in compared(**other)


def test_names_in_each_others_place_are_one_observation():
    assert compared(family="Alma", given=["Testperson"])["family"] == "swapped"
    assert "given" not in compared(family="Alma", given=["Testperson"])
    assert compared(family="Almast", given=["Testpersen"])["family"] == "different"


@pytest.mark.parametrize(
    ("one", "other"), [("Robert", "Bobby"), ("Guadalupe", "Lupita"), ("Catherine", "Kathy"), ("Rob", "Robert")]
)
def test_a_nickname_is_the_same_name(one, other):
    assert levels(traits(patient(given=[one])), traits(patient(given=[other])))["given"] == "alias"


def test_the_most_alike_of_several_names_counts():
    married = patient(name=[{"family": "Roe", "given": ["Alma"]}, {"use": "maiden", "family": "Testperson"}])
    assert levels(traits(patient()), traits(married)) == compared()


# --- probability --------------------------------------------------------------------------------------------------


def test_an_identifier_alone_is_certain():
    same = MODEL.rate(
        traits({"identifier": [{"system": MRN, "value": "1"}]}),
        traits(patient(identifier=[{"system": MRN, "value": "1"}])),
    )
    assert (same.probability, same.grade) == (1.0, Grade.CERTAIN)
    assert rated().grade is Grade.PROBABLE
    assert rated().probability < 1
    bare = MODEL.rate(traits({"identifier": [{"value": "1"}]}), traits(patient(identifier=[{"value": "1"}])))
    assert bare.grade is Grade.CERTAINLY_NOT


@pytest.mark.parametrize(
    "other",
    [
        {"given": ["Amla"]},
        {"birth": "1984-02-03"},
        {"birth": "1983-03-02"},
        {"telecom": None, "address": [{"line": ["1 Elm Rd"], "postalCode": "06111"}]},
        {"family": "Roe", "telecom": None},
        {"family": "Alma", "given": ["Testperson"]},
    ],
)
def test_one_error_leaves_a_person_probable(other):
    assert rated(**other).grade is Grade.PROBABLE


def test_a_twin_is_a_question_and_never_probable():
    assert rated(given=["Zoe"]).grade is Grade.POSSIBLE
    assert rated(given=["Otto"], gender="male").grade is not Grade.PROBABLE


@pytest.mark.parametrize(
    "other",
    [
        {"given": ["Zoe"], "birth": "2001-09-09"},
        {"birth": "1960-09-09", "given": ["Zoe"], "gender": "male"},
        {"family": "Roe", "given": ["Zoe"], "birth": "1990-06-06"},
        {"address": None, "telecom": None, "birth": None, "gender": None},
    ],
)
def test_a_relative_a_neighbour_and_a_namesake_are_nobody(other):
    assert rated(**other).grade is Grade.CERTAINLY_NOT


def test_every_better_level_is_more_probable():
    """In each field: where "the same" becomes likelier against strangers, the probability rises with it."""
    table = tomllib.loads((files("fhirgw.matching") / "weights.toml").read_text("utf-8"))
    for field, known in FIELDS.items():
        for one in known:
            for other in known:
                ratio = [table[field][level]["same"] / table[field][level]["stranger"] for level in (one, other)]
                mine, theirs = (MODEL.probability({field: level}) for level in (one, other))
                if ratio[0] > 3 * ratio[1]:
                    assert mine >= theirs, (field, one, other)


def test_the_operators_file_changes_what_it_names_alone():
    assert load("[thresholds]\nprobable = 0.9").probable == 0.9
    assert load("[thresholds]\nprobable = 0.9").possible == MODEL.possible


@pytest.mark.parametrize(
    "text",
    [
        "[thresholds]\nprobable = 1.5",
        "[thresholds]\npossible = 0.99",
        "[people]\ntwin = 0",
        "[people]\nclone = 1",
        "[sex.same]\nsame = 0.5",
        "[hair.red]\nsame = 0.5",
        "[sex.same]\nother = 0.5",
    ],
)
def test_weights_that_do_not_fit_together_are_refused(text):
    with pytest.raises(ValueError, match="do not fit together"):
        load(text)


def test_each_table_says_all_of_every_kind():
    table = tomllib.loads((files("fhirgw.matching") / "weights.toml").read_text("utf-8"))
    assert {kind: sum(one["same"] for one in table["sex"].values()) for kind in KINDS} == dict.fromkeys(KINDS, 1.0)


# --- rank ---------------------------------------------------------------------------------------------------------


def test_the_likeliest_comes_first_and_nobody_below_the_threshold_comes():
    people = {
        "stranger": patient(family="Roe", given=["Zoe"], birth="1990-06-06", address=None, telecom=None),
        "twin": patient(given=["Zoe"]),
        "b": patient(),
        "a": patient(),
    }
    ranked = MODEL.rank(traits(patient(id=None)), [(one, body | {"id": one}) for one, body in people.items()])
    assert [one for one, _ in ranked] == ["a", "b", "twin"]


def test_somebody_whom_another_record_stands_for_is_no_candidate():
    gone = patient(link=[{"type": "replaced-by", "other": {"reference": "Patient/q"}}])
    assert MODEL.rank(traits(patient()), [("gone", gone)]) == []


# --- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"given": ["Amla"], "birth": None},
        {"birth": "1984-02-03", "address": None, "telecom": None, "family": "Roe"},
        {"birth": "1985-03-02", "given": ["Zoe"], "address": None, "telecom": None},
        {"family": "Alma", "given": ["Testperson"], "birth": None, "telecom": None, "address": None},
        {"family": "Roe", "given": ["Zoe"], "birth": None, "telecom": None},
        {"family": "Roe", "given": ["Zoe"], "birth": None, "address": None},
    ],
)
def test_whoever_has_enough_in_common_shares_a_key(other):
    assert keys(traits(patient())) & sought(traits(patient(**other)))


def test_strangers_share_none():
    other = patient("Roe", ["Zoe"], "1990-06-06", address=None, telecom=[{"value": "212-555-0199"}])
    assert not keys(traits(patient())) & sought(traits(other))


WORDS = st.sampled_from(
    ["Alma", "Zoe Quill", "de la Cruz", "Garcia-Lopez", "O'Brien", "12 Main St", "Apt 4", "Unknown"]
)
ELEMENTS = {
    "name": st.lists(st.fixed_dictionaries({"family": WORDS, "given": st.lists(WORDS, max_size=3)}), max_size=2),
    "birthDate": st.sampled_from(["1984-03-02", "1984-03", "1900-01-01"]),
    "gender": st.sampled_from(["female", "unknown"]),
    "address": st.lists(
        st.fixed_dictionaries(
            {"line": st.lists(WORDS, max_size=3), "postalCode": st.sampled_from(["06103", "V6B 1A1"])}
        ),
        max_size=2,
    ),
    "telecom": st.lists(
        st.fixed_dictionaries({"value": st.sampled_from(["860-555-0101", "a@example.org", "1"])}), max_size=2
    ),
    "identifier": st.lists(
        st.fixed_dictionaries(
            {"system": st.just(MRN), "value": st.sampled_from(["1", "2"]), "use": st.just("old")}
        ),
        max_size=2,
    ),
}


def cut(draw, value):
    """The value with things left out, at any depth; as redaction leaves it, and more."""
    if isinstance(value, dict):
        return {name: cut(draw, one) for name, one in value.items() if draw(st.integers(0, 3))}
    if isinstance(value, list):
        return [cut(draw, one) for one in value if draw(st.integers(0, 3))]
    return value


@given(st.fixed_dictionaries({}, optional=ELEMENTS), st.data())
def test_a_patient_with_something_left_out_has_no_key_of_its_own(whole, data):
    """So that the index of whole Patients finds whoever is found by what is visible."""
    part = cut(data.draw, copy.deepcopy(whole))
    assert keys(traits(part)) <= keys(traits(whole))
    assert keys(traits(whole)) <= sought(traits(whole))


@given(st.fixed_dictionaries({}, optional=ELEMENTS), st.fixed_dictionaries({}, optional=ELEMENTS))
def test_any_two_patients_can_be_compared_and_it_does_not_matter_which_comes_first(one, other):
    mine, theirs = MODEL.rate(traits(one), traits(other)), MODEL.rate(traits(other), traits(one))
    assert mine.grade == theirs.grade
    assert 0 <= mine.probability <= 1
