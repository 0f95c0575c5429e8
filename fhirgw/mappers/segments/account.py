"""What PID, PD1 and MSH say beside the Patient: account, mother, last update, a living will, the source.

See: v2-to-FHIR, PID[Account], PID[Provenance-Patient], PD1[Observation-LivingWill], MSH[Provenance-Source].
"""

from collections.abc import Mapping

from fhirgw.mappers.datatypes import Json, cx_to_identifier
from fhirgw.mappers.parties import hd_to_organization, xon_to_organization
from fhirgw.mappers.segments.reading import Reading, remembered, valued
from fhirgw.mappers.segments.relatives import mother
from fhirgw.mappers.segments.restriction import classification
from fhirgw.terminology import sid
from fhirgw.v2.codec import Segment

MSH_LEFT: Mapping[int, str] = {
    **dict.fromkeys((1, 2), "delimiters"),
    **dict.fromkeys((5, 6, 23, 25), "the receiver is this gateway"),
    8: "no code that the standard defines; MSH-26 is the classification",
    **dict.fromkeys((11, 12, 13, 14, 15, 16, 18, 20, 21), "of the exchange, not of the person"),
    **dict.fromkeys((17, 19), "of the message's own words; each code names its system"),
    24: "MSH-3 and MSH-4 name the source",
    **dict.fromkeys((27, 28), "instructions to a recipient; consent decides what leaves here"),
}
"""Fields of MSH that make nothing, and why."""


def pid_to_record(pid: Segment, reading: Reading) -> Json | None:
    """Map PID-18 to ``account``, PID-21 to ``mother``, PID-33 and PID-34 to ``updated`` and ``updater``."""
    scope = reading.scope
    fact: Json = {}
    default = sid(scope.name, scope.facility, "account")
    account = reading.only(pid, 18, cx_to_identifier, default=default, kind="AN")
    if account:
        fact["account"] = account
    if pid.field(21):
        kin = mother(pid, reading)
        fact |= {"mother": kin} if kin else {}
    updated = reading.time(pid, 33)
    updater = reading.only(pid, 34, hd_to_organization)
    if updated:
        fact["updated"] = updated
    if updater:
        fact["updater"] = updater
    return fact or None


def pd1_to_record(pd1: Segment, reading: Reading) -> Json | None:
    """Map PD1-7 to ``will``, the value of an Observation."""
    will = reading.coded(pd1, 7, "0315")
    return {"will": will} if will else None


def _event(msh: Segment, number: int, _: Reading) -> str:
    """MSH-9 without the parts of it that are empty."""
    return "^".join([part for component in (1, 2, 3) if (part := valued(msh, number, component))])


_remembered_event = remembered(_event)


def msh_to_source(msh: Segment, reading: Reading) -> Json | None:
    """Map MSH: MSH-3 → application, MSH-9 → event, MSH-22 → responsible, MSH-26 → security.

    MSH-4 is the event's organization, MSH-7 its time, MSH-10 its number.
    """
    fact: Json = {"event": _remembered_event(msh, 9, reading)}
    application = valued(msh, 3)
    if application:
        fact["application"] = application
    responsible = reading.only(msh, 22, xon_to_organization)
    if responsible:
        fact["responsible"] = responsible
    security = classification(msh, 26)
    return fact | ({"security": security} if security else {})
