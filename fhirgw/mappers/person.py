"""The person: one sender's picture from all its events, and the Patient from all pictures."""

from collections.abc import Iterable, Mapping, Sequence

from fhirgw.mappers.event import AdtEvent, Json, assemble_patient, in_order, lay_over
from fhirgw.mappers.parties import reference_to
from fhirgw.mappers.standing import roles, standing
from fhirgw.mappers.trigger_events import Identity

ICM = "icm"
LINKS: Mapping[Identity, tuple[str, str]] = {
    Identity.MERGE: ("replaces", "replaced-by"),
    Identity.LINK: ("seealso", "seealso"),
}
"""Patient.link.type on the person of PID, and on the other record."""
_DECEASED = frozenset({"deceasedBoolean", "deceasedDateTime"})
_CONTRIBUTING = frozenset({"NK1", "PRT", "ROL"})
_CHOICES = ("deceased", "multipleBirth")  # elements of several types, of which a Patient has one


def fold_person(events: Sequence[AdtEvent]) -> Json:
    """One sender's picture of the Patient, without an id, from all events in any order.

    A later fact replaces an earlier one, ``""`` deletes it, the absent leaves it (v2.5.1 ch. 2.5.3); identifiers
    are united, since a message that leaves one out does not say that it was wrong.
    """
    facts: Json = {}
    identifiers: list[Json] = []
    events = in_order(events)
    for event in events:
        if event.trigger == "A29":  # what was said of the person before is deleted; who they are is still known
            facts = {}
        identifiers += event.person.get("identifier", {}).get("identifier", [])
        facts = lay_over(facts, event.person, event.deletes, "Patient")
    if len(events) > 1 and identifiers:
        facts["identifier"] = {"identifier": _united(identifiers)}
    patient = assemble_patient(facts | _from_others(events))
    if not patient.keys() & _DECEASED and any("PDA" in event.repeated for event in events):
        patient["deceasedBoolean"] = True
    if "identifier" in patient:
        patient["identifier"] = _united(patient["identifier"])
    doctors = patient.get("generalPractitioner", [])
    if len(doctors) > 1:
        patient["generalPractitioner"] = [one for at, one in enumerate(doctors) if one not in doctors[:at]]
    return patient


def _from_others(events: Sequence[AdtEvent]) -> Json:
    """Facts that other segments have: contacts (NK1), who the person's doctor is (ROL, PRT)."""
    if all(_CONTRIBUTING.isdisjoint(event.repeated) for event in events):
        return {}
    kin = standing(events, "NK1")
    primary = [fact["member"] for fact in roles(events, "PID") if "primary" in fact]
    found = {
        "contact": [fact["contact"] for key, fact in kin.ever.items() if key in kin.now and "contact" in fact],
        "generalPractitioner": [reference_to(one.get("practitioner", one)) for one in primary],
    }
    return {f"{name}.9": {name: values} for name, values in found.items() if values}


def merge_patient(patient_id: str, sources: Mapping[str, Json]) -> Json:
    """The Patient from every source's picture: the ICM system's element by element, the others' in name order.

    Identifiers are united, extensions by url. An element and its ``_`` sibling come from the same source, and of a
    choice of types only one.
    """
    merged: Json = {"resourceType": "Patient", "id": patient_id}
    pictures = [sources[name] for name in sorted(sources, key=lambda name: (name != ICM, name))]
    for picture in pictures[:1]:
        merged |= picture
    for picture in pictures[1:]:
        taken = {_element(name) for name in merged}
        merged |= {name: value for name, value in picture.items() if _element(name) not in taken}
    identifiers = _united(identifier for picture in pictures for identifier in picture.get("identifier", []))
    united: Json = {"identifier": identifiers, "extension": _by_url(pictures)}
    labels = [label for picture in pictures for label in picture.get("meta", {}).get("security", [])]
    if labels:  # of every picture: what one source restricts is restricted
        once = [label for at, label in enumerate(labels) if label not in labels[:at]]
        united["meta"] = merged["meta"] | {"security": once}
    return merged | {name: values for name, values in united.items() if values}


def linked(patient: Json, other: str, kinds: tuple[str, str], record: Json) -> list[Json]:
    """Two Patients that are one person: the present one, and the other record; replaced, it is not active.

    See: R4, Patient.link; http://hl7.org/fhir/R4/patient.html#links.
    """
    return [
        with_links(record, {patient["id"]: kinds[1]}),
        with_links(patient, {other: kinds[0]}),
    ]


def with_links(patient: Json, links: Mapping[str, str]) -> Json:
    """The Patient with these links (id → Patient.link.type), in the order of their ids."""
    if not links:
        return patient
    listed = [{"other": {"reference": f"Patient/{other}"}, "type": kind} for other, kind in sorted(links.items())]
    replaced = {"active": False} if "replaced-by" in links.values() else {}
    return patient | replaced | {"link": listed}


def same_person(one: Json, other: Json) -> Json:
    """What two groups of a message speak of: all that either says of a Patient, with the links of both."""
    if one["resourceType"] != "Patient":
        return one
    links = {link["other"]["reference"]: link for link in (*one.get("link", ()), *other.get("link", ()))}
    fuller, lesser = sorted((one, other), key=len, reverse=True)
    return lesser | fuller | ({"link": [links[name] for name in sorted(links)]} if links else {})


def _element(name: str) -> str:
    bare = name.lstrip("_")
    return next((choice for choice in _CHOICES if bare.startswith(choice)), bare)


def _united(identifiers: Iterable[Json]) -> list[Json]:
    """Each (system, value) once; of the first, unless a later one says more about it than nothing."""
    once: dict[tuple[str | None, str | None], Json] = {}
    for identifier in identifiers:
        key = (identifier.get("system"), identifier.get("value"))
        known = once.get(key)
        once[key] = identifier | known if known else identifier
    return list(once.values())


def _by_url(pictures: Sequence[Json]) -> list[Json]:
    """The extensions, all those of one url from the first source that has it."""
    kept: list[Json] = list(pictures[0].get("extension", ())) if pictures else []
    for picture in pictures[1:]:
        urls = {extension["url"] for extension in kept}
        kept += [extension for extension in picture.get("extension", []) if extension["url"] not in urls]
    return kept
