"""Conformance to the standard's message structures, data types and tables, by hl7apy: ``fhirgw lint``.

Slow (13 to 35 ms a message), so never between a message and its ACK. The only importer of hl7apy.
INVARIANT: what hl7apy says can quote the message; only names of segments, fields, types and tables pass from here.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress

from hl7apy import load_reference
from hl7apy.core import Message as Hl7apyMessage
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message
from hl7apy.validation import Validator

from fhirgw.errors import (
    GatewayError,
    InvalidElement,
    MalformedMessage,
    MissingElement,
    UnmappedCode,
    UnsupportedMessage,
)
from fhirgw.v2.ack import check_envelope
from fhirgw.v2.codec import Message, Segment, parse

STRUCTURES = {  # table 0354 as of v2.5.1; a trigger without a row has a structure of its own
    "ADT_A01": ("A01", "A04", "A08", "A13"),
    "ADT_A05": ("A05", "A14", "A28", "A31"),
    "ADT_A06": ("A06", "A07"),
    "ADT_A09": ("A09", "A10", "A11", "A12"),
    "ADT_A21": ("A21", "A22", "A23", "A25", "A26", "A27", "A29", "A32", "A33"),
    "ADT_A30": ("A30", "A34", "A35", "A36", "A46", "A47", "A48", "A49"),
    "ADT_A39": ("A39", "A40", "A41", "A42"),
    "ADT_A43": ("A43", "A44"),
    "ADT_A50": ("A50", "A51"),
    "ADT_A52": ("A52", "A53"),
    "ADT_A54": ("A54", "A55"),
    "ADT_A61": ("A61", "A62"),
}
Reference = tuple[str, tuple[tuple[str, "Reference", tuple[int, int], str], ...]]

_STRUCTURE_OF = {trigger: structure for structure, triggers in STRUCTURES.items() for trigger in triggers}
_HL7APY_VERSIONS = {"2.7.1": "2.7"}  # it ships no 2.7.1; the ADT structures are the same
_SPARE_DELIMITERS = "^~\\&$%@!*+=_`"


def lint(raw: bytes) -> list[GatewayError]:
    """Every deviation found, with its location where it can be told; [] when there is none."""
    try:
        message = parse(raw)
    except GatewayError as error:
        return [error]
    errors = check_envelope(message)
    if errors:
        return errors
    version = _version(message)
    structure = next((name for name in _structures(message) if _known(name, "Message", version)), None)
    if structure is None:
        text = "The trigger event in MSH-9.2 has no message structure in this version."
        return [UnsupportedMessage(text, location="MSH-9.2", err="201")]
    allowed = frozenset(_segments_of(load_reference(structure, "Message", version)))
    foreign = {s.name: None for s in message.segments if s.name[0] != "Z" and s.name not in allowed}
    errors += [
        MalformedMessage(f"{name} has no place in {structure} of version {version}.", location=name)
        for name in foreign
    ]
    try:
        parsed = parse_message(_canonical(message, structure, version, frozenset(foreign)), find_groups=True)
        return errors + list(_violations(parsed))
    except (HL7apyException, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        text = f"hl7apy cannot read the message ({type(error).__name__})."
        return [*errors, MalformedMessage(text)]


def _version(message: Message) -> str:
    version = message.header.get(12) or ""
    return _HL7APY_VERSIONS.get(version, version)


def _structures(message: Message) -> Iterator[str]:
    """Candidates for the structure: MSH-9.3, the trigger's own, the one it shares, the oldest."""
    msh = message.header
    trigger = msh.get(9, 2) or ""
    yield msh.get(9, 3) or ""
    yield f"ADT_{trigger}"
    if trigger in _STRUCTURE_OF:
        yield _STRUCTURE_OF[trigger]
        yield "ADT_A01"


def _segments_of(reference: Reference) -> Iterator[str]:
    """Names of the segments of a structure, its groups' included; hl7apy passes over any other."""
    for name, child, _, kind in reference[1]:
        if kind == "SEG":
            yield name
        else:
            yield from _segments_of(child)


def _known(name: str, kind: str, version: str) -> bool:
    try:
        load_reference(name, kind, version)
    except HL7apyException:
        return False
    return True


def _canonical(message: Message, structure: str, version: str, without: frozenset[str]) -> str:
    """The message as hl7apy reads it: CR, four encoding characters, MSH-9 and MSH-12 in full."""
    delimiters = message.delimiters
    text = "\r".join(segment.raw for segment in message.segments if segment.name not in without)
    spare = (character for character in _SPARE_DELIMITERS if character not in text)
    kept = (delimiters.component, delimiters.repetition, delimiters.escape, delimiters.subcomponent)
    header, *rest = text.split("\r")
    msh = Segment("MSH", header, delimiters)
    fields = [msh.field(number) for number in range(3, len(msh) + 1)]
    fields[9 - 3] = delimiters.component.join(("ADT", msh.get(9, 2) or "", structure))
    fields[12 - 3] = version
    encoding = "".join(character or next(spare) for character in kept)
    return "\r".join((delimiters.field.join(("MSH", encoding, *fields)), *rest))


def _violations(parsed: Hl7apyMessage) -> Iterator[GatewayError]:
    """What hl7apy's validator reports, in our words.

    It writes its report to a path or descriptor and nowhere else; ours is a file without a name, since the report
    quotes values.
    """
    with tempfile.TemporaryFile("w+") as report:
        with suppress(HL7apyException):  # the first of those in the report
            Validator.validate(parsed, report_file=os.dup(report.fileno()))
        report.seek(0)
        seen = set()
        for line in report:
            for pattern, make in _REPORTS:
                if (match := pattern.fullmatch(line.rstrip("\n"))) and match[0] not in seen:
                    seen.add(match[0])
                    yield make(match)


def _location(parent: str, child: str) -> str | None:
    """``PID``, ``PID_3`` → PID-3; ``PID_3``, ``CX_1`` → PID-3.1; a segment of a structure → its name."""
    if _FIELD.fullmatch(child) and child.startswith(parent + "_"):
        return child.replace("_", "-")
    if _FIELD.fullmatch(parent) and "_" in child:
        return f"{parent.replace('_', '-')}.{child.rsplit('_', 1)[1]}"
    return child if re.fullmatch(r"[A-Z][A-Z0-9]{2}", child) else None


def _missing(match: re.Match[str]) -> GatewayError:
    text = f"{match['child']} is required in {match['parent']}."
    return MissingElement(text, location=_location(match["parent"], match["child"]))


def _surplus(match: re.Match[str]) -> GatewayError:
    text = f"{match['child']} occurs more often than {match['parent']} allows in this version."
    return InvalidElement(text, location=_location(match["parent"], match["child"]))


def _not_in_table(match: re.Match[str]) -> GatewayError:
    text = f"The value is not in table {match['table'].removeprefix('HL7')}."
    return UnmappedCode(text, location=_location(match["parent"], match["child"]))


def _too_long(match: re.Match[str]) -> GatewayError:
    text = f"The value is longer than {match['length']} characters."
    return InvalidElement(text, location=_location(match["parent"], match["child"]))


def _wrong_type(match: re.Match[str]) -> GatewayError:
    return InvalidElement(
        "The data type is not the standard's.", location=_location(match["parent"], match["child"])
    )


def _unexpected(match: re.Match[str]) -> GatewayError:
    names = match["names"] or ""  # elsewhere the line can quote what was found
    text = f"The structure has no place for {names or 'a segment or field'} here."
    return MalformedMessage(text.replace("'", ""), location=names[1:4] or None)


_FIELD = re.compile(r"[A-Z][A-Z0-9]{2}_\d+")
_AT = r"(?P<parent>\w+)\.(?P<child>\w+)"
_REPORTS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], GatewayError]], ...] = (
    (re.compile(rf"Error: Missing required child {_AT}"), _missing),
    (re.compile(rf"Error: Child limit exceeded {_AT}"), _surplus),
    (re.compile(rf"Error: Datatype \S+ is not correct for {_AT} \(it must be \S+\)"), _wrong_type),
    (
        re.compile(
            r"Error: (?:Invalid children detected for .*: \[(?P<names>'\w+'(?:, '\w+')*)\]"
            r"|(?:Invalid children detected|Invalid element found|Unknown element found).*)"
        ),
        _unexpected,
    ),
    (re.compile(rf'Warning: Value (?!"" not in).* not in table (?P<table>\w+) in element {_AT}'), _not_in_table),
    (re.compile(rf"Warning: Exceeded max length \((?P<length>\d+)\) of {_AT}"), _too_long),
)
