"""``Patient/$disclosures``: a member's accounting, as AuditEvents or printed for the member.

Asked by the programme's own staff, who hand it to the member. See: docs/decisions/0221; 45 CFR 164.528(b).
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Connection

from fhirgw import accounting
from fhirgw.accounting import Line
from fhirgw.answer import Answer, show
from fhirgw.audit import disclosure, events
from fhirgw.consent.model import Json
from fhirgw.consent.predicate import Visibility
from fhirgw.document import pages
from fhirgw.document.pages import Presentation
from fhirgw.document.plan import name_of
from fhirgw.document.wording import Item, Page, Section, Speaker, words_of
from fhirgw.errors import Withheld
from fhirgw.store import repository
from fhirgw.store.stored import instant
from fhirgw.terminology import BASE

ACCOUNTING = f"{BASE}/CodeSystem/icm-accounting"
_TAGS = {accounting.HIPAA: "hipaa", accounting.PART2: "part2"}


@dataclass(frozen=True, slots=True)
class Disclosures:
    """The accounting of a member.

    Attributes:
        id: Of the Patient.
        presentation: As a Bundle of AuditEvents, or printed.
        language: Of what is printed (``wording.LANGUAGES``).
        large: Whether it is printed large.
        start: The first day; None: as far back as an accounting goes.
        end: The last day; None: today.
    """

    id: str
    presentation: Presentation = Presentation.BUNDLE
    language: str = "en"
    large: bool = False
    start: date | None = None
    end: date | None = None


def disclosed(connection: Connection, visibility: Visibility, ask: Disclosures, now: int) -> Answer:
    """The accounting, told with the Patient it is about.

    Raises:
        Withheld: There is no such Patient, or none of the requester's programmes.
    """
    stored = repository.read(connection, "Patient", ask.id, visibility)
    patient = show(stored, visibility) if stored is not None and not stored.deleted else None
    if patient is None:
        raise Withheld
    today = datetime.fromtimestamp(now / 1_000_000, UTC).date()
    first, last = ask.start or accounting.earliest(today), ask.end or today
    told = [
        (digest, event, one)
        for _, digest, event in events(connection, ask.id)
        if first <= accounting.on_day(one := disclosure(event)) <= last
    ]
    if ask.presentation in pages.PRINTERS:
        lines = accounting.lines(connection, [one for _, _, one in told], today)
        said = page(name_of(patient.body, {}), lines, ask.language, (first, last))
        printed = pages.PRINTERS[ask.presentation](said, large=ask.large)
        return Answer(printed, [patient], "operation", str(ask.presentation))
    bundle: Json = {"resourceType": "Bundle", "type": "collection", "timestamp": instant(now)}
    entries = [_entry(digest, event, accounting.laws(one, today)) for digest, event, one in told]
    return Answer(bundle | ({"entry": entries} if entries else {}), [patient], "operation")


def _entry(digest: str, event: Json, laws: Sequence[str]) -> Json:
    """An AuditEvent, tagged with the laws that have it listed."""
    logical = str(uuid.uuid5(uuid.NAMESPACE_URL, digest))
    meta: Json = dict(event.get("meta", {}))
    meta |= {"tag": [{"system": ACCOUNTING, "code": _TAGS[law]} for law in laws]} if laws else {}
    resource: Json = {"resourceType": "AuditEvent", "id": logical, **({"meta": meta} if meta else {})}
    rest = {name: value for name, value in event.items() if name not in ("resourceType", "meta")}
    return {"fullUrl": f"urn:uuid:{logical}", "resource": resource | rest}


# Printed ----------------------------------------------------------------------------------------------------------


def page(name: str, lines: Sequence[Line], language: str, span: tuple[date, date]) -> Page:
    """The accounting in words: first what the law has listed, then what else was shared."""
    words = words_of(language)
    speaker = Speaker(language, words["accounting"])
    first, last = (speaker.day(day.isoformat()) for day in span)
    sections = []
    for key in ("counted", "others"):
        listed = [one for one in lines if bool(one.laws) is (key == "counted")]
        items = tuple(_item(one, speaker, language) for one in listed) or (Item(speaker.say("nothing")),)
        sections.append(Section(key, speaker.say(key), items))
    opening = (speaker.say("for", name=name), speaker.say("span", first=first, last=last))
    foot = (speaker.say("limit"), speaker.say("again"))
    return Page(language, speaker.say("title"), opening, tuple(sections), foot)


def _item(line: Line, speaker: Speaker, language: str) -> Item:
    return Item(
        speaker.say("lead", date=speaker.day(line.on.isoformat()), to=line.to),
        tuple(_said(line, speaker, language)),
    )


def _said(line: Line, speaker: Speaker, language: str) -> Iterator[str]:
    kinds, purposes = words_of(language)["kinds"], words_of(language)["purposes"]
    what = sorted({kinds.get(kind, kinds["other"]) for kind in line.kinds})
    if line.address:
        yield line.address
    yield speaker.say("what", what=", ".join(what) or speaker.say("no-records"))
    yield speaker.say("why", why=purposes.get(line.purpose) or purposes["other"].format(code=line.purpose))
    if line.times > 1:
        yield speaker.say("times", times=line.times)
    yield speaker.say(line.because)
    if line.part2:
        yield speaker.say("part2")
    if line.laws:
        yield speaker.say("laws", laws=", ".join(line.laws))
