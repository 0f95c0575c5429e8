"""What the Parameters of an operation ask.

See: FHIR R4 operations.html; http://hl7.org/fhir/R4/patient-operation-match.html
"""

from collections.abc import Mapping
from datetime import date

from fhirgw.api.negotiation import ACCEPTED, FORMAT_PARAMETER, Json
from fhirgw.document import LANGUAGES, Disclosures, Document, Presentation
from fhirgw.errors import InvalidElement
from fhirgw.lookup import MOST, Match
from fhirgw.profiles import conformance
from fhirgw.profiles.validation import require_valid

PRESENTATIONS: Mapping[str, frozenset[str]] = {
    Presentation.BUNDLE: ACCEPTED | FORMAT_PARAMETER,
    Presentation.HTML: frozenset({"text/html", "html"}),
    Presentation.PDF: frozenset({"application/pdf", "pdf"}),
}
"""How ``CarePlan/$document`` and ``Patient/$disclosures`` can be had, by what a client may call it."""

_DOCUMENT = {"language": "valueCode", "largePrint": "valueBoolean"}
_VALIDATE = {"resource": "resource", "mode": "valueCode", "profile": "valueUri"}
_MATCH = {"resource": "resource", "onlyCertainMatches": "valueBoolean", "count": "valueInteger"}


def match_asked(parameters: Json) -> Match:
    """The question of ``Patient/$match``.

    Raises:
        InvalidElement: A parameter that the operation does not have, twice, or of another type; no Patient.
        ExceptionGroup: Everything that is wrong with the Patient.
    """
    asked = _parts(parameters, _MATCH, "$match takes resource, onlyCertainMatches and count, each once.")
    patient, count = asked.get("resource"), asked.get("count", MOST)
    certain = asked.get("onlyCertainMatches", False)
    if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
        raise InvalidElement("The parameter resource is a Patient.", location="Parameters.parameter")
    if not isinstance(certain, bool) or not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InvalidElement("onlyCertainMatches is true or false, count a positive number.")
    require_valid(patient)
    return Match(patient, certain, count)


def _parts(parameters: Json, types: Mapping[str, str], otherwise: str) -> Json:
    """The values of Parameters by name, each once, of the type that the operation has for it.

    Raises:
        InvalidElement: ``otherwise``.
    """
    asked: Json = {}
    parts = parameters.get("parameter")
    for part in parts if isinstance(parts, list) else []:
        name = part.get("name") if isinstance(part, dict) else None
        if not isinstance(name, str) or name in asked or types.get(name) not in part:
            raise InvalidElement(otherwise, location="Parameters.parameter")
        asked[name] = part[types[name]]
    return asked


def validation_asked(kind: str, body: Json) -> Json:
    """The resource that ``$validate`` is about, held to the profile that is asked for beside those it names.

    See: http://hl7.org/fhir/R4/resource-operation-validate.html

    Raises:
        InvalidElement: A parameter that the operation does not have here, or another type than the URL's.
    """
    asked: Json = {"resource": body}
    if body.get("resourceType") == "Parameters":
        asked = _parts(body, _VALIDATE, "$validate takes resource, mode and profile, each once.")
    if asked.get("mode") not in (None, "create", "update", "profile"):
        raise InvalidElement("The mode is create, update or profile.", location="mode")
    resource, profile = asked.get("resource"), asked.get("profile")
    if not isinstance(resource, dict) or resource.get("resourceType") != kind:
        raise InvalidElement(f"The resource is not of the URL's type, {kind}.", location="resource")
    if profile is None:
        return resource
    if not isinstance(profile, str) or profile not in conformance.profiles():
        raise InvalidElement("There is no such profile here.", location="profile")
    meta = resource.get("meta")
    named = meta.get("profile", []) if isinstance(meta, dict) else None
    if meta is not None and not isinstance(named, list):
        return resource  # which is wrong as it is
    return {**resource, "meta": {**(meta or {}), "profile": [*(named or []), profile]}}


def document_pairs(parameters: Json) -> tuple[tuple[str, str], ...]:
    """The Parameters of ``CarePlan/$document`` as they stand in a URL.

    Raises:
        InvalidElement: A parameter that the operation does not have, twice, or of another type.
    """
    otherwise = "$document takes language (code) and largePrint (boolean), each once."
    asked = _parts(parameters, _DOCUMENT, otherwise)
    if not (isinstance(asked.get("language", ""), str) and isinstance(asked.get("largePrint", True), bool)):
        raise InvalidElement(otherwise, location="Parameters.parameter")
    return tuple((name, str(value).lower()) for name, value in asked.items())


def document_asked(logical: str, presentation: str, pairs: Mapping[str, str]) -> Document:
    """The question of ``CarePlan/$document``.

    Args:
        logical: Id of the plan.
        presentation: One of ``PRESENTATIONS``.
        pairs: The parameters, as text.

    Raises:
        InvalidElement: A parameter that the operation does not have, or a value that it does not take.
    """
    if unknown := pairs.keys() - {"language", "largePrint"}:
        raise InvalidElement("$document takes language and largePrint, each once.", location=min(unknown))
    return Document(logical, Presentation(presentation), *_printed(pairs))


def disclosures_asked(logical: str, presentation: str, pairs: Mapping[str, str]) -> Disclosures:
    """The question of ``Patient/$disclosures``.

    Args:
        logical: Id of the Patient.
        presentation: One of ``PRESENTATIONS``.
        pairs: The parameters, as text.

    Raises:
        InvalidElement: A parameter that the operation does not have, or a value that it does not take.
    """
    if unknown := pairs.keys() - {"start", "end", "language", "largePrint"}:
        text = "$disclosures takes start, end, language and largePrint, each once."
        raise InvalidElement(text, location=min(unknown))
    start, end = (_day(pairs[name], name) if name in pairs else None for name in ("start", "end"))
    return Disclosures(logical, Presentation(presentation), *_printed(pairs), start=start, end=end)


def _printed(pairs: Mapping[str, str]) -> tuple[str, bool]:
    """The language, and whether it is printed large."""
    language, large = pairs.get("language", LANGUAGES[0]), pairs.get("largePrint", "false")
    if language not in LANGUAGES:
        raise InvalidElement(f"Documents are in {' or '.join(LANGUAGES)}.", location="language")
    if large not in ("true", "false"):
        raise InvalidElement("largePrint is true or false.", location="largePrint")
    return language, large == "true"


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidElement("A day is written 2026-11-22.", location=name) from None
