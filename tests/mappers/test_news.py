"""The messages that say something new of a person are folded to the same as all of them."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from fhirgw.mappers.adt import extract
from fhirgw.mappers.event import AdtEvent, MapContext, in_order
from fhirgw.mappers.news import news, saying
from fhirgw.mappers.person import fold_person
from fhirgw.mappers.record import fold_record
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

CONTEXT = MapContext("elm", Sender(facility="ELMHOSP", default_authority="urn:x:default"), b"test")
PEOPLE = ("DOE^JANE", "DOE^JANE^Q", '""')
ACCOUNTS = ("", "ACC-1", "ACC-2")
SEGMENTS = (
    "NK1|1|DOE^BEA|SPO||860-1",
    "NK1|1|DOE^CARL|BRO||860-2",
    "AL1|1|DA|70618^Penicillin^RXNORM|MO|Hives",
    "AL1|1|DA|1191^Aspirin^RXNORM|MO",
    "IAM|1|DA|1191^Aspirin^RXNORM|MO||D",
    "GT1|1||DOE^BEA||||||||SPO",
    "IN1|1|HMO^Plan H|INS-1|EXAMPLE PLAN|||||||||||||SEL",
    "ROL|R-1|AD|FHCP|12^HELPER^HANNE^^^^^^REG",
    "ROL|R-1|DE|FHCP|12^HELPER^HANNE^^^^^^REG",
    "PDA|I219^Infarction^I10|||||Y",
    "DG1|1||I10^Hypertension^I10C|||W",
)


def said(day: int, trigger: str, person: str, account: str, visit: str, segments: list[str]) -> AdtEvent:
    pid = "|".join(["PID", "1", "", "7", "", person, *[""] * 12, account])
    pv1 = ["|".join(["PV1", "1", "I", *[""] * 16, visit])] if visit else []
    head = f"MSH|^~\\&|ADTSYS|ELMHOSP|||202603{day:02}120000-0500||ADT^{trigger}|{day}|P|2.5.1"
    # A role follows the segment that it is about.
    roles = [one for one in segments if one.startswith("ROL")]
    others = [one for one in segments if not one.startswith("ROL")]
    raw = "\r".join([head, pid, *roles, *pv1, *others, ""])
    return extract(parse(raw.encode()), CONTEXT)


EVENTS = st.lists(
    st.builds(
        said,
        st.integers(1, 28),
        st.sampled_from(["A01", "A08", "A29", "A31"]),
        st.sampled_from(PEOPLE),
        st.sampled_from(ACCOUNTS),
        st.sampled_from(["V1", "V2"]),
        st.lists(st.sampled_from(SEGMENTS), max_size=3, unique=True),
    ),
    max_size=8,
)
"""Few choices, so that many say what others say."""


def made(events: list[AdtEvent]) -> bytes:
    """All but the Provenance, which names its sources."""
    resources = [one for one in fold_record(events, "p", b"test") if one["resourceType"] != "Provenance"]
    return orjson.dumps([sorted(resources, key=orjson.dumps), fold_person(events)], option=orjson.OPT_SORT_KEYS)


@given(EVENTS, st.randoms(use_true_random=False))
def test_what_says_nothing_new_changes_nothing(events, random):
    brought = [events[at] for at in news([saying(event) for event in events])]
    assert made(brought) == made(events)
    shuffled = random.sample(events, len(events))
    again = [shuffled[at] for at in news([saying(event) for event in shuffled])]
    assert in_order(again) == in_order(brought)


def test_a_feed_that_repeats_itself_brings_news_once():
    stays = [said(day, "A08", PEOPLE[0], "ACC-1", "V1", [*SEGMENTS[:2], SEGMENTS[6]]) for day in range(1, 9)]
    moved = [said(day, "A08", PEOPLE[1], "ACC-1", "V1", [*SEGMENTS[:2], SEGMENTS[6]]) for day in range(9, 12)]
    assert news([saying(event) for event in (*stays, *moved)]) == [0, 8]


def test_an_account_is_told_of_though_the_person_is_known():
    """Guarantors and cover are an account's: each account is news, and again when what is said with it changes."""
    first = said(1, "A08", PEOPLE[0], "ACC-1", "V1", [SEGMENTS[6]])
    second = said(2, "A08", PEOPLE[0], "ACC-2", "V2", [SEGMENTS[6]])
    repeated = said(3, "A08", PEOPLE[0], "ACC-1", "V1", [SEGMENTS[6]])
    changed = said(4, "A08", PEOPLE[0], "ACC-2", "V2", [SEGMENTS[5]])
    late = said(5, "A08", PEOPLE[0], "ACC-1", "V1", [SEGMENTS[5]])
    assert news([saying(one) for one in (first, second, repeated, changed, late)]) == [0, 1, 3, 4]
