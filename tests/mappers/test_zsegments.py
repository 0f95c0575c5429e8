"""Z segments: what the sender's registration says of them is read, the rest stays in the bytes."""

import pytest
from pydantic import ValidationError

from fhirgw.mappers.adt import extract, map_message
from fhirgw.mappers.event import MapContext
from fhirgw.mappers.visit import fold_visit
from fhirgw.profiles.validation import problems
from fhirgw.settings import Sender
from fhirgw.v2.codec import encode, parse

URL = "https://elm.example/fhir/StructureDefinition/isolation"
BASE = (
    "MSH|^~\\&|A|ELMHOSP|G|I|20260401080000||ADT^A01|Z1|P|2.5.1\r"
    "PID|1||990017^^^ELMHOSP^MR||PLACEHOLDER^FENN\r"
    "PV1|1|I|W1^2^B||||||||||||||||V1^^^ELMHOSP^VN\r"
)


def read(text, **z):
    return extract(parse(text.encode()), context(**z))


def context(**z):
    return MapContext(
        "elm", Sender(facility="ELMHOSP", z={name.replace("_", "-"): to for name, to in z.items()}), b"k"
    )


def test_a_z_field_stands_in_for_an_empty_standard_field():
    event = read(BASE + "ZPV|1|x|20260401073000\r", ZPV_3="PV1-44")
    assert event.encounter["period.start"] == "2026-04-01T07:30:00-04:00"


def test_a_standard_field_that_says_something_itself_stands():
    assert read(BASE + "ZPV|1|E\r", ZPV_2="PV1-2").encounter["class"]["coding"]["code"] == "IMP"


def test_a_component_of_a_z_field_can_be_taken_and_a_missing_segment_is_made():
    event = read(BASE + "ZDX|x^Cough\r", **{"ZDX-1.2": "PV2-3"})
    assert "reasonCode" in event.encounter
    assert event.encounter == read(BASE + "PV2|||Cough\r").encounter


def test_a_null_in_a_z_field_deletes_what_the_standard_field_would():
    event = read(BASE + 'ZPI|""\r', ZPI_1="PID-7")
    assert "Patient.birthDate" in event.deletes


def test_z_fields_become_extensions_one_a_repetition():
    event = read(BASE + "ZPV|contact~drop\\T\\let\rZPV|air\r", ZPV_1=f"Encounter {URL}")
    (encounter,) = (one for one in fold_visit([event], "p", b"k") if one["resourceType"] == "Encounter")
    assert encounter["extension"] == [{"url": URL, "valueString": text} for text in ("contact", "drop&let", "air")]
    assert problems(encounter) == []


def test_a_z_field_can_be_an_extension_of_the_patient_and_is_deleted_by_null():
    said = read(BASE + "ZPD|yes\r", ZPD_1=f"Patient {URL}")
    assert said.patient["extension"] == [{"url": URL, "valueString": "yes"}]
    assert "Patient.extension.ZPD-1" in read(BASE + 'ZPD|""\r', ZPD_1=f"Patient {URL}").deletes


def test_an_extension_of_a_visit_that_the_message_does_not_have_is_passed_over():
    text = BASE.replace("ADT^A01", "ADT^A08").split("PV1|")[0] + "ZPV|x\r"
    assert read(text, ZPV_1=f"Encounter {URL}").visit is None


def test_z_segments_without_a_registration_change_nothing_but_the_digest_of_the_bytes():
    plain, more = read(BASE), read(BASE + "ZPV|1|x\r")
    assert (plain.person, plain.encounter) == (more.person, more.encounter)
    message = parse((BASE + "ZPV|1|x\r").encode())
    assert encode(message).endswith(b"ZPV|1|x\r")
    assert message.first("ZPV").get(2) == "x"


def test_the_digest_is_of_the_bytes_that_came_whatever_is_registered():
    text = BASE + "ZPV|1|x|20260401073000\r"
    assert read(text).digest == read(text, ZPV_3="PV1-44").digest


def test_a_message_maps_with_its_z_fields():
    bundle = map_message(parse((BASE + "ZPV|contact\r").encode()), context(ZPV_1=f"Encounter {URL}"))
    assert URL in str(bundle)


@pytest.mark.parametrize(
    "table",
    [
        {"PID-3": "PV1-2"},
        {"ZPV-0": "PV1-2"},
        {"ZPV-1": "MSH-9"},
        {"ZPV-1": "Organization http://x"},
        {"ZPV-1": "PV1"},
    ],
)
def test_a_table_that_means_nothing_is_refused_when_it_is_read(table):
    with pytest.raises(ValidationError):
        Sender(z=table)
