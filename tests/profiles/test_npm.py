"""The FHIR NPM package: complete, indexed, the same bytes each time."""

import io
import tarfile

import orjson
import pytest

from fhirgw.profiles import npm
from fhirgw.terminology import BASE


def members():
    with tarfile.open(fileobj=io.BytesIO(npm.package())) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


def test_the_package_holds_a_manifest_an_index_and_every_definition():
    found = members()
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
