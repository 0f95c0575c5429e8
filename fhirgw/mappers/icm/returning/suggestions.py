"""A provider's suggestion to the plan. HUSKY: "respond back with any suggestions to the member's plan of care"."""

from fhirgw.errors import InvalidElement, MissingElement
from fhirgw.icm.collaboration import Suggestion
from fhirgw.mappers.icm.returning.reading import (
    Reading,
    Told,
    amended,
    codes,
    held,
    identifier,
    instant,
    name,
    organization,
    sensitivity,
    without,
)
from fhirgw.mappers.icm.shape import CANONICAL, Json, compact

_PATH = "care_plan.suggestions"
_CATEGORY = f"{CANONICAL}/CodeSystem/icm-collaboration"


def suggestion(reading: Reading) -> Told | None:
    """A Communication about the plan, of the category ``suggestion``."""
    resource = reading.resource
    listed: tuple[Suggestion, ...] = held(reading.scope.case, _PATH)
    known = next((one for one in listed if reading.named("Communication", "suggestion", one.id)), None)
    if known is None and not (reading.open and _is_about_the_plan(reading)):
        return None
    said: Json = {
        "at": instant(resource.get("sent"), "Communication.sent"),
        "text": _text(resource),
        "sensitivity": sensitivity(resource),
        **_who(reading, known),
    }
    record = amended(known, **said) if known else compact({"id": reading.fresh, **said})
    return Told(_PATH, (record,), ("Communication", "suggestion", record["id"]), without(resource, "sender"))


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
    return reading.scope.case.care_plan is not None and reading.scope.ref("CarePlan")["reference"] in about


def _text(resource: Json) -> str:
    payload = resource.get("payload", ())
    if not payload or "contentString" not in payload[0]:
        raise MissingElement("A suggestion is in words.", location="Communication.payload.contentString")
    return str(payload[0]["contentString"])


def _who(reading: Reading, known: Suggestion | None) -> Json:
    """The provider, and where they work; the id inside the case stays that of somebody who is known."""
    place = "Communication.sender"
    role = found = reading.found(reading.resource.get("sender"), place)
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
