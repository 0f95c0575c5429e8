"""Visits that call for work, and the work that was raised."""

from datetime import date, timedelta

from composed_gateway import FENN

from fhirgw.consent.vocabulary import HIGH
from fhirgw.store import policy, repository

PSYCHIATRIC = {"service": "PSY"}
PROFILE = "http://fhirgw.org/fhir/StructureDefinition/"


def adt(
    trigger,
    visit,
    at,
    *,
    told=None,
    ended=None,
    cls="I",
    service="",
    dx=(),
    left="",
    pv2="",
    pid30="",
    born="19951212",
):
    """A message about FENN; times without offset are those of New York."""
    told = told or ended or at
    number = f"{visit}-{trigger}-{told}"
    pv1 = [""] * 46
    pv1[1], pv1[2], pv1[3], pv1[10], pv1[19] = "1", cls, "4W^401^B^ELMHOSP", service, f"{visit}^^^ELMHOSP^VN"
    pv1[36], pv1[44], pv1[45] = left, at, ended or ""
    pid = f"PID|1||MRN-1006^^^ELMHOSP^MR~CT-TEST-0006^^^CTMEDICAID^MA||PLACEHOLDER^FENN||{born}|M"
    lines = [
        f"MSH|^~\\&|ADTSYS|ELMHOSP|FHIRGW|ICM|{told}||ADT^{trigger}|{number}|P|2.5.1",
        f"EVN|{trigger}|{told}",
        pid + ("|" * 22 + pid30 if pid30 else ""),
        "PV1|" + "|".join(pv1[1:]),
        *([pv2] if pv2 else []),
        *(f"DG1|{rank}||{code}^^I10C|||A" for rank, code in enumerate(dx, 1)),
    ]
    return "\r".join(lines).encode() + b"\r"


def day(start, days=0):
    return (date.fromisoformat(start) + timedelta(days=days)).strftime("%Y%m%d1000")


def stay(visit, start, nights, **how):
    """An admission and its discharge."""
    first, last = day(start), day(start, nights)
    return [adt("A01", visit, first, **how), adt("A03", visit, first, ended=last, **how)]


def enrol(whole, program, status):
    patient = whole.patient(FENN)

    def unit(tx):
        policy.enrol(tx, patient, "ct-bhp", "finished")
        policy.enrol(tx, patient, program, status)

    whole.gateway.database.write_sync(unit)


def raised(whole, kind="Task"):
    """What triggers raised for FENN: by rule and code, the body."""
    patient = f"Patient/{whole.patient(FENN)}"
    found = [one for one in whole.bodies(kind) if {"reference": patient} in (one.get("for"), one.get("subject"))]
    rules = {}
    for one in found:
        rule = (one.get("groupIdentifier") or one.get("requisition") or {}).get("value", "")
        code = one["code"]["coding"][0]["code"]
        if rule or code in ("closure-review", "visit-undone"):
            rules.setdefault((rule.partition(".")[2], code), []).append(one)
    return rules


def names(whole, status="requested"):
    return {key for key, tasks in raised(whole).items() if any(one["status"] == status for one in tasks)}


def due(whole, rule, code):
    [task] = raised(whole)[rule, code]
    return task["restriction"]["period"]["end"]


PROTECTED = "PV2" + 22 * "|" + "Y"


def outside(whole):
    """Bytes of what carries no label: what may be seen by whoever may see the person."""
    with whole.gateway.database.read() as connection:
        found = {}
        for key, (body, _) in whole.everything().items():
            stored = repository.current(connection, *key)
            if (
                not stored.labels.labels
                and stored.labels.conf < HIGH
                and key[0] in ("Task", "ServiceRequest", "CarePlan")
            ):
                found[key] = body
        return found


def cancel(trigger, visit, start, told):
    return adt(trigger, visit, day(start), told=told)
