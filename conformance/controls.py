"""Resources that are wrong on purpose: a validator that has nothing against one of them proves nothing."""

from validate import Issue, Json

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
CDC = "urn:oid:2.16.840.1.113883.6.238"


def _patient(*extension: Json) -> Json:
    name = [{"family": "Testperson"}]
    identifier = [{"system": "http://fhirgw.org/fhir/sid/conformance", "value": "1"}]
    patient: Json = {"resourceType": "Patient", "name": name, "identifier": identifier}
    return patient | ({"extension": list(extension)} if extension else {})


def _race(part: str, code: str) -> Json:
    coding = {"url": part, "valueCoding": {"system": CDC, "code": code}}
    return _patient({"url": f"{US_CORE}us-core-race", "extension": [coding, {"url": "text", "valueString": "?"}]})


WRONG: dict[str, Json] = {
    "a code that R4 has not got": {**_patient(), "gender": "unheard-of"},
    "a goal without what our profile asks for": {
        "resourceType": "Goal",
        "meta": {"profile": ["http://fhirgw.org/fhir/StructureDefinition/icm-goal"]},
        "lifecycleStatus": "active",
        "description": {"text": "?"},
        "subject": {"display": "Testperson"},
    },
}
"""Whatever is loaded."""
WRONG_BY_US_CORE: dict[str, Json] = {
    "a category of race that nobody has": _race("ombCategory", "9999-9"),
    "a detailed race that is a category": _race("detailed", "2106-3"),
    "a detailed race that is an ethnicity": _race("detailed", "2135-2"),
    "a sex at birth that nobody has": _patient({"url": f"{US_CORE}us-core-birthsex", "valueCode": "X"}),
}
"""Where US Core is loaded: what the value sets in ``definitions/`` are for."""


def controls(packages: list[str]) -> list[tuple[str, Json]]:
    """Those for which these packages are enough, with their names."""
    has_us_core = any(name.startswith("hl7.fhir.us.core-") for name in packages)
    return list((WRONG | (WRONG_BY_US_CORE if has_us_core else {})).items())


def missed(wrong: list[tuple[str, Json]], issues: list[Issue]) -> list[str]:
    """The names of those against which nothing was found."""
    found = {issue.source for issue in issues if issue.is_error}
    return [name for name, _ in wrong if name not in found]
