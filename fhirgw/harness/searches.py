"""The searches that practices and agencies are told to run (docs/connect), and what each has to find."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fhirgw.harness.comparison import Json
from fhirgw.harness.result import Evidence, Unmet
from fhirgw.harness.session import Session
from fhirgw.harness.synthetic import Sample, references

_SELF = ("subject", "patient", "beneficiary")


@dataclass(frozen=True, slots=True)
class Search:
    """One of them, as the documents have it.

    Attributes:
        method: ``GET``; ``POST`` with the parameters in a form body.
        path: Type, or ``Type/_search``.
        parameters: As written there; ``$PATIENT`` stands for the id of the first sample's Patient, identifiers of
            the demo for theirs.
    """

    method: str
    path: str
    parameters: str = ""

    @property
    def documented(self) -> str:
        """As one line."""
        return " ".join(filter(None, [self.method, self.path, self.parameters]))


SEARCHES = (
    Search("POST", "Patient/_search", "identifier=http://fhirgw.org/fhir/sid/ct-medicaid|CT-TEST-0001"),
    Search("GET", "CarePlan", "patient=$PATIENT&_include=CarePlan:goal"),
    Search("GET", "Goal", "patient=$PATIENT&_count=1"),
    Search("GET", "Patient"),
    Search(
        "POST",
        "Patient/_search",
        "identifier=http://fhirgw.org/fhir/sid/ct-medicaid|CT-TEST-0001,"
        "http://fhirgw.org/fhir/sid/ne-medicaid|NE-TEST-0003",
    ),
    Search("GET", "CarePlan", "status=active&_count=50"),
    Search("GET", "Observation", "_count=50"),
    Search("GET", "Goal", "_lastUpdated=ge2026-01-01&_sort=_lastUpdated"),
)
KNOWN = {"CT-TEST-0001": "ct-bhp", "NE-TEST-0003": "ne-peer"}
"""The demo's identifiers in the documents → the sample that is about this member."""


def search(session: Session, one: Search, samples: Mapping[str, Sample]) -> Evidence:
    """Run a search and hold what it finds to what was written.

    Raises:
        Unmet: Something is missing, too much, twice, or out of order.
    """
    asked = _asked(session, one, samples)
    expected = _expected(session.sent, one.path.partition("/")[0], dict(parse_qsl(asked)))
    own = one.parameters.startswith(("identifier=", "patient="))
    if one.method == "POST":
        pages = list(session.pages(one.path, dict(parse_qsl(asked))))
    elif own:
        pages = list(session.pages(f"{one.path}?{asked}"))
    else:  # others may have written to this server
        pages = list(session.pages(session.scoped(one.path, asked)))
    problems = [*_held(pages, expected, exact=own or session.has_tags), *_ordered(pages, asked)]
    if problems:
        raise Unmet(*problems)
    return Evidence([f"{len(expected.matches)} found on {len(pages)} pages, {len(expected.included)} included"])


@dataclass(frozen=True, slots=True)
class Expected:
    """What a search has to find, as ``Type/id``."""

    matches: frozenset[str]
    included: frozenset[str]


def _asked(session: Session, one: Search, samples: Mapping[str, Sample]) -> str:
    asked = one.parameters
    for value, name in KNOWN.items():
        asked = asked.replace(value, session.run.identifier(value, name))
    resources = samples[KNOWN["CT-TEST-0001"]].resources
    return asked.replace("$PATIENT", next(one["id"] for one in resources if one["resourceType"] == "Patient"))


def _expected(sent: Mapping[str, Json], kind: str, parameters: Mapping[str, str]) -> Expected:
    """Computed from what was written, by the few parameters that the documents use."""
    matches = {
        reference: resource
        for reference, resource in sent.items()
        if resource["resourceType"] == kind and _matches(resource, parameters)
    }
    included: set[str] = set()
    if "_include" in parameters:
        element = parameters["_include"].partition(":")[2]
        included = {one["reference"] for resource in matches.values() for one in resource.get(element, [])}
    return Expected(frozenset(matches), frozenset(included))


def _matches(resource: Json, parameters: Mapping[str, str]) -> bool:
    if "patient" in parameters:
        about = {resource.get(name, {}).get("reference") for name in _SELF}
        if f"Patient/{parameters['patient']}" not in about:
            return False
    if "identifier" in parameters:
        has = {f"{one.get('system')}|{one['value']}" for one in resource.get("identifier", [])}
        if has.isdisjoint(parameters["identifier"].split(",")):
            return False
    return "status" not in parameters or resource.get("status") == parameters["status"]


def _held(pages: list[Json], expected: Expected, *, exact: bool) -> Iterable[str]:
    """What is wrong with what was found; not ``exact``: what others wrote may be there too."""
    entries = [entry for page in pages for entry in page.get("entry", [])]
    found: dict[str, list[str]] = {"match": [], "include": []}
    for entry in entries:
        mode = entry.get("search", {}).get("mode", "match")
        found.setdefault(mode, []).extend(references([entry["resource"]]))
    for mode, wanted in (("match", expected.matches), ("include", expected.included)):
        if missing := wanted - set(found[mode]):
            yield f"{len(missing)} of {len(wanted)} not found ({mode}): {', '.join(sorted(missing)[:3])}"
        if exact and (more := set(found[mode]) - wanted):
            yield f"{len(more)} found that should not be ({mode}): {', '.join(sorted(more)[:3])}"
    if len(found["match"]) != len(set(found["match"])):
        yield "A match comes twice."
    totals = {page["total"] for page in pages if "total" in page}
    if exact and totals - {len(expected.matches)}:
        yield f"total is {sorted(totals)}, and there are {len(expected.matches)}."


def _ordered(pages: list[Json], asked: str) -> Iterable[str]:
    """Whether page size and order were kept."""
    parameters = dict(parse_qsl(asked))
    matched = [
        [one["resource"] for one in page.get("entry", []) if one.get("search", {}).get("mode") != "include"]
        for page in pages
    ]
    if "_count" in parameters and any(len(page) > int(parameters["_count"]) for page in matched):
        yield f"A page has more than {parameters['_count']} matches."
    if parameters.get("_sort") == "_lastUpdated":
        times = [one["meta"]["lastUpdated"] for page in matched for one in page]
        if times != sorted(times):
            yield "The matches are not in the order that was asked for."
