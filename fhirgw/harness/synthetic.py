"""What the harness sends: the invented cases and messages of the fixtures, mapped as the gateway maps them.

Every run, and every sample in it, has ids and identifiers of its own: two runs against one public server do not
meet, and no sample overwrites another's Patient.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

from fhirgw.errors import GatewayError
from fhirgw.harness.comparison import Json
from fhirgw.icm.statements import read_case
from fhirgw.mappers.adt import map_message, read
from fhirgw.mappers.icm import case_bundle
from fhirgw.programs import Program
from fhirgw.settings import Sender, Senders
from fhirgw.terminology import THO

FIXTURES = resources.files("fhirgw.harness") / "fixtures"
RUN = "http://fhirgw.org/fhir/sid/harness-run"
"""System of the tag that everything of a run carries."""
TEST_DATA = {"system": f"{THO}v3-ActReason", "code": "HTEST", "display": "test health data"}
SCRATCH = "http://fhirgw.org/fhir/sid/harness"

Amount = Literal["small", "full"]
SMALL_CASES = ("ct-bhp", "ne-peer", "bc-icmt", "ccbh-peer", "husky")
"""One case of each programme."""
SMALL_EVENTS = ("A01", "A02", "A03", "A08", "A40")
_SID = "http://fhirgw.org/fhir/sid"
SENDERS = Senders(
    senders={
        "elm-hospital": Sender(
            facility="ELMHOSP",
            authorities={
                "ELMHOSP": f"{_SID}/elm-hospital-mrn",
                "CTMEDICAID": f"{_SID}/ct-medicaid",
                "NEMEDICAID": f"{_SID}/ne-medicaid",
                "PAMEDICAID": f"{_SID}/pa-medicaid",
                "BCPHN": f"{_SID}/bc-phn",
            },
        )
    }
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One case or message, as the transaction that the gateway makes of it.

    Attributes:
        name: Of the case, or the trigger event.
        bundle: The transaction Bundle.
    """

    name: str
    bundle: Json

    @property
    def resources(self) -> list[Json]:
        """In the order in which they may be written one by one."""
        return [entry["resource"] for entry in self.bundle["entry"]]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the harness.

    Attributes:
        tag: Code of the run's tag; in the identifiers too.
        key: Of the ids.
    """

    tag: str
    key: bytes

    def marked(self, resource: Json) -> Json:
        """The resource with the run's tag, and the mark of test data."""
        meta: Json = resource.get("meta", {})
        tags = [*meta.get("tag", []), TEST_DATA, {"system": RUN, "code": self.tag}]
        return {**resource, "meta": {**meta, "tag": tags}}

    def identifier(self, value: str, sample: str) -> str:
        """An identifier of a sample's Patient that no other run has."""
        return f"{value}.{self.tag}.{sample}"

    def scratch(self, name: str) -> Json:
        """A Patient to try single interactions on, without an id."""
        return self.marked(
            {
                "resourceType": "Patient",
                "identifier": [{"system": SCRATCH, "value": f"{self.tag}-{name}"}],
                "name": [{"family": "Testperson", "given": ["Harness"]}],
            }
        )


def samples(
    run: Run,
    amount: Amount,
    programs: Mapping[str, Program],
) -> list[Sample]:
    """The samples of a run.

    Args:
        run: Whose tag and key they carry.
        amount: ``small``: a case of each programme, the commonest events; ``full``: every case and event.
        programs: By id.
    """
    return [*_cases(run, amount, programs), *_messages(run, amount)]


def _cases(run: Run, amount: Amount, programs: Mapping[str, Program]) -> Iterator[Sample]:
    files = {
        entry.name.removesuffix(".json"): entry
        for entry in (FIXTURES / "icm").iterdir()
        if entry.name.endswith(".json") and not entry.name.endswith(".fhir.json")
    }
    for name in SMALL_CASES if amount == "small" else sorted(files):
        case = read_case(files[name].read_bytes())
        yield _sample(run, name, partial(case_bundle, case, programs[case.program]))


def _messages(run: Run, amount: Amount) -> Iterator[Sample]:
    """The fullest message of each event that there is an answer to."""
    folders = sorted((FIXTURES / "v2").iterdir(), key=lambda folder: folder.name)
    for folder in folders:
        if folder.name in SMALL_EVENTS or (amount == "full" and folder.name[1:].isdigit()):
            yield from _first_mapped(run, folder)


def _first_mapped(run: Run, folder: Traversable) -> Iterator[Sample]:
    messages = (entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".hl7"))
    for raw in sorted(messages, key=lambda raw: (-len(raw), raw)):
        try:
            yield _sample(run, folder.name, partial(_mapped, raw))
        except (GatewayError, ExceptionGroup):
            continue  # one that is wrong on purpose
        return


def _mapped(raw: bytes, key: bytes) -> Json:
    return map_message(*read(raw, SENDERS, key))


def _sample(run: Run, name: str, mapped: Callable[[bytes], Json]) -> Sample:
    bundle = mapped(hmac.digest(run.key, name.encode(), hashlib.sha256))
    values = {
        one["value"]
        for resource in (entry["resource"] for entry in bundle["entry"])
        if resource["resourceType"] == "Patient"
        for one in resource.get("identifier", [])
    }
    unique = {value: run.identifier(value, name) for value in values}
    entries = [{**entry, "resource": run.marked(_renamed(entry["resource"], unique))} for entry in bundle["entry"]]
    return Sample(name, {**bundle, "entry": entries})


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Every string that is one of the names, replaced, wherever it is."""
    if isinstance(value, dict):
        return {name: _renamed(one, names) for name, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


def references(resources_: Iterable[Json]) -> list[str]:
    """``Type/id`` of each."""
    return [f"{one['resourceType']}/{one['id']}" for one in resources_]
