"""Conformance to the standard's message structures, data types and tables, by hl7apy: ``fhirgw lint``.

Slow (13 to 35 ms a message), so never between a message and its ACK. The only importer of hl7apy.
INVARIANT: what hl7apy says can quote the message; only names of segments, fields, types and tables pass from here.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

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
from fhirgw.v2.structures import structure_of

Reference = tuple[str, tuple[tuple[str, "Reference", tuple[int, int], str], ...]]

_HL7APY_VERSIONS = {"2.7.1": "2.7"}  # it ships no 2.7.1; the ADT structures are the same
_SPARE_DELIMITERS = "^~\\&$%@!*+=_`"


_UNCHECKABLE = frozenset({"200", "203"})  # no ADT, no version: the rest of the message cannot be held to anything


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """One field of a segment in a version: its number, name, data type and whether it is required."""

    number: int
    name: str
    kind: str
    required: bool


def lint(raw: bytes) -> list[GatewayError]:
    """Every deviation found, with its location where it can be told; [] when there is none."""
    try:
        return check(parse(raw))
    except GatewayError as error:
        return [error]


def check(message: Message) -> list[GatewayError]:
    """Every deviation from the standard's structure, data types and tables of the message's version."""
    errors = check_envelope(message)
    if any(error.err in _UNCHECKABLE or error.location in {"MSH-9", "MSH-12"} for error in errors):
        return errors
    trigger = message.header.get(9, 2) or _trigger_of_evn(message)
    found = next(
        ((name, version) for name, version in _structures(message, trigger) if _known(name, "Message", version)),
        None,
    )
    if found is None:
        text = "The trigger event in MSH-9.2 has no message structure in this version."
        return [*errors, UnsupportedMessage(text, location="MSH-9.2", err="201")]
    structure, version = found
    allowed = frozenset(_segments_of(load_reference(structure, "Message", version)))
    foreign = {s.name: None for s in message.segments if s.name[0] != "Z" and s.name not in allowed}
    errors += [
        MalformedMessage(f"{name} has no place in {structure} of version {version}.", location=name)
        for name in foreign
    ]
    try:
        text = _canonical(message, trigger, structure, version, frozenset(foreign))
        parsed = parse_message(text, find_groups=True)
        violations = list(_violations(parsed))
    except Exception as error:  # noqa: BLE001 - hl7apy raises what it likes; nothing a message holds may end lint
        return [*errors, MalformedMessage(f"hl7apy cannot read the message ({type(error).__name__}).")]
    known = {(error.location, error.err) for error in errors}
    return errors + [error for error in violations if (error.location, error.err) not in known]


@lru_cache(maxsize=1024)
def fields_of(segment: str, version: str) -> tuple[FieldDefinition, ...]:
    """The fields of a segment in a version (2.5.1 where hl7apy lacks either); () for one that nobody knows."""
    for one in (_HL7APY_VERSIONS.get(version, version), "2.5.1"):
        with suppress(HL7apyException, KeyError):
            reference = load_reference(segment, "Segment", one)
            return tuple(
                FieldDefinition(int(name[4:]), label.replace("_", " ").capitalize(), kind, least > 0)
                for name, (_, _, kind, label, *_), (least, _), _ in reference[1]
            )
    return ()


def structure(message: Message) -> str | None:
    """The message structure: MSH-9.3, or that of the trigger event."""
    trigger = message.header.get(9, 2) or _trigger_of_evn(message)
    return message.header.get(9, 3) or structure_of(trigger, message.header.get(12) or "")


def _trigger_of_evn(message: Message) -> str:
    """EVN-1, where a sender of before v2.3.1 leaves MSH-9.2 out."""
    evn = message.first("EVN")
    return (evn.get(1) if evn else None) or ""


def _structures(message: Message, trigger: str) -> Iterator[tuple[str, str]]:
    """Candidates for structure and version: MSH-9.3, the trigger's, and that of a version that has it."""
    version = message.header.get(12) or ""
    version = _HL7APY_VERSIONS.get(version, version)
    yield message.header.get(9, 3) or "", version
    for one in (version, "2.6", "2.5.1"):
        name = structure_of(trigger, one)
        if name:
            yield name, one


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


def _canonical(message: Message, trigger: str, structure: str, version: str, without: frozenset[str]) -> str:
    """The message as hl7apy reads it: CR, four encoding characters, MSH-9 and MSH-12 in full."""
    delimiters = message.delimiters
    text = "\r".join(segment.raw for segment in message.segments if segment.name not in without)
    spare = (character for character in _SPARE_DELIMITERS if character not in text)
    kept = (delimiters.component, delimiters.repetition, delimiters.escape, delimiters.subcomponent)
    header, *rest = text.split("\r")
    msh = Segment("MSH", header, delimiters)
    fields = [msh.field(number) for number in range(3, len(msh) + 1)]
    fields[9 - 3] = delimiters.component.join(("ADT", trigger, structure))
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
            if _OURS.search(line):
                continue
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
    if names:
        text = f"The structure has no place for {names} here."
        return MalformedMessage(text.replace("'", ""), location=names[1:4])
    text = "There is more in it than this version has a place for."
    return MalformedMessage(text, location=match["at"] and match["at"].replace("_", "-"))


# Tables that hl7apy has as closed lists, and that are none: 0396 grows apart from the versions and leaves 99zzz to
# a site, 0359 and 0418 go on after 2, and 0204 is held against the whole of an XON or XCN.
_CLOSED = r"(?!HL7(?:0204|0359|0396|0418)\b)(?P<table>\w+)"
_FIELD = re.compile(r"[A-Z][A-Z0-9]{2}_\d+")
# MSH-9 is written by us, in three components whatever the version; TS.2, the precision of a time, is optional.
_OURS = re.compile(r"<Field MSH_9 |\.TS_2\b")
_AT = r"(?P<parent>\w+)\.(?P<child>\w+)"
_REPORTS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], GatewayError]], ...] = (
    (re.compile(rf"Error: Missing required child {_AT}"), _missing),
    (re.compile(rf"Error: Child limit exceeded {_AT}"), _surplus),
    (re.compile(rf"Error: Datatype \S+ is not correct for {_AT} \(it must be (?!None)\S+\)"), _wrong_type),
    (
        re.compile(
            r"Error: (?:Invalid children detected for "
            r"(?:<(?:Segment|Field) (?P<at>[A-Z][A-Z0-9]{2}(?:_\d+)?)\b)?.*: "
            r"\[(?:None|(?P<names>'\w+'(?:, '\w+')*))\]"
            r"|(?:Invalid children detected|Invalid element found|Unknown element found).*)"
        ),
        _unexpected,
    ),
    (re.compile(rf'Warning: Value (?!"" not in).* not in table {_CLOSED} in element {_AT}'), _not_in_table),
    (re.compile(rf"Warning: Exceeded max length \((?P<length>\d+)\) of {_AT}"), _too_long),
)
