"""Answers to an instrument: SF-12, VR-12, PHQ, PSS-10, HITS, HARK, the Acuity Assessment.

They are scored where they come in: what has no score is refused. No wording is taken: it is the form's.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from fhirgw.errors import GatewayError, InvalidElement, MissingElement
from fhirgw.icm import sf12
from fhirgw.icm.assessment import ACUITY_DOMAINS, Acuity
from fhirgw.icm.base import Model
from fhirgw.icm.instruments import INSTRUMENTS
from fhirgw.icm.instruments import score as score_screen
from fhirgw.mappers.icm.returning.reading import Reading, Told, amended, day, held, instant, without
from fhirgw.mappers.icm.shape import CANONICAL, Json, compact

_FORMS = f"{CANONICAL}/Questionnaire/"
_ITEM = "QuestionnaireResponse.item.where(linkId='{}')"
_TIER = "tier"
"""The link id of the tier that an Acuity Assessment leads to: ``valueCoding`` of icm-tier."""
_PART: Mapping[str, str] = MappingProxyType({"sf12": "sf12", "acuity": "acuity", "screens": "screen"})
"""List of a case → what the ids of its answers are made of."""


def answers(reading: Reading) -> Told | None:
    """Answers that the case states, or new ones to a form that it can state."""
    for path, part in _PART.items():
        for one in held(reading.scope.case, path):
            if reading.named("QuestionnaireResponse", part, one.id):
                return _told(reading, path, one)
    name = _form(reading.resource)
    if name is None or not reading.open or not reading.names_no_other_plan:
        return None
    return _told(reading, _path(name), None)


def _form(resource: Json) -> str | None:
    """The name of one of our forms; None: another's, or one of ours that says what follows from other facts."""
    canonical = str(resource.get("questionnaire", "")).partition("|")[0]
    name = canonical.removeprefix(_FORMS)
    if name == canonical or (name.startswith("icm-") and name != "icm-acuity"):
        return None
    return name


def _path(name: str | None) -> str:
    if name == "sf12v1":
        return "sf12"
    if name == "icm-acuity":
        return "acuity"
    if name in INSTRUMENTS:
        return "screens"
    text = f"The instruments are sf12v1, icm-acuity, {', '.join(INSTRUMENTS)}."
    raise InvalidElement(text, location="QuestionnaireResponse.questionnaire")


def _told(reading: Reading, path: str, known: Model | None) -> Told:
    resource = reading.resource
    if _path(_form(resource)) != path:
        text = "These are the answers to another form: they cannot take the place of those that were here."
        raise InvalidElement(text, location="QuestionnaireResponse.questionnaire")
    if resource["status"] != "completed":
        text = "Answers come back when all of them are there."
        raise InvalidElement(text, location="QuestionnaireResponse.status")
    said = _READERS[path](reading, _answered(resource), known)
    record = amended(known, **said) if known else compact({"id": reading.fresh, **said})
    left = without(resource, "basedOn") | {"item": [without(one, "text") for one in _items(resource)]}
    return Told(path, (record,), ("QuestionnaireResponse", _PART[path], record["id"]), left)


def _items(resource: Json) -> list[Json]:
    """All items but that of the tier."""
    return [one for one in resource.get("item", ()) if one["linkId"] != _TIER]


def _answered(resource: Json) -> dict[str, int]:
    """The answer of each item: one whole number."""
    answered: dict[str, int] = {}
    for one in _items(resource):
        item = one["linkId"]
        values = [given.get("valueInteger") for given in one.get("answer", ())]
        if item in answered or len(values) != 1 or values[0] is None:
            text = "An item has one answer, and it is a whole number."
            raise InvalidElement(text, location=_ITEM.format(item))
        answered[item] = values[0]
    return answered


def _sf12(reading: Reading, answered: dict[str, int], _: Model | None) -> Json:
    _scored(sf12.score, answered)
    return {"taken_at": _authored(reading), "answers": answered}


def _screen(reading: Reading, answered: dict[str, int], _: Model | None) -> Json:
    name = _form(reading.resource) or ""
    _scored(lambda given: score_screen(name, given), answered)
    by = reading.staff(reading.resource.get("author"), "QuestionnaireResponse.author")
    return {"instrument": name, "taken_at": _authored(reading), "by": by, "answers": answered}


def _acuity(reading: Reading, answered: dict[str, int], known: Model | None) -> Json:
    for domain in ACUITY_DOMAINS:
        if domain not in answered:
            raise MissingElement("An acuity assessment states all eight domains.", location=_ITEM.format(domain))
    assessor = reading.staff(reading.resource.get("author"), "QuestionnaireResponse.author")
    return {
        "taken_on": day(reading.scope, reading.resource.get("authored")),
        "contact": _interview(reading),
        "domains": answered,
        "tier": _tier(reading, known),
        "assessor": assessor,
    }


_READERS: Mapping[str, Callable[[Reading, dict[str, int], Model | None], Json]] = MappingProxyType(
    {"sf12": _sf12, "acuity": _acuity, "screens": _screen}
)


def _scored(score: Callable[[dict[str, int]], object], answered: dict[str, int]) -> None:
    try:
        score(answered)
    except GatewayError as error:
        place = _ITEM.format(error.location) if error.location else "QuestionnaireResponse.item"
        raise type(error)(error.text, location=place) from None


def _authored(reading: Reading) -> str:
    return instant(reading.resource.get("authored"), "QuestionnaireResponse.authored")


def _interview(reading: Reading) -> str:
    """The contact that was the interview."""
    stated = reading.resource.get("encounter", {}).get("reference")
    for one in reading.scope.case.contacts:
        if stated == reading.scope.ref("Encounter", one.id)["reference"]:
            return one.id
    text = "An acuity assessment follows a face to face interview: name its Encounter."
    raise MissingElement(text, location="QuestionnaireResponse.encounter")


def _tier(reading: Reading, known: Model | None) -> str:
    """The tier that the assessor has come to; that of an assessment that is known stays, where none is said."""
    program = reading.scope.program.id
    for one in reading.resource.get("item", ()):
        if one["linkId"] == _TIER:
            said = [given.get("valueCoding", {}).get("code", "") for given in one.get("answer", ())]
            return next(iter(said), "").removeprefix(f"{program}.")
    if isinstance(known, Acuity):
        return known.tier
    text = "Say which tier it leads to: a Coding of icm-tier, as the item 'tier'."
    raise MissingElement(text, location=_ITEM.format(_TIER))
