"""The report of a run: for machines as JSON and JUnit XML, for people as one HTML page that needs nothing else."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET  # it is written here, never read

import orjson
from jinja2 import Environment, PackageLoader

from fhirgw.harness.result import Result, Status


@dataclass(slots=True)
class Report:
    """What a run found.

    Attributes:
        target: Base URL of the server.
        software: What it calls itself.
        run: The run's tag.
        results: Of the steps, in order.
        interrupted: Whether somebody ended it early.
        requests: How many were made.
        waited: Seconds that were waited to be polite.
    """

    target: str
    software: str
    run: str
    results: list[Result] = field(default_factory=list)
    interrupted: bool = False
    requests: int = 0
    waited: float = 0.0

    def add(self, result: Result) -> None:
        """The next step's."""
        self.results.append(result)

    @property
    def counts(self) -> dict[str, int]:
        """Steps by status, each status named."""
        found = Counter(result.status for result in self.results)
        return {status.value: found[status] for status in Status}

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(result.seconds for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and it was not ended early."""
        return not self.interrupted and not any(one.status is Status.FAILED for one in self.results)

    def summary(self) -> dict[str, Any]:
        """In a line."""
        return {"target": self.target, "software": self.software, "run": self.run, **self.counts}

    def reasons(self) -> list[tuple[str, int]]:
        """The reasons for which differences were tolerated, with their number, the commonest first."""
        return Counter(str(one.reason) for result in self.results for one in result.tolerated).most_common()

    def by_capability(self) -> dict[str, list[Result]]:
        """The results by capability, in order."""
        groups: dict[str, list[Result]] = {}
        for result in self.results:
            groups.setdefault(result.capability, []).append(result)
        return groups

    def failed_capabilities(self) -> list[str]:
        """Those of which a step failed, in order."""
        return [name for name, results in self.by_capability().items() if worst(results) is Status.FAILED]


def worst(results: list[Result]) -> Status:
    """The status of several steps: failed if one failed, skipped if all were."""
    found = {result.status for result in results}
    if Status.FAILED in found:
        return Status.FAILED
    return Status.PASSED if Status.PASSED in found else Status.SKIPPED


def write(report: Report, path: Path) -> None:
    """Write the report in the form that the file's name asks for: ``.html``, ``.json``, ``.xml`` (JUnit)."""
    path.write_bytes(FORMS[path.suffix](report))


def as_json(report: Report) -> bytes:
    """For machines; tolerated differences as numbers by reason."""
    results = [asdict(one) | {"tolerated": len(one.tolerated)} for one in report.results]
    whole = report.summary() | {
        "interrupted": report.interrupted,
        "seconds": report.seconds,
        "requests": report.requests,
        "waited": report.waited,
        "tolerated": dict(report.reasons()),
        "results": results,
    }
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def as_junit(report: Report) -> bytes:
    """For a continuous integration system."""
    counts = report.counts
    suite = ET.Element(
        "testsuite",
        name=f"fhirgw harness: {report.target}",
        tests=str(len(report.results)),
        failures=str(counts["failed"]),
        skipped=str(counts["skipped"]),
        time=f"{report.seconds:.3f}",
    )
    for one in report.results:
        name = f"{one.capability} {one.subject}".strip()
        case = ET.SubElement(suite, "testcase", classname=one.capability, name=name, time=f"{one.seconds:.3f}")
        if one.status is Status.SKIPPED:
            ET.SubElement(case, "skipped", message="; ".join(one.notes))
        elif one.status is Status.FAILED:
            failure = ET.SubElement(case, "failure", message="; ".join(one.notes))
            failure.text = "\n".join(
                f"{each.path} {each.kind}: {each.sent!r} → {each.returned!r}" for each in one.differences
            )
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, encoding="unicode").encode()


def as_html(report: Report) -> bytes:
    """For people."""
    environment = Environment(loader=PackageLoader("fhirgw.harness"), autoescape=True)
    return environment.get_template("report.html.jinja").render(report=report, worst=worst).encode()


FORMS = {".html": as_html, ".json": as_json, ".xml": as_junit}
"""By the suffix of the file."""
