"""Gathers what the requester may see of a care plan, and makes one document of it.

Every resource is read under the requester's visibility and shown in its released form, as a read would show it: a
document is those reads, bound together. See: http://hl7.org/fhir/R4/documents.html
"""

import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import orjson
from sqlalchemy import Connection

from fhirgw.answer import Answer, Shown, show
from fhirgw.audit import disclosures
from fhirgw.consent.model import Json
from fhirgw.consent.predicate import Visibility
from fhirgw.document import pages
from fhirgw.document.pages import Presentation
from fhirgw.document.plan import read
from fhirgw.document.wording import Page, Shared, page
from fhirgw.errors import Withheld
from fhirgw.mappers.icm.shape import CUSTODIAN
from fhirgw.store import clients, index, repository, search
from fhirgw.store.stored import instant
from fhirgw.terminology import LOINC, URI_IDENTIFIER

DOCUMENT_TYPE = "52521-2"  # Overall plan of care: the document code of C-CDA's Care Plan (CONF:1198-28745)
SECTION_TYPES: Mapping[str, str] = MappingProxyType(
    {"aims": "61146-7", "reached": "61146-7", "steps": "62387-6", "meetings": "62387-6", "parts": "18776-5"}
)
"""LOINC codes of C-CDA's sections: goals, interventions, plan of care. None fits who helps, or what was shared."""

FOLLOWED = frozenset({"CarePlan", "CareTeam", "PractitionerRole", "ServiceRequest"})
"""Whose references are followed."""
TAKEN = frozenset({
    "CareTeam", "Condition", "Goal", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson",
    "ServiceRequest",
})  # fmt: skip
"""What is taken in when it is referred to; a plan also has its parts."""


@dataclass(frozen=True, slots=True)
class Document:
    """A care plan as a document.

    Attributes:
        id: Of the CarePlan.
        presentation: As a Bundle, or printed.
        language: Of what is said around the member's own words (``wording.LANGUAGES``).
        large: Whether it is printed large.
    """

    id: str
    presentation: Presentation = Presentation.BUNDLE
    language: str = "en"
    large: bool = False


def assemble(
    connection: Connection,
    visibility: Visibility,
    ask: Document,
    *,
    base: str,
    now: int,
    readable: Callable[[str], bool],
    scopes: Callable[[Sequence[Shown]], tuple[str, ...]],
) -> Answer:
    """The document, from what is visible and the token lets this client read.

    Args:
        connection: One snapshot.
        visibility: What the requester may see.
        ask: Which plan, and how.
        base: Base URL of the API.
        now: Microseconds since the epoch.
        readable: Whether the token's scope covers reading a type.
        scopes: What the releases say of the Part 2 records among resources.

    Raises:
        Withheld: There is no such plan, or none that may be seen.
    """
    gathered = _gather(connection, visibility, ask.id, readable)
    resources = {f"{one.stored.type}/{one.stored.id}": one.body for one in gathered}
    plan = resources[f"CarePlan/{ask.id}"]
    shared = list(_shared(connection, gathered[0].stored.patient)) if visibility.inside else None
    released_for = scopes(gathered) if any(one.part2 for one in gathered) else None
    said = page(read(plan, resources), ask.language, shared, released_for)
    if ask.presentation in pages.PRINTERS:
        printed = pages.PRINTERS[ask.presentation](said, large=ask.large)
        return Answer(printed, gathered, "operation", str(ask.presentation))
    return Answer(_bundle(base, plan, gathered, said, now), gathered, "operation")


def _gather(
    connection: Connection, visibility: Visibility, logical: str, readable: Callable[[str], bool]
) -> list[Shown]:
    """The plan, its parts, and whatever they refer to that may be seen: each once, the plan first."""

    def shown(kind: str, key: str) -> Shown | None:
        stored = repository.read(connection, kind, key, visibility) if readable(kind) else None
        return show(stored, visibility) if stored is not None and not stored.deleted else None

    plan = shown("CarePlan", logical)
    if plan is None:
        raise Withheld
    gathered = {("CarePlan", logical): plan}
    waiting = deque([plan])
    for part in _parts(connection, visibility, logical):
        gathered[part.stored.type, part.stored.id] = part
        waiting.append(part)
    while waiting:
        for kind, key in sorted(index.targets(index.elements_of(waiting.popleft().body))):
            if kind not in TAKEN or (kind, key) in gathered or (found := shown(kind, key)) is None:
                continue
            gathered[kind, key] = found
            if kind in FOLLOWED:
                waiting.append(found)
    return list(gathered.values())


def _parts(connection: Connection, visibility: Visibility, logical: str) -> Iterator[Shown]:
    """The plans that are part of this one."""
    query = search.parse("CarePlan", [("part-of", f"CarePlan/{logical}"), ("_sort", "_id")], strict=True)
    for stored in search.run(connection, query, visibility, after=None).matches:
        if (part := show(stored, visibility)) is not None:
            yield part


def _shared(connection: Connection, patient: str | None) -> Iterator[Shared]:
    """What was disclosed of this member outside the programme, a line a day and recipient (45 CFR 164.528)."""
    told: dict[tuple[str, str], set[str]] = {}
    for one in disclosures(connection, patient) if patient else ():
        kinds = told.setdefault((one.recorded[:10], one.recipient), set())
        kinds |= {reference.partition("/")[0] for reference in one.resources}
    for (day, recipient), kinds in told.items():
        client = clients.find(connection, recipient)
        yield Shared(datetime.fromisoformat(day).date(), client.name if client else recipient, tuple(sorted(kinds)))


def _bundle(base: str, plan: Json, gathered: Sequence[Shown], said: Page, now: int) -> Json:
    """The document Bundle: Composition first, then what it is about. Its ids follow from its content."""
    content = orjson.dumps([one.body for one in gathered] + [said.language])
    logical = str(uuid.uuid5(uuid.NAMESPACE_URL, content.hex()))
    moment = instant(now)
    composition = _composition(plan, gathered, said, logical, moment)
    entries = [composition, *(one.body for one in gathered)]
    return {
        "resourceType": "Bundle",
        "id": logical,
        "meta": {"lastUpdated": moment},
        "language": said.language,
        "identifier": {"system": URI_IDENTIFIER, "value": f"urn:uuid:{logical}"},
        "type": "document",
        "timestamp": moment,
        "entry": [{"fullUrl": f"{base}/{one['resourceType']}/{one['id']}", "resource": one} for one in entries],
    }


def _composition(plan: Json, gathered: Sequence[Shown], said: Page, logical: str, moment: str) -> Json:
    seen = {f"{one.stored.type}/{one.stored.id}" for one in gathered}
    custodian = [one["valueReference"] for one in plan.get("extension", ()) if one["url"] == CUSTODIAN]
    custodian = [one for one in custodian if one.get("reference") in seen]
    authors = custodian or [one for one in plan.get("contributor", ()) if one.get("reference") in seen]
    composition: Json = {
        "resourceType": "Composition",
        "id": logical,
        "language": said.language,
        "status": "final",
        "type": {"coding": [{"system": LOINC, "code": DOCUMENT_TYPE}]},
        "subject": plan["subject"],
        "date": moment,
        "author": authors or [{"display": said.title}],
        "title": said.title,
        "event": [{"detail": [{"reference": f"CarePlan/{plan['id']}"}]}],
    }
    sections = [_section(said, position) for position in range(len(said.sections))]
    composition |= {"custodian": custodian[0]} if custodian else {}
    return composition | ({"section": sections} if sections else {})


def _section(said: Page, position: int) -> Json:
    section = said.sections[position]
    body: Json = {"title": section.heading}
    if section.key in SECTION_TYPES:
        body["code"] = {"coding": [{"system": LOINC, "code": SECTION_TYPES[section.key]}]}
    body["text"] = {"status": "generated", "div": pages.narrative(said, position)}
    entries = list(dict.fromkeys(item.of for item in section.items if item.of is not None))
    return body | ({"entry": [{"reference": one} for one in entries]} if entries else {})
