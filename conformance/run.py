"""``make conformance``: everything the gateway emits, judged by HAPI's validator and kept by a HAPI server.

    python conformance/run.py [--messages 1000] [--amount full]

Validated: the goldens, the examples of our package, a full demo store, the Bundles of 1,000 mapped ADT messages;
against our package, and the packages in ``../shared/fhir-packages`` (or ``--packages``) where they are; and a few
resources that are wrong (``controls.py``). Then ``fhirgw harness`` runs against a HAPI FHIR server on this machine,
and the server is broken on purpose (``breaks.py``). The figures go to ``build/conformance.json``, the findings to
``build/conformance/``. Exit code 1 if anything failed.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hapi
import orjson
import upstream
from controls import controls, missed
from demo import FIXTURES, fill, gateway_in
from sqlalchemy import select
from validate import DEFINITIONS, PACKAGES, Issue, Json, resources, validate

from fhirgw.demo import SENDERS
from fhirgw.errors import GatewayError
from fhirgw.mappers.adt import map_message, read
from fhirgw.settings import Senders
from fhirgw.store.schema import resource

ROOT = Path(__file__).parent.parent
OUT = ROOT / "build" / "conformance"
FIGURES = ROOT / "build" / "conformance.json"
FHIRGW = Path(sys.executable).parent / "fhirgw"
EXAMPLE = re.compile(r"(^|/)example/[^.][^/]*\.json$")
KEY = b"conformance"
MEMBERS = 50

sys.path.insert(0, str(ROOT / "bench"))
from feed import hospital  # noqa: E402 - the synthetic hospital of the benchmarks


def main() -> None:
    """Validate, try the server, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--amount", choices=("small", "full"), default="full")
    parser.add_argument(
        "--packages", type=Path, default=PACKAGES, help="a folder of other FHIR NPM packages (*.tgz)"
    )
    options = parser.parse_args()
    if lacking := hapi.missing():
        print(f"Conformance is not tried: {lacking}")
        return
    OUT.mkdir(parents=True, exist_ok=True)
    named = list(once([*goldens(), *examples(), *demo_store(), *mapped(options.messages)]))
    packages, issues, unseen = validated(named, options.packages)
    tell(named, issues)
    server, counts, mirrored = against_hapi(options.amount)
    figures = {
        "validated": len(named),
        "errors": sum(issue.is_error for issue in issues),
        "warnings": sum(not issue.is_error for issue in issues),
        "packages": packages,
        "wrong_and_not_found": len(unseen),
        "harness": counts,
        "upstream": mirrored,
        "server": server,
    }
    FIGURES.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(orjson.dumps(figures).decode())
    sys.exit(int(any([figures["errors"], unseen, counts["failed"], mirrored["different"]])))


def validated(named: list[tuple[str, Json]], folder: Path) -> tuple[list[str], list[Issue], list[str]]:
    """The other packages that there are, what the validator finds, and which wrong resources it takes."""
    with unpacked(folder) as others:
        packages = [folder.parent.name for folder in others]
        print(f"{len(named)} resources to validate; other packages: {', '.join(packages) or 'none'}", flush=True)
        wrong = controls(packages)
        issues = list(validate([*named, *wrong], [*DEFINITIONS, *others]))
    unseen = missed(wrong, issues)
    for name in unseen:
        print(f"The validator finds nothing against {name}.")
    names = {name for name, _ in wrong}
    return packages, [issue for issue in issues if issue.source not in names], unseen


def goldens() -> Iterator[tuple[str, Json]]:
    """The resources of every golden."""
    return resources(sorted([*FIXTURES.glob("icm/*.fhir.json"), *FIXTURES.glob("v2/*/*.json")]))


def examples() -> Iterator[tuple[str, Json]]:
    """The examples of the package that ``fhirgw package`` writes."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "package.tgz"
        subprocess.run([FHIRGW, "package", written], check=True)  # noqa: S603 - a constant command
        with tarfile.open(written) as package:
            for member in package:
                held = package.extractfile(member)
                if held and EXAMPLE.search(member.name):
                    yield member.name, orjson.loads(held.read())


@contextmanager
def unpacked(packages: Path) -> Iterator[list[Path]]:
    """The definitions of other packages (FHIR NPM), as folders."""
    with tempfile.TemporaryDirectory() as folder:
        for written in packages.glob("*.tgz"):
            with tarfile.open(written) as package:
                package.extractall(Path(folder) / written.stem, filter="data")
        yield sorted(Path(folder).glob("*/package"))


def demo_store() -> Iterator[tuple[str, Json]]:
    """Every resource of a store with the demo's members, after every message of the fixtures about them."""
    with tempfile.TemporaryDirectory() as folder:
        gateway = gateway_in(Path(folder))
        asyncio.run(fill(gateway))
        with gateway.database.read() as connection:
            found = connection.execute(select(resource).where(resource.c.deleted.is_(False))).all()
        gateway.database.close()
    for row in found:
        yield f"demo store {row.type}/{row.id}", orjson.loads(row.body)


def mapped(messages: int) -> Iterator[tuple[str, Json]]:
    """The resources of messages mapped alone: the fixtures', then those of a synthetic hospital."""
    senders = Senders.model_validate(tomllib.loads(SENDERS))
    fixtures = [path.read_bytes() for path in sorted(FIXTURES.glob("v2/*/*.hl7"))]
    done = 0
    for raw in (*fixtures, *hospital(MEMBERS, messages)):
        if done == messages:
            return
        try:
            bundle = map_message(*read(raw, senders, KEY))
        except (GatewayError, ExceptionGroup):
            continue  # a fixture that is wrong on purpose
        done += 1
        for entry in bundle["entry"]:
            one = entry["resource"]
            yield f"message {bundle['identifier']['value']} {one['resourceType']}/{one['id']}", one


def once(named: list[tuple[str, Json]]) -> Iterator[tuple[str, Json]]:
    """Each resource once: messages of one visit repeat most of what they say."""
    seen: set[bytes] = set()
    for name, one in named:
        content = orjson.dumps(one)
        if content not in seen:
            seen.add(content)
            yield name, one


def tell(named: list[tuple[str, Json]], issues: list[Issue]) -> None:
    """Errors one by one, warnings by rule; all of them in a file."""
    for issue in issues:
        if issue.is_error:
            print(f"{issue.source}: {issue.location}: {issue.text}")
    warnings = Counter(issue.id for issue in issues if not issue.is_error)
    found = {
        "resources": dict(Counter(one["resourceType"] for _, one in named).most_common()),
        "errors": [f"{one.source}: {one.location}: {one.text}" for one in issues if one.is_error],
        "warnings": dict(warnings.most_common()),
    }
    (OUT / "validator.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    for rule, count in warnings.most_common():
        print(f"{count} warnings: {rule}", flush=True)


def against_hapi(amount: str) -> tuple[str, dict[str, int], dict[str, int]]:
    """Run the harness against HAPI, break HAPI, keep it in step; its name, the steps by status, what it holds."""
    base = hapi.start()
    try:
        server = hapi.software(base) or "HAPI"
        reports = [f"--report={OUT / f'harness.{form}'}" for form in ("html", "json", "xml")]
        command = [str(FHIRGW), "harness", "--target", base, "--amount", amount]
        environment = os.environ | {"FHIRGW_DATA_DIR": str(OUT)}  # of the journal
        subprocess.run([*command, *reports], env=environment, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - a constant command
        found = orjson.loads((OUT / "harness.json").read_bytes())
        breaks = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            str(ROOT / "conformance/breaks.py"),
        ]
        broken = subprocess.run(breaks, check=False)  # noqa: S603 - a constant command
        mirrored = upstream.run(base)
    finally:
        hapi.stop()
    counts = {status: found[status] for status in ("passed", "failed", "skipped")}
    counts["failed"] += int(broken.returncode != 0)
    return server, counts, mirrored


if __name__ == "__main__":
    main()
