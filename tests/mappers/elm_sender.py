"""A hospital whose data types are read: its zone, its authorities, its codes."""

from zoneinfo import ZoneInfo

from fhirgw.mappers.datatypes import (
    Components,
    Scope,
)
from fhirgw.settings import Sender
from fhirgw.v2.codec import parse

NEW_YORK = ZoneInfo("America/New_York")
SID = "http://fhirgw.org/fhir/sid/"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"
SENDER = Sender(
    authorities={"CTMEDICAID": SID + "ct-medicaid", "2.16.840.1.1": SID + "registered"},
    codes={"0002": {"Verh": "M"}, "0112": {"HEIM": "01"}},
)
EXT = "http://hl7.org/fhir/StructureDefinition/"
ELM = "http://fhirgw.org/fhir/CodeSystem/elm-"


def beside(table: str, code: str, system: str | None = None) -> dict:
    """The sender's code, beside an element of a required binding that has no code for it."""
    coding = {"system": system or V2 + table, "code": code}
    return {"extension": [{"url": EXT + "alternate-codes", "valueCodeableConcept": {"coding": [coding]}}]}


def disposition(code: str, display: str) -> dict:
    system = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
    return {"system": system, "code": code, "display": display}


SCOPE = Scope("elm", "ELMHOSP", SENDER, NEW_YORK)


def field(er7: str) -> Components:
    segment = parse(b"MSH|^~\\&|A|B\rZZZ|" + er7.encode() + b"\r").segments[1]
    return Components(segment.field(1), segment.delimiters)
