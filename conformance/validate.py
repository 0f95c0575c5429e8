"""Validate resources with HAPI's instance validator against our package: a second opinion on our own validator.

    python conformance/validate.py fixtures/icm/*.fhir.json fixtures/v2/*/*.json

Bundles are validated entry by entry. Built at first use, with dependencies from Maven Central (Java 17, Maven).
Exit code 1 if there is an error; warnings are counted by kind.
"""

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from fhirgw.harness import findings

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "conformance" / "validator"
BUILT = ROOT / "build" / "validator"
PACKAGE = ROOT / "fhirgw" / "profiles" / "package"
DEFINITIONS = (PACKAGE, ROOT / "conformance" / "definitions")
"""Ours, and the few of HL7 and of the Value Set Authority Center that the validator has not got."""
PACKAGES = ROOT.parent / "shared" / "fhir-packages"
"""Where other FHIR NPM packages may be, beside the checkout."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding of the validator.

    Attributes:
        source: The file, and the resource in it.
        severity: ``fatal``, ``error`` or ``warning``.
        location: FHIRPath expression.
        id: The validator's name for the rule.
        text: Its sentence.
    """

    source: str
    severity: str
    location: str
    id: str
    text: str

    @property
    def is_error(self) -> bool:
        """Whether it counts against the resource: not what is known, and explained (``harness.findings``)."""
        return self.severity != "warning" and findings.reason(self.location, self.text) is None


def main() -> None:
    """Validate files, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--package", action="append", type=Path, default=[], help="a folder of other definitions")
    options = parser.parse_args()
    named = list(resources(options.files))
    issues = list(validate(named, [*DEFINITIONS, *options.package]))
    for issue in issues:
        if issue.is_error:
            print(f"{issue.source}: {issue.location}: {issue.text}")
    warnings = Counter(issue.id for issue in issues if not issue.is_error)
    for rule, count in warnings.most_common():
        print(f"{count} warnings: {rule}")
    errors = sum(issue.is_error for issue in issues)
    print(f"{len(named)} resources, {errors} errors, {sum(warnings.values())} warnings")
    sys.exit(int(errors > 0))


def resources(files: Iterable[Path]) -> Iterator[tuple[str, Json]]:
    """(name, resource) of JSON and NDJSON files; the entries of a Bundle that is not a message or document."""
    for path in files:
        lines = path.read_bytes().splitlines() if path.suffix == ".ndjson" else [path.read_bytes()]
        for line in lines:
            found = orjson.loads(line)
            whole = found["resourceType"] != "Bundle" or found["type"] in ("message", "document")
            for one in [found] if whole else [entry["resource"] for entry in found["entry"]]:
                yield f"{path.name} {one['resourceType']}/{one.get('id', '?')}", one


def validate(named: Iterable[tuple[str, Json]], packages: Iterable[Path]) -> Iterator[Issue]:
    """What the validator finds, resource by resource."""
    build()
    named = list(named)
    java = [
        "java",
        "-Xmx2g",
        "-cp",
        f"{BUILT / 'validator.jar'}:{BUILT / 'lib'}/*",
        "org.fhirgw.conformance.Validate",
    ]
    lines = b"\n".join(orjson.dumps(resource) for _, resource in named)
    done = subprocess.run(  # noqa: S603 - a constant command
        [*java, *map(str, packages)], input=lines, stdout=subprocess.PIPE, check=True
    )
    for (name, _), line in zip(named, done.stdout.splitlines(), strict=True):
        for issue in orjson.loads(line)["issues"]:
            yield Issue(name, issue["severity"], issue["location"], issue["id"], issue["message"])


def build() -> None:
    """Build the validator where its sources are newer than what was built."""
    sources = [PROJECT / "pom.xml", *PROJECT.rglob("*.java")]
    jar = BUILT / "validator.jar"
    if not jar.exists() or jar.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        subprocess.run(["mvn", "-q", "-B", "package"], cwd=PROJECT, check=True)


if __name__ == "__main__":
    main()
