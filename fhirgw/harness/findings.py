"""Errors of a validator that are none of the resource: known, and each with its reason."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """One kind of finding.

    Attributes:
        location: Regular expression of the end of the FHIRPath expression.
        text: Regular expression of the validator's sentence.
        reason: Why it does not count.
    """

    location: str
    text: str
    reason: str


KNOWN = (
    Known(
        r"\.(use|system|criticality|category\[\d+\]|gender|status)$",
        r"^No code provided, and a code is required from the value set",
        "A code that was sent and has no target in the required value set stays beside the absent element, as the "
        "HL7 v2-to-FHIR guide asks (alternate-codes). R4 allows an element of extensions alone (ele-1).",
    ),
    Known(
        r"",
        r"http://hl7\.org/fhir/5\.0/StructureDefinition/extension-.*invalid Version '5\.0'",
        "The cross-version extensions of HL7 (hl7.fhir.uv.xver-r5.r4) are not on this server.",
    ),
)


def reason(location: str, text: str) -> str | None:
    """Why an error does not count; None: it does."""
    found = (one.reason for one in KNOWN if re.search(one.location, location) and re.search(one.text, text))
    return next(found, None)
