"""The FHIR NPM package: complete, indexed, the same bytes each time."""

import io
import tarfile

import orjson
import pytest

from fhirgw.profiles import npm
from fhirgw.terminology import BASE

BESIDE = {"resourceType": "HealthcareService", "id": "harbour", "name": "Harbour", "comment": "Invented"}
EXAMPLE = {
    "resourceType": "Goal",
    "id": "boat",
    "meta": {"profile": [f"{BASE}/StructureDefinition/icm-goal"]},
    "description": {"text": "I mend my boat."},
}


def members(beside=(), examples=()):
    with tarfile.open(fileobj=io.BytesIO(npm.package(beside, examples))) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


def test_what_is_beside_the_compiled_is_indexed_and_listed_and_so_are_examples():
    found = members([BESIDE], [EXAMPLE])
    listed = {
        folder: {one["filename"] for one in orjson.loads(found[f"{folder}/.index.json"])["files"]}
        for folder in ("package", "package/example")
    }
    assert listed["package"] == npm.definitions().keys() | {"HealthcareService-harbour.json"}
    assert listed["package/example"] == {"Goal-boat.json"}
    assert orjson.loads(found["package/HealthcareService-harbour.json"]) == BESIDE
    assert orjson.loads(found["package/example/Goal-boat.json"]) == EXAMPLE
    guide = orjson.loads(found["package/ImplementationGuide-org.fhirgw.icm.json"])
    by_reference = {one["reference"]["reference"]: one for one in guide["definition"]["resource"]}
    assert by_reference["HealthcareService/harbour"]["description"] == "Invented"
    assert by_reference["Goal/boat"]["exampleCanonical"] == EXAMPLE["meta"]["profile"][0]
    compiled = {name.removesuffix(".json").replace("-", "/", 1) for name in npm.definitions()}
    assert compiled - by_reference.keys() == {"ImplementationGuide/org.fhirgw.icm"}


def test_the_package_holds_a_manifest_an_index_and_every_definition():
    found = members()
    assert orjson.loads(found.pop("package/example/.index.json"))["files"] == []
    manifest = orjson.loads(found.pop("package/package.json"))
    index = orjson.loads(found.pop("package/.index.json"))
    assert (manifest["name"], manifest["fhirVersions"]) == ("org.fhirgw.icm", ["4.0.1"])
    assert {f"package/{one['filename']}" for one in index["files"]} == found.keys()
    for one in index["files"]:
        definition = orjson.loads(found[f"package/{one['filename']}"])
        assert (one["resourceType"], one["id"]) == (definition["resourceType"], definition["id"])
        assert one["filename"] == f"{one['resourceType']}-{one['id']}.json"


def test_the_same_definitions_give_the_same_bytes():
    assert npm.package() == npm.package()


@pytest.mark.parametrize("name", npm.definitions())
def test_a_definition_is_ours_described_and_has_its_snapshot(name):
    definition = orjson.loads(npm.definitions()[name])
    assert definition["url"].startswith(f"{BASE}/")
    assert definition["description"]
    assert definition["status"] == "active"
    if definition["resourceType"] == "StructureDefinition":
        assert definition["snapshot"]["element"]
