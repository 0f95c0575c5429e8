"""Our profiles, terminology and operations as a FHIR NPM package that a FHIR server installs.

The definitions are those of ``package/``, compiled from ``fsh/``. See: the FHIR NPM package specification
(https://confluence.hl7.org/display/FHIR/NPM+Package+Specification): ``package/package.json``, ``.index.json``.
"""

import gzip
import io
import tarfile
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


def package() -> bytes:
    """The package, a gzipped tar; the same definitions give the same bytes."""
    files = definitions()
    guide = next(
        orjson.loads(content) for name, content in files.items() if name.startswith("ImplementationGuide-")
    )
    members = {"package.json": _manifest(guide), ".index.json": _index(files)} | files
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
            "directories": {"lib": "package"},
        },
        option=orjson.OPT_INDENT_2,
    )


def _index(files: dict[str, bytes]) -> bytes:
    listed = []
    for name, content in files.items():
        definition = orjson.loads(content)
        listed.append({"filename": name} | {key: definition[key] for key in _INDEXED if key in definition})
    return orjson.dumps({"index-version": 2, "files": listed}, option=orjson.OPT_INDENT_2)
