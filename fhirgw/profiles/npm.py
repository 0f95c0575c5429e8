"""Our profiles, terminology, operations and programmes as a FHIR NPM package that a FHIR server installs.

The definitions are those of ``package/``, compiled from ``fsh/``, and those that the caller adds: the programmes'.
See: the FHIR NPM package specification (https://confluence.hl7.org/display/FHIR/NPM+Package+Specification):
``package/package.json``, ``.index.json``, and examples in a folder of their own.
"""

import gzip
import io
import tarfile
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any

import orjson

Json = dict[str, Any]

_INDEXED = ("resourceType", "id", "url", "version", "kind", "type", "supplements", "content")


@cache
def definitions() -> dict[str, bytes]:
    """File name → bytes of every definition, by name."""
    folder = resources.files("fhirgw.profiles") / "package"
    found = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".json")}
    return dict(sorted(found.items()))


def package(beside: Sequence[Json] = (), examples: Sequence[Json] = ()) -> bytes:
    """The package, a gzipped tar; the same content gives the same bytes.

    Args:
        beside: Definitions beside the compiled ones.
        examples: Resources that show how profiles are used: in ``meta.profile``, the one each is an example of.
    """
    guide = _guide(beside, examples)
    files = definitions() | _files([guide, *beside])
    shown = _files(examples)
    members = {"package.json": _manifest(guide), ".index.json": _index(files)} | files
    members |= {f"example/{name}": content for name, content in {".index.json": _index(shown), **shown}.items()}
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in members.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _guide(beside: Sequence[Json], examples: Sequence[Json]) -> Json:
    """The ImplementationGuide, which lists everything that is in the package."""
    compiled = (content for name, content in definitions().items() if name.startswith("ImplementationGuide-"))
    guide: Json = orjson.loads(next(compiled))
    for empty in ("page", "parameter"):  # SUSHI writes lists with nothing in them, which no resource may have
        del guide["definition"][empty]
    guide["definition"]["resource"] += [
        {
            "reference": {"reference": f"{one['resourceType']}/{one['id']}"},
            "name": one.get("title", one["name"]),
            "description": one.get("description", one.get("comment")),
            "exampleBoolean": False,
        }
        for one in beside
    ]
    guide["definition"]["resource"] += [
        {
            "reference": {"reference": f"{one['resourceType']}/{one['id']}"},
            "name": f"Example of {one['meta']['profile'][0].rpartition('/')[2]}",
            "exampleCanonical": one["meta"]["profile"][0],
        }
        for one in examples
    ]
    return guide


def _files(resources: Iterable[Json]) -> dict[str, bytes]:
    return {
        f"{one['resourceType']}-{one['id']}.json": orjson.dumps(one, option=orjson.OPT_INDENT_2)
        for one in resources
    }


def _manifest(guide: Json) -> bytes:
    return orjson.dumps(
        {
            "name": guide["packageId"],
            "version": guide["version"],
            "title": guide["title"],
            "description": guide["description"],
            "type": "IG",
            "canonical": guide["url"].split("/ImplementationGuide/")[0],
            "author": guide["publisher"],
            "license": guide["license"],
            "fhirVersions": guide["fhirVersion"],
            "dependencies": {"hl7.fhir.r4.core": guide["fhirVersion"][0]},
            "directories": {"lib": "package", "example": "example"},
        },
        option=orjson.OPT_INDENT_2,
    )


def _index(files: dict[str, bytes]) -> bytes:
    listed = []
    for name, content in files.items():
        definition = orjson.loads(content)
        listed.append({"filename": name} | {key: definition[key] for key in _INDEXED if key in definition})
    return orjson.dumps({"index-version": 2, "files": listed}, option=orjson.OPT_INDENT_2)
