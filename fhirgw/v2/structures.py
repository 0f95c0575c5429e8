"""Which message structure a trigger event has: table 0354, for the two thirds of senders that leave MSH-9.3 out.

See: HL7 v2.5.1 ch. 3.3 and table 0354; v2.3.1, v2.4 and v2.7 where a structure was shared otherwise. In v2.1 and
v2.2 every event had a structure of its own name. An event that a version does not have yet, or no more, keeps the
structure of v2.5.1.
"""

STRUCTURES: dict[str, tuple[str, ...]] = {  # v2.5.1: structure to trigger events
    "ADT_A01": ("A01", "A04", "A08", "A13"),
    "ADT_A02": ("A02",),
    "ADT_A03": ("A03",),
    "ADT_A05": ("A05", "A14", "A28", "A31"),
    "ADT_A06": ("A06", "A07"),
    "ADT_A09": ("A09", "A10", "A11"),
    "ADT_A12": ("A12",),
    "ADT_A15": ("A15",),
    "ADT_A16": ("A16",),
    "ADT_A17": ("A17",),
    "ADT_A18": ("A18",),
    "ADT_A20": ("A20",),
    "ADT_A21": ("A21", "A22", "A23", "A25", "A26", "A27", "A29", "A32", "A33"),
    "ADT_A24": ("A24",),
    "ADT_A30": ("A30", "A34", "A35", "A36", "A46", "A47", "A48", "A49"),
    "ADT_A37": ("A37",),
    "ADT_A38": ("A38",),
    "ADT_A39": ("A39", "A40", "A41", "A42"),
    "ADT_A43": ("A43", "A44"),
    "ADT_A45": ("A45",),
    "ADT_A50": ("A50", "A51"),
    "ADT_A52": ("A52", "A53"),
    "ADT_A54": ("A54", "A55"),
    "ADT_A60": ("A60",),
    "ADT_A61": ("A61", "A62"),
}

_EARLIER = {  # v2.3 and v2.3.1
    **dict.fromkeys(("A05", "A14", "A28", "A31"), "ADT_A01"),
    **dict.fromkeys(("A15", *STRUCTURES["ADT_A21"]), "ADT_A02"),
}
_OTHERWISE: dict[str, dict[str, str]] = {
    "2.3": _EARLIER,
    "2.3.1": _EARLIER,
    "2.4": {"A12": "ADT_A09"},
    **{version: {"A44": "ADT_A44"} for version in ("2.7", "2.7.1", "2.8", "2.8.1", "2.8.2")},
}
_OF = {trigger: structure for structure, triggers in STRUCTURES.items() for trigger in triggers}
_LAST_OWN = {"2.1": "A24", "2.2": "A37"}


def structure_of(trigger: str, version: str = "2.5.1") -> str | None:
    """The structure of an ADT event in a version (MSH-9.3); None for an event that the standard does not have."""
    if trigger in _OF and trigger <= _LAST_OWN.get(version, ""):
        return f"ADT_{trigger}"
    return _OTHERWISE.get(version, {}).get(trigger) or _OF.get(trigger)
