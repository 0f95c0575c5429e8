"""The report of what became of each field is true: a mapped field tells, an unmapped one does not."""

from pathlib import Path

import orjson
import pytest

from fhirgw.mappers.adt import extract_all
from fhirgw.mappers.report import LEFT, NO_MAP, ONE_PLACE, REFUSED, filled, report, summary
from fhirgw.v2.codec import Message, parse, traced

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v2"
DENSE = ["A01/people-and-money", "A08/restricted", "A03/death", "A01/identifiers", "A01/member"]
LAST = {
    "ACC": 13, "ARV": 10, "GT1": 57, "IN1": 55, "IN2": 72, "IN3": 27, "MSH": 28, "NK1": 41, "PD1": 22, "PDA": 9,
    "PID": 40, "PRT": 24, "ROL": 14,
}  # fmt: skip
"""The last field of each segment of people and money in v2.8.2 (IN2: those that the guide's sheet lists)."""
NOT_SEEN_ALONE = {
    "MSH-3": "the facility is MSH-4's", "MSH-7": "EVN-2 says it", "EVN-2": "EVN-6 and MSH-7 say it",
    "PID-24": "PID-25 says it", "PID-30": "PID-29 says it", "IN1-17": "no relationship is none to turn",
    "ARV-2": "A is what an empty one is", "PRT-2": "as ARV-2", "ROL-2": "as ARV-2", "IN1-49": "IN1-36 says it",
}  # fmt: skip


def load(name: str) -> Message:
    return parse((FIXTURES / f"{name}.hl7").read_bytes())


def facts(message: Message, context) -> list[bytes]:
    """What a message says, without what is of its bytes alone."""
    told = []
    for event in extract_all(message, context):
        said = orjson.loads(event.to_json())
        told.append(orjson.dumps({name: said[name] for name in said if name not in ("digest", "order")}))
    return told


def without(message: Message, at: int, number: int) -> Message:
    segments = list(message.segments)
    segments[at] = segments[at].with_field(number, "")
    return Message(segments, message.delimiters, message.codec, message.terminators)


@pytest.mark.parametrize("name", DENSE)
def test_a_mapped_field_tells_and_an_unmapped_one_does_not(name, context):
    """By mutation: each field is blanked, and what the message says changes, or does not."""
    message = load(name)
    whole = facts(message, context)
    _, told, _ = report(message, context)
    wrong = []
    for at, (segment, said) in enumerate(zip(message.segments, told["segments"], strict=True)):
        for number in filled(segment):
            field = f"{segment.name}-{number}"
            if segment.name == "MSH" and number <= 2:
                continue
            try:
                changed = facts(without(message, at, number), context) != whole
            except ExceptionGroup:
                changed = True  # it is required
            if changed != (field in said["mapped"]) and not (field in NOT_SEEN_ALONE and not changed):
                wrong.append((at, field, said["unmapped"].get(field)))
    assert wrong == []


@pytest.mark.parametrize("name", DENSE)
def test_every_segment_and_every_field_is_named(name, context):
    message = load(name)
    _, told, _ = report(message, context)
    assert [one["segment"] for one in told["segments"]] == [segment.name for segment in message.segments]
    for segment, said in zip(message.segments, told["segments"], strict=True):
        assert {*said["mapped"], *said["unmapped"]} == {f"{segment.name}-{number}" for number in filled(segment)}
        assert not {*said["mapped"]} & {*said["unmapped"]}


def test_of_a_mapped_field_what_is_lost_inside_is_named(context):
    """Components that nothing reads, subcomponents, repetitions without a place; what is read is none of them."""
    raw = (FIXTURES / "A01/member.hl7").read_bytes().split(b"\r")
    raw[2] = b"PID|1||MRN-1^7^M10^ELMHOSP&&^MR||DOE&VAN&&&&LOST^JANE^^^^^^REP|||F||2106-3^White^CDCREC"
    raw[3:] = [b"PV1|1|I|4E^1^A^ELMHOSP&1.2.3&ISO|||||||||||7^Physician^HL70023|||||V-1^^^ELMHOSP",
               b"OBX|1|ST|8302-2^Height^LN||1||||||F||||||||||||EXAMPLE LAB~OTHER LAB", b""]  # fmt: skip
    _, told, _ = report(parse(b"\r".join(raw)), context)
    assert {part: reason for one in told["segments"] for part, reason in one["parts"].items()} == {
        "PID-3.2": NO_MAP, "PID-3.3": NO_MAP, "PID-5.1.6": NO_MAP, "PID-5.8": NO_MAP, "PV1-3.4.2": NO_MAP,
        "PV1-3.4.3": NO_MAP, "OBX-23~": ONE_PLACE,
    }  # fmt: skip
    assert {"field": "PID-3.2", "reason": NO_MAP, "count": 2} in summary([told, told])["unmapped"]


@pytest.mark.parametrize("name", DENSE[:2])
def test_a_component_that_nothing_reads_changes_nothing(name, context):
    """By mutation: what changes when a component is blanked is none of those that are named as lost."""
    message = load(name)
    whole = facts(message, context)
    _, told, _ = report(message, context)
    for at, (segment, said) in enumerate(zip(message.segments[1:], told["segments"][1:], strict=True), 1):
        for part in said["parts"]:
            number, _, component = part.rstrip("~").partition("-")[2].partition(".")
            if not component.isdecimal():
                continue
            repetitions = [one.raw.split("^") for one in segment.repetitions(int(number))]
            texts = ["^".join([*one[: int(component) - 1], "", *one[int(component) :]]) for one in repetitions]
            segments = list(message.segments)
            segments[at] = segment.with_field(int(number), "~".join(texts))
            changed = Message(segments, message.delimiters, message.codec, message.terminators)
            assert facts(changed, context) == whole, part


def test_each_element_of_each_segment_is_mapped_or_left_for_a_reason(context):
    asked: dict[str, set[int]] = {}
    for name in DENSE:
        message, segments = traced(load(name))
        extract_all(message, context)
        for segment in segments:
            asked.setdefault(segment.name, set()).update(segment.asked)
    for name, last in LAST.items():
        missing = set(range(1, last + 1)) - asked[name] - LEFT[name].keys()
        assert not missing, (name, missing)
        assert all(1 <= number <= last for number in LEFT[name]), name


def test_a_segment_that_no_map_knows_is_named(context):
    raw = (FIXTURES / "A01/member.hl7").read_bytes() + b"ZPD|1|x\rUB1|1|7\r"
    _, told, _ = report(parse(raw), context)
    assert [(one["segment"], one["mapped"], one["unmapped"]) for one in told["segments"][-2:]] == [
        ("ZPD", [], dict.fromkeys(("ZPD-1", "ZPD-2"), "no field of it is registered for the sender")),
        ("UB1", [], dict.fromkeys(("UB1-1", "UB1-2"), "no map reads it here")),
    ]


def test_of_a_refused_message_everything_is_unmapped(context):
    bundle, told, problems = report(load("A01/no-patient"), context)
    assert bundle is None
    assert problems
    assert told["outcome"] == "refused"
    assert {reason for one in told["segments"] for reason in one["unmapped"].values()} == {REFUSED}
    assert not any(one["mapped"] for one in told["segments"])


def test_a_report_holds_no_value_of_the_message(context):
    _, told, _ = report(load("A01/people-and-money"), context)
    told["control_id"] = ""
    text = orjson.dumps(told).decode()
    for word in ("PLACEHOLDER", "GRETA", "RUDI", "MRN-3001", "19700515", "POL-3001"):
        assert word not in text


def test_what_cannot_be_made_into_anything_is_named_where_it_stands(context):
    _, told, _ = report(load("A01/people-and-money"), context)
    kin = [one for one in told["segments"] if one["segment"] == "NK1"]
    assert ["NK1-16" in one["mapped"] for one in kin] == [True, False, False]
    assert kin[1]["unmapped"]["NK1-16"] == "it could not be made into anything"


def test_the_summary_counts(context):
    reports = [report(load(name), context)[1] for name in ("A01/people-and-money", "A01/no-patient")] * 2
    counted = summary(reports)
    assert counted["outcomes"] == {"mapped": 2, "refused": 2}
    assert {"field": "PID-32", "system": "0445", "code": "XQ", "count": 2} in counted["codes"]
    assert counted["segments"]["NK1"] == 6
