"""A provider's suggestion to the plan. HUSKY: "respond back with any suggestions to the member's plan of care".

In words it is a Communication; a goal is suggested as a Goal that the provider expresses, a service as a
ServiceRequest of intent ``proposal``.
"""

from datetime import date

from fhirgw.errors import InvalidElement, MissingElement
from fhirgw.icm.collaboration import Suggestion
from fhirgw.mappers.icm.collaboration import SUGGESTED
from fhirgw.mappers.icm.returning.reading import (
    Reading,
    Told,
    amended,
    codes,
    day,
    held,
    identifier,
    instant,
    name,
    organization,
    sensitivity,
    without,
)
from fhirgw.mappers.icm.shape import CANONICAL, Json, compact, noon
from fhirgw.mappers.icm.shape import instant as written

_PATH = "care_plan.suggestions"
_CATEGORY = f"{CANONICAL}/CodeSystem/icm-collaboration"
_KIND = {type_: kind for kind, type_ in SUGGESTED.items() if kind != "advice"}  # which need not be said


def suggestion(reading: Reading) -> Told | None:
    """A Communication about the plan, of the category ``suggestion``."""
    resource, known = reading.resource, _known(reading)
    if known is None and not (reading.open and _is_about_the_plan(reading)):
        return None
    said = {"at": instant(resource.get("sent"), "Communication.sent"), "text": _text(resource)}
    return _told(reading, known, said, "sender")


def suggested_service(reading: Reading) -> Told | None:
    """A ServiceRequest that proposes something."""
    resource, known = reading.resource, _known(reading)
    if known is None and not (reading.open and resource["intent"] == "proposal" and _is_to_the_plan(reading)):
        return None
    at = instant(resource.get("authoredOn"), "ServiceRequest.authoredOn")
    said = {"at": at, **_what(resource.get("code", {}), "ServiceRequest.code")}
    return _told(reading, known, said, "requester")


def suggested_goal(reading: Reading) -> Told | None:
    """A proposed Goal that somebody expresses who is not the member."""
    resource, known = reading.resource, _known(reading)
    by = resource.get("expressedBy", {}).get("reference", "")
    proposed = reading.proposes and by.startswith("Practitioner")
    if known is None and not (reading.open and proposed and _is_to_the_plan(reading)):
        return None
    at = known.at.isoformat() if known else _noon(reading, resource.get("statusDate"))
    return _told(reading, known, {"at": at, **_what(resource["description"], "Goal.description")}, "expressedBy")


def _known(reading: Reading) -> Suggestion | None:
    """The suggestion of the case that the resource is."""
    listed: tuple[Suggestion, ...] = held(reading.scope.case, _PATH)
    kind = reading.resource["resourceType"]
    alike = (one for one in listed if SUGGESTED[one.kind] == kind)
    return next((one for one in alike if reading.named(kind, "suggestion", one.id)), None)


def _told(reading: Reading, known: Suggestion | None, said: Json, sender: str) -> Told:
    resource = reading.resource
    kind = resource["resourceType"]
    who = _who(reading, known, resource.get(sender), f"{kind}.{sender}")
    said = {**said, "sensitivity": sensitivity(resource), **who}
    record = amended(known, **said) if known else compact({"id": reading.fresh, "kind": _KIND.get(kind), **said})
    return Told(_PATH, (record,), (kind, "suggestion", record["id"]), without(resource, sender))


def _is_about_the_plan(reading: Reading) -> bool:
    """Whether it is a suggestion, and to the plan of this case.

    Raises:
        MissingElement: A suggestion to nothing.
    """
    kinds = [code for concept in reading.resource.get("category", ()) for code in codes(concept, _CATEGORY)]
    if "suggestion" not in kinds:
        return False
    about = [one.get("reference") for one in reading.resource.get("about", ())]
    if not about:
        raise MissingElement("Name the CarePlan that the suggestion is to.", location="Communication.about")
    return reading.has_plan and reading.scope.ref("CarePlan")["reference"] in about


def _is_to_the_plan(reading: Reading) -> bool:
    return reading.has_plan and reading.names_no_other_plan


def _text(resource: Json) -> str:
    payload = resource.get("payload", ())
    if not payload or "contentString" not in payload[0]:
        raise MissingElement("A suggestion is in words.", location="Communication.payload.contentString")
    return str(payload[0]["contentString"])


def _what(concept: Json, place: str) -> Json:
    """A goal or a service: its words, and its code."""
    first: Json = next(iter(concept.get("coding", ())), {})
    text = concept.get("text", first.get("display"))
    if text is None:
        raise MissingElement("A suggestion is in words.", location=f"{place}.text")
    return {
        "text": text,
        "code": {part: first[part] for part in ("system", "code", "display") if part in first} or None,
    }


def _noon(reading: Reading, stated: str | None) -> str:
    """An instant on the day of a proposal, which is all that a Goal says of its time."""
    on = day(reading.scope, stated)
    if on is None:
        raise MissingElement("Say when it is suggested.", location="Goal.statusDate")
    try:
        return written(noon(reading.scope, date.fromisoformat(on)))
    except ValueError:
        raise InvalidElement("This is a day: year, month and day.", location="Goal.statusDate") from None


def _who(reading: Reading, known: Suggestion | None, sender: Json | None, place: str) -> Json:
    """The provider, and where they work; the id inside the case stays that of somebody who is known."""
    role = found = reading.found(sender, place)
    if role["resourceType"] == "PractitionerRole":
        found = reading.found(role.get("practitioner"), place)
    if found["resourceType"] != "Practitioner" or not found.get("name"):
        text = "A suggestion is from a Practitioner who has a name, or from their PractitionerRole."
        raise InvalidElement(text, location=place)
    identified = next((identifier(one) for one in found.get("identifier", ())), None)
    said = compact({"name": name(found["name"][0]), "identifier": identified})
    before = known.by.model_dump(mode="json", exclude_defaults=True) if known else {}
    same = before == {"id": before.get("id"), **said}
    works = role.get("organization")
    at = organization(reading.found(works, place)) if works else None
    return {"by": before if same else {"id": found["id"], **said}, "organization": at}
