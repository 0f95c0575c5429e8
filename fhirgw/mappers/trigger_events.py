"""What each ADT trigger event means for a visit and for who is who; with the standard's words (v2.5.1 ch. 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What an event does to its visit."""

    PLAN = "plan"
    OPEN = "open"
    RECLASS = "reclass"
    TRANSFER = "transfer"
    TRACK = "track"
    PEND = "pend"
    LEAVE = "leave"
    RETURN = "return"
    UPDATE = "update"
    CLOSE = "close"
    CANCEL = "cancel"
    DELETE = "delete"


class Identity(StrEnum):
    """What an event does to the identity graph."""

    NONE = "none"
    MERGE = "merge"
    MOVE = "move"
    LINK = "link"
    UNLINK = "unlink"


@dataclass(frozen=True, slots=True)
class EventSemantics:
    """One trigger event.

    Attributes:
        standard: The words of the standard (v2.5.1 ch. 3.3) that decide.
        structure: Its message structure (table 0354, v2.5.1).
        effect: What it does to the visit.
        undoes: Of a CANCEL: the events it takes back.
        identity: What it does to the people whom PID and MRG (or a second PID) identify.
        pv1: ``required``; ``read`` where it is there; ``numbered``: read where PV1-19 says which visit it is.
        requires: Further segments and fields without which it says nothing.
        grouped: Its groups repeat or come in pairs: each PID, and each MRG, begins a fact of its own.
        numbers: What was merged or renumbered, MRG's into the message's: ``visit`` (MRG-5), ``account`` (MRG-3).
        moves: What of MRG now belongs to the person in PID: ``visit`` (MRG-5), ``account`` (MRG-3).
    """

    standard: str
    structure: str
    effect: Effect = Effect.UPDATE
    undoes: tuple[str, ...] = ()
    identity: Identity = Identity.NONE
    pv1: str = "required"
    requires: tuple[str, ...] = ()
    grouped: bool = False
    numbers: str = ""
    moves: str = ""

    @property
    def rank(self) -> int:
        """Its place among events of the same instant: what undoes comes after what is undone."""
        return _RANKS[self.effect] + (self.effect is Effect.CANCEL and not _OPENING.isdisjoint(self.undoes))


_OPENING = frozenset({"A01", "A04", "A05", "A14"})
_RANKS = {
    Effect.PLAN: 0,
    Effect.OPEN: 1,
    Effect.RECLASS: 2,
    Effect.UPDATE: 3,
    Effect.TRANSFER: 3,
    Effect.TRACK: 3,
    Effect.PEND: 3,
    Effect.LEAVE: 4,
    Effect.RETURN: 5,
    Effect.CLOSE: 6,
    Effect.CANCEL: 7,
    Effect.DELETE: 9,
}


def _cancel(standard: str, structure: str, *undoes: str) -> EventSemantics:
    return EventSemantics(standard, structure, Effect.CANCEL, undoes)


def _person(
    standard: str,
    structure: str,
    identity: Identity = Identity.NONE,
    requires: str = "",
    *,
    numbers: str = "",
    moves: str = "",
) -> EventSemantics:
    """About people: a visit is read only where the message says which one it is."""
    return EventSemantics(
        standard,
        structure,
        identity=identity,
        pv1="numbered",
        requires=tuple(requires.split()),
        grouped=bool(requires),
        numbers=numbers,
        moves=moves,
    )


EVENTS: Mapping[str, EventSemantics] = {
    "A01": EventSemantics(
        "It signals the beginning of a patient's stay in a healthcare facility.", "ADT_A01", Effect.OPEN
    ),
    "A02": EventSemantics(
        "An A02 event is issued as a result of the patient changing his or her assigned physical location.",
        "ADT_A02",
        Effect.TRANSFER,
    ),
    "A03": EventSemantics(
        "An A03 event signals the end of a patient's stay in a healthcare facility.", "ADT_A03", Effect.CLOSE
    ),
    "A04": EventSemantics(
        "The patient has arrived or checked in as a one-time, or recurring outpatient, and is not assigned to a "
        "bed.",
        "ADT_A01",
        Effect.OPEN,
    ),
    "A05": EventSemantics(
        "An A05 event is sent when a patient undergoes the pre-admission process.", "ADT_A05", Effect.PLAN
    ),
    "A06": EventSemantics(
        "A patient who was present for a non-admitted visit is being admitted.", "ADT_A06", Effect.RECLASS
    ),
    "A07": EventSemantics(
        "A patient who was admitted changes his/her status to 'no longer admitted' but is still being seen for "
        "this episode of care.",
        "ADT_A06",
        Effect.RECLASS,
    ),
    "A08": EventSemantics(
        "Used when any patient information has changed but when no other trigger event has occurred.",
        "ADT_A01",
        pv1="read",
    ),
    "A09": EventSemantics(
        "There is a change in a patient's physical location and this is NOT a change in the official census bed "
        "location.",
        "ADT_A09",
        Effect.TRACK,
    ),
    "A10": EventSemantics(
        "Sent when a patient arrives at a new location in the healthcare facility.", "ADT_A09", Effect.TRACK
    ),
    "A11": _cancel(
        "Sent when an A01 event (for non-admitted patients, an A04) is cancelled, either because of an erroneous "
        "entry or because of a decision not to admit the patient after all.",
        "ADT_A09",
        "A01",
        "A04",
    ),
    "A12": _cancel("Sent when an A02 (transfer) event is cancelled.", "ADT_A12", "A02"),
    "A13": _cancel(
        "Sent when an A03 event is cancelled, either because of erroneous entry of the A03 event or because of a "
        "decision not to discharge or end the visit of the patient after all.",
        "ADT_A01",
        "A03",
    ),
    "A14": EventSemantics("Notifies other systems of a planned admission.", "ADT_A05", Effect.PLAN),
    "A15": EventSemantics(
        "A plan to transfer a patient to a new location when the patient has not yet left the old location.",
        "ADT_A15",
        Effect.PEND,
    ),
    "A16": EventSemantics(
        "A plan to discharge a patient when the patient has not yet left the healthcare facility.",
        "ADT_A16",
        Effect.PEND,
    ),
    "A17": EventSemantics(
        "Used when it is decided that two patients will exchange beds.", "ADT_A17", Effect.TRANSFER, grouped=True
    ),
    "A21": EventSemantics(
        "An admitted patient has left the healthcare institution temporarily.", "ADT_A21", Effect.LEAVE
    ),
    "A22": EventSemantics(
        "An admitted patient has returned to the healthcare institution after a temporary 'leave of absence.'",
        "ADT_A21",
        Effect.RETURN,
    ),
    "A23": EventSemantics(
        "Used to delete visit or episode-specific information from the patient record.", "ADT_A21", Effect.DELETE
    ),
    "A24": _person(
        "Used when the first PID segment needs to be linked to the second PID segment and when both patient "
        "identifiers identify the same patient; the affected patient data records should remain distinct.",
        "ADT_A24",
        Identity.LINK,
        "PID[2]",
    ),
    "A25": _cancel("Sent when an A16 (pending discharge) event is cancelled.", "ADT_A21", "A16"),
    "A26": _cancel("Sent when an A15 (pending transfer) event is cancelled.", "ADT_A21", "A15"),
    "A27": _cancel("Sent when an A14 (pending admit) event is cancelled.", "ADT_A21", "A14"),
    "A28": _person(
        "Communicates activity related to a person, whether or not a patient on each system.", "ADT_A05"
    ),
    "A29": _person("Can be used to delete all demographic information related to a given person.", "ADT_A21"),
    "A30": _person("Used to merge person information on an MPI.", "ADT_A30", Identity.MERGE, "MRG MRG-1"),
    "A31": _person("Can be used to update person information on an MPI.", "ADT_A05"),
    "A32": _cancel("Sent when an A10 (patient arriving-tracking) event is cancelled.", "ADT_A21", "A10"),
    "A33": _cancel("Sent when an A09 (patient departing-tracking) event is cancelled.", "ADT_A21", "A09"),
    "A34": _person(
        "Merge patient information, patient ID only; retained for backward compatibility: use A40.",
        "ADT_A30",
        Identity.MERGE,
        "MRG MRG-1",
    ),
    "A35": _person(
        "Merge patient information, account number only; retained for backward compatibility: use A41.",
        "ADT_A30",
        requires="MRG MRG-3",
        numbers="account",
    ),
    "A36": _person(
        "Merge patient information, patient ID and account number; retained for backward compatibility.",
        "ADT_A30",
        Identity.MERGE,
        "MRG MRG-1",
        numbers="account",
    ),
    "A37": _person(
        "Used to unlink two PID segments previously linked with an A24.",
        "ADT_A37",
        Identity.UNLINK,
        "PID[2]",
    ),
    "A38": _cancel("Sent when an A05 (pre-admit) event is cancelled.", "ADT_A38", "A05"),
    "A39": _person("A merge has been done at the person identifier level.", "ADT_A39", Identity.MERGE, "MRG MRG-1"),
    "A40": _person(
        "A merge has been done at the patient identifier list level: two identifiers have been merged into one.",
        "ADT_A39",
        Identity.MERGE,
        "MRG MRG-1",
    ),
    "A41": _person(
        "A merge of records for an account that was incorrectly filed under two different account numbers.",
        "ADT_A39",
        requires="MRG MRG-3",
        numbers="account",
    ),
    "A42": _person(
        "A merge of records for a visit that was incorrectly filed under two different visit numbers.",
        "ADT_A39",
        requires="MRG MRG-5 PV1",
        numbers="visit",
    ),
    "A43": _person(
        "A move has been done at the patient identifier list level, from the incorrect source in MRG-1.",
        "ADT_A43",
        Identity.MOVE,
        "MRG MRG-1",
    ),
    "A44": _person(
        "A move of records identified by the MRG-3 from the incorrect source patient in MRG-1 to the correct "
        "target patient in PID-3.",
        "ADT_A43",
        requires="MRG MRG-3",
        moves="account",
    ),
    "A45": _person(
        "A move of records identified by the MRG-5 from the incorrect source account in MRG-3 to the correct "
        "target in PID-18.",
        "ADT_A45",
        requires="MRG MRG-5 PV1",
        numbers="visit",
        moves="visit",
    ),
    "A46": _person(
        "A change has been done at the patient identifier level.", "ADT_A30", Identity.MERGE, "MRG MRG-1"
    ),
    "A47": _person(
        "A change has been done at the patient identifier list level: MRG-1 is the incorrect one, PID-3 the "
        "correct one.",
        "ADT_A30",
        Identity.MERGE,
        "MRG MRG-1",
    ),
    "A48": _person(
        "A change has been done at the alternate patient identifier level.",
        "ADT_A30",
        Identity.MERGE,
        "MRG MRG-1",
    ),
    "A49": _person(
        "A change has been done at the patient account number level.",
        "ADT_A30",
        requires="MRG MRG-3",
        numbers="account",
    ),
    "A50": _person(
        "A change has been done at the visit identifier level.",
        "ADT_A50",
        requires="MRG MRG-5 PV1",
        numbers="visit",
    ),
    "A51": _person(
        "A change has been done at the alternate visit identifier level.", "ADT_A50", requires="MRG MRG-6 PV1"
    ),
    "A52": _cancel("Sent when an A21 (leave of absence) event is cancelled.", "ADT_A52", "A21"),
    "A53": _cancel("Sent when an A22 (return from leave of absence) event is cancelled.", "ADT_A52", "A22"),
    "A54": EventSemantics(
        "A change in the attending doctor responsible for the treatment of a patient.", "ADT_A54"
    ),
    "A55": _cancel("Sent when an A54 (change attending doctor) event is cancelled.", "ADT_A54", "A54"),
    "A60": EventSemantics("Used when person/patient allergy information has changed.", "ADT_A60", pv1="numbered"),
    "A61": EventSemantics("A change in the consulting physician(s) for the treatment of a patient.", "ADT_A61"),
    "A62": _cancel("Sent when an A61 (change consulting doctor) event is cancelled.", "ADT_A61", "A61"),
}
"""Every ADT event that is taken. Not taken: A18 (a merge before v2.3.1 had A34), A19 (a query), A20 (beds, nobody's
visit), A56 to A59 (never defined)."""
