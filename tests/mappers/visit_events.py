"""Events of one visit, of which only what matters is said, and what is made of them."""

from fhirgw.mappers.adt import AdtEvent, extract
from fhirgw.mappers.event import MapContext
from fhirgw.mappers.trigger_events import EVENTS as SEMANTICS
from fhirgw.mappers.visit import fold_visit
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

KEY = b"test"
CONTEXT = MapContext("elm", Sender(facility="ELMHOSP"), KEY)


def at(day: int, hour: int = 12) -> str:
    return f"202603{day:02}{hour:02}0000-0500"


def event(
    trigger: str,
    occurred: str,
    recorded: str | None = None,
    *,
    patient_class: str = "I",
    bed: str = "A",
    admitted: str = "",
    discharged: str = "",
    diagnoses: str = "",
    more: str = "",
    context: MapContext = CONTEXT,
) -> AdtEvent:
    """An event of visit V-1, of which only what matters is said."""
    recorded = recorded or occurred
    pv1 = ["PV1", "1", patient_class, f"4E^412^{bed}^ELMHOSP"] + [""] * 49
    pv1[7], pv1[19], pv1[36], pv1[44], pv1[45] = (
        "7^DEMO^DORA",
        "V-1",
        "01" if discharged else "",
        admitted,
        discharged,
    )
    lines = [
        f"MSH|^~\\&|ADTSYS|ELMHOSP|||{recorded}||ADT^{trigger}|{trigger}-{recorded}{more}|P|2.5.1",
        f"EVN|{trigger}|{recorded}||||{occurred}",
        "PID|1||MRN-1^^^ELMHOSP^MR||TESTPERSON^ALMA",
        *(["MRG|MRN-9^^^ELMHOSP^MR||ACC-9||V-9|V-8"] if "MRG" in SEMANTICS[trigger].requires else []),
        "|".join(pv1),
        *(["PID|2||MRN-9^^^ELMHOSP^MR||TESTPERSON^ALMA"] if "PID[2]" in SEMANTICS[trigger].requires else []),
        *(f"DG1|{n}||{code}^words^I10C|||{kind}|{end}" for n, code, kind, end in _diagnoses(diagnoses)),
    ]
    return extract(parse("\r".join(lines).encode() + b"\r"), context)


def _diagnoses(text: str):
    for number, one in enumerate(text.split(), 1):
        code, kind, *end = one.split(":")
        yield number, code, kind, "||||||||||||||" + end[0] if end else ""


def folded(*events: AdtEvent) -> list[dict]:
    return fold_visit(events, "alma", KEY)


def encounter(*events: AdtEvent) -> dict:
    return next(resource for resource in folded(*events) if resource["resourceType"] == "Encounter")


def conditions(*events: AdtEvent) -> dict[str, dict]:
    found = [resource for resource in folded(*events) if resource["resourceType"] == "Condition"]
    return {condition["code"]["coding"][0]["code"]: condition for condition in found}


ADMIT = event("A01", at(5), admitted=at(5))
DISCHARGE = event("A03", at(9), admitted=at(5), discharged=at(9))
