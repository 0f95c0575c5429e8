"""PL and DLD to Locations, and the places that PV1 names.

A place stands whole where a Reference to it belongs, itself inside what it is part of: ``mappers.beside`` makes the
resources. See: v2-to-FHIR, Data Type PL[Location], DLD[Location-Discharge].
"""

from fhirgw.mappers.datatypes import Components, Json, Scope, cwe_to_codeable_concept, hd_to_system
from fhirgw.mappers.segments.reading import Fields, Read, Reading, remembered, valued
from fhirgw.terminology import PHYSICAL_TYPE, local_code_system, sid, table_coding
from fhirgw.v2.codec import Segment

# From the whole to the part: component, code and display of location-physical-type (none for a point of care)
_LEVELS = (
    (4, "si", "Site"),
    (7, "bu", "Building"),
    (8, "lvl", "Level"),
    (1, None, None),
    (2, "ro", "Room"),
    (3, "bd", "Bed"),
)


def pl_to_location(pl: Components, scope: Scope, *, site: str = "") -> Json | None:
    """Map PL to a Location without an id, inside the places that it is part of; None when it names no place.

    PL-4 → site, PL-7 → building, PL-8 → floor, PL-1 → point of care (PL-6 → its type), PL-2 → room, PL-3 → bed;
    PL-9 → description and PL-10/11 → identifier of the smallest. An identifier is the path to the place, since a
    bed's number is its own only within its room. PL-5, the state of a bed, is not the patient's.

    Args:
        pl: The repetition.
        scope: The sender.
        site: The site where PL-4 names none; else the sending facility scopes the path.
    """
    place: Json | None = None
    path = [scope.facility] if scope.facility and not site and pl[4] is None else []
    for component, code, display in _LEVELS:
        name = pl[component] or pl.part(component, 2) or (site if component == 4 else None)
        if not name:
            continue
        path.append(name)
        whole = place
        place = {
            "resourceType": "Location",
            "identifier": [{"system": sid(scope.name, "location"), "value": "/".join(path)}],
            "name": name,
            "mode": "instance",
        }
        if code:
            place["physicalType"] = {"coding": [{"system": PHYSICAL_TYPE, "code": code, "display": display}]}
        elif kind := pl[6]:
            coding = table_coding("0305", kind) or {"system": local_code_system(scope.name, "0305"), "code": kind}
            place["type"] = [{"coding": [coding]}]
        if whole:
            place["partOf"] = whole
    if place:
        _name(place, pl, scope)
    return place


def _name(place: Json, pl: Components, scope: Scope) -> None:
    """PL-9, PL-10 and PL-11, which are about the smallest place."""
    description, number = pl[9], pl[10]
    if description:
        place["description"] = description
    if number:
        system = hd_to_system(pl.part(10, 2), pl.part(10, 3), pl.part(10, 4), scope) or hd_to_system(
            pl[11], pl.part(11, 2), pl.part(11, 3), scope
        )
        place["identifier"].append({"system": system, "value": number} if system else {"value": number})


def dld_to_location(dld: Components, scope: Scope) -> Json | None:
    """Map DLD to the Location somebody was discharged to; None without DLD-1. DLD-2 is what PV1-45 says."""
    concept = cwe_to_codeable_concept(dld.inner(1), scope, "0113")
    if concept is None:
        return None
    words = concept.get("text") or concept["coding"][0].get("display") or concept["coding"][0]["code"]
    return {"resourceType": "Location", "name": words, "mode": "instance", "type": [concept]}


def _place(segment: Segment, number: int, reading: Reading) -> Json | None:
    return reading.only(segment, number, pl_to_location)


def _assigned(pv1: Segment, number: int, reading: Reading) -> Json | None:
    """PV1-3; PV1-39, the servicing facility, is the site that it leaves out."""
    return reading.only(pv1, number, pl_to_location, site=valued(pv1, 39))


def _destination(pv1: Segment, number: int, reading: Reading) -> Json | None:
    return reading.only(pv1, number, dld_to_location)


place: Read = remembered(_place)

PV1_PLACES: Fields = (
    (3, "location", remembered(_assigned, 39)),
    (6, "location.prior", place),
    (11, "location.temporary", place),
    (37, "hospitalization.destination", remembered(_destination)),
    (42, "location.pending", place),
    (43, "location.priorTemporary", place),
)
