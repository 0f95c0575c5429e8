"""Contacts of a case, and the team that has them."""

import pytest
from icm_cases import clocks, codes, mapped, of_type, stated
from year_of_a_case import altered, by_text, coded, extended, only, reference, refused

from fhirgw.errors import ProfileViolation
from fhirgw.icm.model import Case

BASE = "http://fhirgw.org/fhir/"


# --- contacts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("home", "HH"), ("public-place", "FLD"), ("shelter", "FLD"), ("transitional-housing", "FLD"),
        ("community", "FLD"), ("corrections", "FLD"), ("office", "AMB"), ("respite", "AMB"), ("hospital", "AMB"),
        ("observation-unit", "AMB"), ("emergency", "AMB"), ("skilled-nursing", "AMB"),
    ],
)  # fmt: skip
def test_a_contact_has_the_class_of_where_it_was(setting, code):
    """A visit in a hospital is not the hospital's own encounter: never IMP or EMER."""
    contact = {"id": "c", "at": "2025-02-03T10:00:00-05:00", "mode": "face-to-face", "setting": setting}
    (encounter,) = of_type(mapped("ct-bhp-candidate", contacts=[contact]), "Encounter")
    assert encounter["class"]["code"] == code
    assert setting in coded(encounter, "type")


@pytest.mark.parametrize("mode", ["phone", "video", "email"])
def test_a_contact_from_afar_is_virtual(mode):
    contact = {"id": "c", "at": "2025-02-03T10:00:00-05:00", "mode": mode}
    (encounter,) = of_type(mapped("ct-bhp-candidate", contacts=[contact]), "Encounter")
    assert encounter["class"]["code"] == "VR"
    assert mode in coded(encounter, "type")


def test_a_contact_says_what_it_was_for():
    purposes = set().union(*(coded(one, "reasonCode") for one in of_type(mapped("ct-bhp-year"), "Encounter")))
    assert {
        "introduction",
        "goals-discussion",
        "motivational-interviewing",
        "care-planning",
        "aftercare",
    } <= purposes


def test_who_took_part_is_named():
    """CT BHP: "Meet with providers/supports/member to develop short and long-term recovery plans"."""
    (meeting,) = [
        one for one in of_type(mapped("ct-bhp-year"), "Encounter") if len(one.get("participant", [])) == 4
    ]
    kinds = [one["individual"]["reference"].partition("/")[0] for one in meeting["participant"]]
    assert kinds == ["PractitionerRole", "PractitionerRole", "RelatedPerson", "Practitioner"]


def test_collaterals_are_met_without_the_member():
    aftercare = only(mapped("ct-bhp-year"), "Encounter", "reasonCode", "aftercare")
    assert "collateral" in coded(aftercare, "type")
    contacts = stated("ct-bhp-year")["contacts"]
    contacts[4]["beside"] = []
    with pytest.raises(ValueError, match="somebody beside"):
        Case.model_validate({**stated("ct-bhp-year"), "contacts": contacts})


def test_a_group_session_has_a_name_and_a_size():
    (session,) = [one for one in of_type(mapped("ne-peer-year"), "Encounter") if "group" in coded(one, "type")]
    assert session["identifier"] == [{"system": f"{BASE}sid/icm-group-session", "value": "night-group-2024-10-02"}]
    assert [one["valuePositiveInt"] for one in extended(session, "icm-group-participants")] == [7]


@pytest.mark.parametrize(("size", "fits"), [(2, False), (3, True), (12, True), (13, False)])
def test_a_group_in_nebraska_is_of_three_to_twelve(size, fits):
    changes = altered("ne-peer-year", "contacts", "c2", group={"session": "s", "participants": size})
    if fits:
        assert mapped("ne-peer-year", **changes)
    else:
        assert refused("ne-peer-year", **changes) == [(ProfileViolation, "contacts[1].group.participants")]


def test_an_attempt_was_answered_or_not():
    attempts = [one for one in of_type(mapped("ccbh-peer-year"), "Communication") if "sent" in one]
    said = {(min(coded(one, "category")), "received" in one) for one in attempts}
    assert {("letter", False), ("convenient-appointment", False), ("engagement-contract", True)} <= said


# --- the team -------------------------------------------------------------------------------------------------


def test_a_role_has_the_nearest_published_code_and_the_programmes_own():
    resources = mapped("husky-year")
    roles = {frozenset(coded(one, "code")) for one in of_type(resources, "PractitionerRole")}
    assert {frozenset({"163W00000X", "husky.nurse"}), frozenset({"husky.medical-director"})} <= roles
    assert len(of_type(resources, "CareTeam")[0]["participant"]) == 3 + 9


def test_a_qualification_says_its_kind_its_number_its_issuer_and_until_when():
    resources = mapped("ct-bhp-year")
    lane = by_text(resources, "Practitioner", "Lane")["qualification"][0]
    assert {"LCSW", "ct-bhp.behavioral-health-clinician", "license"} == coded(lane, "code")
    assert lane["identifier"][0]["value"] == "TEST-001"
    assert lane["period"] == {"start": "2016-05-01", "end": "2026-04-30"}
    moss = by_text(resources, "Practitioner", "Moss")["qualification"]
    assert [min(coded(one, "code")) for one in moss] == ["RSS", "training"]
    assert moss[0]["issuer"] == reference(by_text(resources, "Organization", "Example Recovery University"))


def test_a_peer_says_their_lived_experience_and_whom_they_answer_to():
    resources = mapped("ct-bhp-year")
    peer = only(resources, "PractitionerRole", "code", "ct-bhp.peer")
    director = only(resources, "PractitionerRole", "code", "ct-bhp.peer-director")
    assert [one["valueCode"] for one in extended(peer, "icm-lived-experience")] == ["self"]
    assert [one["valueReference"] for one in extended(peer, "icm-supervisor")] == [reference(director)]


def test_nobody_supervises_themselves():
    team = altered("ct-bhp-year", "care_team", "director-frey", supervisor="peer-moss")
    with pytest.raises(ValueError, match="supervises themselves"):
        Case.model_validate({**stated("ct-bhp-year"), **team})


@pytest.mark.parametrize(
    ("name", "who", "changes", "field"),
    [
        ("ne-peer-year", "consult-bly", {"qualifications": []}, "qualifications"),
        ("ne-peer-year", "peer-hale", {"lived_experience": None}, "lived_experience"),
        ("ne-peer-year", "peer-hale", {"birth_date": "2006-01-01"}, "birth_date"),
        ("bc-icmt-year", "peer-sky", {"caseload": 1}, "caseload"),
    ],
)
def test_a_role_asks_for_what_its_programme_says(name, who, changes, field):
    index = next(at for at, one in enumerate(stated(name)["care_team"]) if one["id"] == who)
    expected = [(ProfileViolation, f"care_team[{index}].{field}")]
    assert refused(name, **altered(name, "care_team", who, **changes)) == expected


def test_a_birth_date_of_staff_is_told_to_nobody():
    assert "1990-01-01" not in str(mapped("ne-peer-year"))


def test_a_caseload_over_its_maximum_is_told_to_the_management():
    """Nebraska: not over 1:25; BC B.5: management is made aware."""
    for name, loads in (("ne-peer-year", [27, 12]), ("bc-icmt-year", [17, 22])):
        resources = mapped(name)
        (team,) = of_type(resources, "CareTeam")
        stated_loads = [
            one["valueUnsignedInt"] for part in team["participant"] for one in extended(part, "icm-caseload")
        ]
        assert stated_loads == loads
        assert only(resources, "Task", "code", "caseload")["focus"] == reference(team)
    assert not [one for one in of_type(mapped("ct-bhp-year"), "Task") if "caseload" in coded(one, "code")]


def test_staff_confer_about_the_member():
    resources = mapped("bc-icmt-year")
    review = only(resources, "Communication", "category", "case-review")
    assert review["sender"] == reference(only(resources, "PractitionerRole", "code", "bc-icmt.team-lead"))
    assert len(review["recipient"]) == 3
    assert codes(review) == {"MH"}


def test_a_consultation_starts_its_clock_anew():
    consultation = {"id": "k", "on": "2025-06-02", "by": "consultant-brandt"}
    supervision, clinical = ({**consultation, "kind": kind} for kind in ("supervision", "clinical-consultation"))
    assert clocks(mapped("ne-peer", consultations=[clinical]))["NE-CONSULT-90"][1].startswith("2025-08-31")
    before = clocks(mapped("ne-peer", consultations=[]))
    assert clocks(mapped("ne-peer", consultations=[supervision]))["NE-CONSULT-90"] == before["NE-CONSULT-90"]
