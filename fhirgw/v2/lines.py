"""Where the segments of a message begin and end: lines, by the rule of the standard and by a tolerant one.

See: HL7 v2.5.1 ch. 2.5.1. The dialects accepted beyond it: ``docs/decisions/0010-er7-dialects.md``.
"""

import re
from functools import lru_cache

from fhirgw.errors import MalformedMessage

# Segments of v2.1 to v2.8: what may follow a bare LF in a message whose other segments end in CR.
_STANDARD = """
ABS ACC ADD AFF AIG AIL AIP AIS AL1 APR ARQ ARV AUT BHS BLC BLG BPO BPX BTS BTX CDM CER CM0 CM1 CM2 CNS CON
CSP CSR CSS CTD CTI DB1 DG1 DMI DRG DSC DSP ECD ECR EDU EQP EQU ERR EVN FAC FHS FT1 FTS GOL GP1 GP2 GT1 IAM
IAR IIM ILT IN1 IN2 IN3 INV IPC IPR ISD ITM IVC IVT LAN LCC LCH LDP LOC LRL MFA MFE MFI MRG MSA MSH NCK NDS
NK1 NPU NSC NST NTE OBR OBX ODS ODT OH1 OH2 OH3 OH4 OM1 OM2 OM3 OM4 OM5 OM6 OM7 ORC ORG OVR PAC PCE PCR PD1
PDA PDC PEO PES PID PKG PMT PR1 PRA PRB PRC PRD PRT PSG PSH PSL PSS PTH PV1 PV2 PYE QAK QID QPD QRD QRF RCP
RDF RDT REL RF1 RFI RGS RMI ROL RQ1 RQD RXA RXC RXD RXE RXG RXO RXR RXV SAC SCD SCH SCP SDD SFT SGH SGT SHP
SID SLT SPM STF STZ TCC TCD TQ1 TQ2 TXA UAC UB1 UB2 URD URS VAR VND
"""
_SEGMENTS = frozenset(_STANDARD.split())

_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_LINE_END = re.compile(r"(\r\n?|\n)")
_BLANKS = " \t"
REMEMBERED = 100
"""Segments of a message that others of its feed will be like."""


def split_lines(text: str, field: str) -> tuple[list[str], list[str]]:
    """The text of each segment, and what follows it.

    Raises:
        MalformedMessage: There is something that is no segment, or there are two messages.
    """
    end = _line_end(text)
    if end:
        lines = text.split(end)
        terminators = [end] * len(lines)
        if lines[-1]:
            terminators[-1] = ""
        else:
            del lines[-1], terminators[-1]
        if are_segments(tuple([line[:4] for line in lines]), field):
            return lines, terminators
    return _tolerant_lines(text, field)


def are_segments(starts: tuple[str, ...], field: str) -> bool:
    """Whether lines with these first four characters are the segments of one message."""
    return _are_known(starts, field) if len(starts) <= REMEMBERED else _are_known.__wrapped__(starts, field)


@lru_cache(maxsize=4096)
def _are_known(starts: tuple[str, ...], field: str) -> bool:
    names = [start[:3] for start in starts]
    known = names.count("MSH") == 1 and all(map(_NAME.fullmatch, set(names) - _SEGMENTS))
    return known and {start[3:] for start in starts} <= {field, ""}


def _line_end(text: str) -> str:
    """The line end that all lines of a text have; empty when they are mixed."""
    if "\n" not in text:
        return "\r"
    if "\r" not in text:
        return "\n"
    pairs = text.count("\r\n")
    return "\r\n" if pairs == text.count("\r") == text.count("\n") else ""


def _tolerant_lines(text: str, field: str) -> tuple[list[str], list[str]]:
    """Segments by the tolerant rule, in one pass.

    CR ends a segment. LF ends one too if a segment follows (in a message that also has CR: one of the standard or a
    Z segment); otherwise it belongs to the field. Blank lines and indentation belong to the terminator.
    """
    pieces = iter((*_LINE_END.split(text), ""))
    only_standard = "\r" in text
    segments: list[list[str]] = []
    terminators: list[list[str]] = []
    for line, end in zip(pieces, pieces, strict=True):
        content = line.lstrip(_BLANKS)
        if segments and not content:
            terminators[-1] += (line, end)
        elif segments and not _begins(content, field, only_standard) and "\r" not in "".join(terminators[-1]):
            segments[-1] += (*terminators[-1], line)
            terminators[-1] = [end]
        elif _is_segment(content, field):
            if segments:
                terminators[-1].append(line[: len(line) - len(content)])
            segments.append([content])
            terminators.append([end])
        else:
            sentence = "is not a segment; a line end inside a field must be sent as an escape sequence."
            raise MalformedMessage(f"Line {len(segments) + 1} {sentence}")
    return _checked(["".join(parts) for parts in segments]), ["".join(parts) for parts in terminators]


def _is_segment(line: str, field: str) -> bool:
    name = line[:3]
    return line[3:4] in ("", field) and (name in _SEGMENTS or _NAME.fullmatch(name) is not None)


def _begins(line: str, field: str, only_standard: bool) -> bool:
    if only_standard and line[:3] not in _SEGMENTS and line[:1] != "Z":
        return False
    return _is_segment(line, field)


def _checked(lines: list[str]) -> list[str]:
    """INVARIANT: one message; a second one in the same bytes would be lost without a word."""
    if [line[:3] for line in lines].count("MSH") > 1:
        raise MalformedMessage("A second MSH segment: send each message in a frame of its own.", location="MSH")
    return lines


def first_line(text: str) -> str:
    """The text of the first segment, with the line feeds inside it, by the tolerant rule."""
    plain, end, _ = text.partition("\r")
    if end and "\n" not in plain:
        return plain
    pieces = iter((*_LINE_END.split(text), ""))
    first = ""
    for line, end in zip(pieces, pieces, strict=True):
        if first and line.strip(_BLANKS) and _begins(line.lstrip(_BLANKS), text[3:4], "\r" in text):
            break
        first += line + end
        if "\r" in end:
            break
    return first.rstrip("\r\n")
