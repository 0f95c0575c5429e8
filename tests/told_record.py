"""A message that tells of relatives, cover and accounts of a member."""

from composed_gateway import message

ACCOUNT = ("eng|M||||||2186-5", "eng|M||ACC-9||||2186-5")
LINES = (
    "ROL|R-1|AD|FHCP|12^HELPER^HANNE^^^^^^REG",
    "GT1|1||TESTPERSON^BEA",
    "IN1|1|HMO^Plan H|INS-1|EXAMPLE PLAN|||||||EXAMPLE WORKS LTD|||||TESTPERSON^BEA|SPO|||||||||||||||||||POL-1",
    "IN1|2|SUBP|INS-2|EXAMPLE OTHER PLAN|||||||||||SUBPOL^^ActCode|TESTPERSON^ALMA|SEL||||||||||||||||||||POL-2",
)
TOLD = message(
    "A01/member.hl7",
    ACCOUNT,
    ("PV1|1", "\r".join([*LINES[:1], "PV1|1"])),
    ("DG1|1", "\r".join([*LINES[1:], "DG1|1"])),
)
