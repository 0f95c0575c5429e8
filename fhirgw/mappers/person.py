"""The person: one sender's picture from all its events, and the Patient from all pictures."""

from collections.abc import Iterable, Mapping, Sequence

from fhirgw.mappers.event import AdtEvent, Json, assemble_patient, in_order, lay_over

ICM = "icm"
_CHOICES = ("deceased", "multipleBirth")  # elements of several types, of which a Patient has one


def fold_person(events: Sequence[AdtEvent]) -> Json:
    """One sender's picture of the Patient, without an id, from all events in any order.

    A later fact replaces an earlier one, ``""`` deletes it, the absent leaves it (v2.5.1 ch. 2.5.3); identifiers
    are united, since a message that leaves one out does not say that it was wrong.
    """
    facts: Json = {}
    identifiers: list[Json] = []
    for event in in_order(events):
        identifiers += event.person.get("identifier", {}).get("identifier", [])
        facts = lay_over(facts, event.person, event.deletes, "Patient")
    if identifiers:
        facts["identifier"] = {"identifier": _united(identifiers)}
    return assemble_patient(facts)


def merge_patient(patient_id: str, sources: Mapping[str, Json]) -> Json:
    """The Patient from every source's picture: the ICM system's element by element, the others' in name order.

    Identifiers are united, extensions by url. An element and its ``_`` sibling come from the same source, and of a
    choice of types only one.
    """
    merged: Json = {"resourceType": "Patient", "id": patient_id}
    pictures = [sources[name] for name in sorted(sources, key=lambda name: (name != ICM, name))]
    for picture in pictures:
        taken = {_element(name) for name in merged}
        merged |= {name: value for name, value in picture.items() if _element(name) not in taken}
    identifiers = _united(identifier for picture in pictures for identifier in picture.get("identifier", []))
    united = {"identifier": identifiers, "extension": _by_url(pictures)}
    return merged | {name: values for name, values in united.items() if values}


def _element(name: str) -> str:
    bare = name.lstrip("_")
    return next((choice for choice in _CHOICES if bare.startswith(choice)), bare)


def _united(identifiers: Iterable[Json]) -> list[Json]:
    """Each (system, value) once; of the first, unless a later one says more about it than nothing."""
    once: dict[tuple[str | None, str | None], Json] = {}
    for identifier in identifiers:
        key = (identifier.get("system"), identifier.get("value"))
        once[key] = identifier | once.get(key, {})
    return list(once.values())


def _by_url(pictures: Sequence[Json]) -> list[Json]:
    """The extensions, all those of one url from the first source that has it."""
    kept: list[Json] = []
    for picture in pictures:
        urls = {extension["url"] for extension in kept}
        kept += [extension for extension in picture.get("extension", []) if extension["url"] not in urls]
    return kept
