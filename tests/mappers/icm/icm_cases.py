"""The cases of ``fixtures/icm``, mapped, and what tests look for in them."""

import json
from pathlib import Path

from fhirgw import programs
from fhirgw.icm.model import Case
from fhirgw.mappers.icm import case_bundle, map_case

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "fixtures" / "icm"
CASES = [
    "ct-bhp", "husky", "ne-peer", "bc-icmt", "ccbh-peer", "ct-bhp-candidate",
    "bc-outreach", "bc-client", "husky-cohort", "ne-screened", "ccbh-applicant",
    "ct-bhp-year", "husky-year", "ne-peer-year", "bc-icmt-year", "ccbh-peer-year",
]  # fmt: skip
KEY = b"test"
ROI = ("http://fhirgw.org/fhir/CodeSystem/icm-consent-category", "roi")


def stated(name):
    return json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))


def program_of(case):
    return programs.load((Path(programs.__file__).parent / f"{case.program}.toml").read_text("utf-8"))


def mapped(name, **changes):
    case = Case.model_validate({**stated(name), **changes})
    return map_case(case, program_of(case), KEY)


def bundle_text(name):
    case = Case.model_validate(stated(name))
    return json.dumps(case_bundle(case, program_of(case), KEY), indent=2, ensure_ascii=False) + "\n"


def of_type(resources, *types):
    return [resource for resource in resources if resource["resourceType"] in types]


def consents_of(resources, category):
    return [
        consent
        for consent in of_type(resources, "Consent")
        if category in [coding["code"] for concept in consent["category"] for coding in concept["coding"]]
    ]


def codes(resource):
    return {coding["code"] for coding in resource.get("meta", {}).get("security", [])}


def references(value, path=()):
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield path, value["reference"], value
        for name, inner in value.items():
            yield from references(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner, path)


def clocks(resources):
    return {
        one["code"]["coding"][0]["code"]: (
            one["businessStatus"]["coding"][0]["code"],
            one["restriction"]["period"]["end"],
        )
        for one in of_type(resources, "Task")
        if one["code"]["coding"][0]["system"].endswith("icm-clock")
    }
