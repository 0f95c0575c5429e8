"""When somebody has died: nobody is called any more, and a person closes the case.

Known openly (Patient.deceased, or an unhidden visit that ended in death): open work is cancelled, care plans are
revoked ("terminated prior to completion", R4 request-status), and each programme gets a Task to review the closure.
Known from a hidden visit alone: that Task alone, as hidden as the visit, because anything else that changed would
tell of it. What was taken back (A13, PID-30 ``N``) is as it was before.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fhirgw.consent.vocabulary import BITS
from fhirgw.programs import Program
from fhirgw.referral.criteria import Visit
from fhirgw.referral.history import Both, Person, is_open
from fhirgw.referral.raising import concept
from fhirgw.store import repository
from fhirgw.store.database import Transaction
from fhirgw.terminology import BASE

Json = dict[str, Any]

REASON = "The person has died"
UNDONE = "The visit was cancelled or corrected"
CODE = "closure-review"
BEFORE = f"{BASE}/StructureDefinition/icm-status-before"
"""Extension: the status that a death ended, so that an error can be taken back."""
_ENDED: Mapping[str, tuple[frozenset[str], str]] = {
    "Task": (
        frozenset({"draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold"}),
        "cancelled",
    ),
    "ServiceRequest": (frozenset({"draft", "active", "on-hold"}), "revoked"),
    "CarePlan": (frozenset({"draft", "active", "on-hold"}), "revoked"),
}
"""Open statuses, and the one that follows on them. See: R4 task-status, request-status."""


class Put(Protocol):
    """Validates and stores (``ingest.precedence.put``)."""

    def __call__(self, tx: Transaction, resource: Json, *, source: int | None = None) -> object:
        """Store it in the unit of work."""


def is_known(person: Person, about: Both | None, enrolled: Sequence[str]) -> bool:
    """Whether everybody who may see the person may know of it.

    Args:
        person: Who may have died.
        about: The visit that something was said of.
        enrolled: Programmes of the person; where one has a closure to review, all visits are asked.
    """
    deceased = person.picture.get("deceasedBoolean") or "deceasedDateTime" in person.picture
    if deceased or (about and _openly(about)):
        return True
    return any(person.task(CODE, program) for program in enrolled) and any(map(_openly, person.visits))


def settle(
    tx: Transaction, person: Person, about: Both | None, programs: Sequence[Program], put: Put, *, dead: bool
) -> None:
    """Close what a death closes, or open it again.

    Args:
        tx: The unit of work.
        person: Who died, or did not.
        about: The visit that something was said of.
        programs: Those the person is, or may come to be, in.
        put: How a resource comes into the store.
        dead: What ``is_known`` said.
    """
    hidden = about if about and about.now.died and not _openly(about) else None
    marked = [one for one in programs if person.task(CODE, one.id)]
    for program in programs:
        if dead:
            _review(tx, person, put, program, None)
        if hidden:
            _review(tx, person, put, program, hidden.now)
        elif about and (kept := person.task(CODE, program.id, about.now.id)) and kept["status"] == "requested":
            put(tx, withdrawn(kept, "cancelled", UNDONE))
    if dead:
        _close(tx, person, put)
    elif marked:
        _reopen(tx, person, put)


def _review(tx: Transaction, person: Person, put: Put, program: Program, visit: Visit | None) -> None:
    """The Task to close the case; what is told by a hidden visit is as hidden, for the visit is its focus."""
    focus = f"Encounter/{visit.id}" if visit else f"Patient/{person.patient}"
    kept = person.task(CODE, program.id, *([visit.id] if visit else []))
    if kept is not None:
        if kept["status"] == "cancelled":
            put(tx, standing(kept, "requested"))
        return
    run_by = program.organization
    put(
        tx,
        {
            "resourceType": "Task",
            "id": person.task_id(CODE, program.id, *([visit.id] if visit else [])),
            "instantiatesCanonical": f"{BASE}/PlanDefinition/{program.id}",
            "status": "requested",
            "intent": "order",
            "code": concept("icm-task", CODE, "Review of the closure of the case"),
            "focus": {"reference": focus},
            "for": {"reference": f"Patient/{person.patient}"},
            "owner": {"reference": person.organization(run_by.system, run_by.value)},
        },
        source=BITS["SUD"] if program.part2 else 0,
    )


def _close(tx: Transaction, person: Person, put: Put) -> None:
    for kind, (statuses, ended) in _ENDED.items():
        for kept in repository.of_patient(tx.connection, person.patient, kind):
            if kept.body["status"] in statuses and not _is_review(kept.body):
                put(tx, withdrawn(kept.body, ended, REASON))


def _reopen(tx: Transaction, person: Person, put: Put) -> None:
    for kind in _ENDED:
        for kept in repository.of_patient(tx.connection, person.patient, kind):
            before = [one["valueCode"] for one in kept.body.get("extension", ()) if one["url"] == BEFORE]
            if before:
                put(tx, standing(kept.body, before[0]))
            elif _is_open_review(kept.body) and kept.body["focus"]["reference"].startswith("Patient/"):
                put(tx, withdrawn(kept.body, "cancelled", UNDONE))


def withdrawn(resource: Json, status: str, why: str) -> Json:
    """A resource that is ended by what the gateway learned, with the reason where the type has a place for one."""
    plain = standing(resource, status)
    if why == REASON:
        before = {"url": BEFORE, "valueCode": resource["status"]}
        plain["extension"] = [*plain.pop("extension", ()), before]
    if plain["resourceType"] == "Task":
        plain["statusReason"] = concept("icm-undone", why.lower().replace(" ", "-"), why)
    return plain


def standing(resource: Json, status: str) -> Json:
    """The resource as if nothing had ended it."""
    plain = {name: value for name, value in resource.items() if name not in ("statusReason", "extension")}
    kept = [one for one in resource.get("extension", ()) if one["url"] != BEFORE]
    return plain | {"status": status} | ({"extension": kept} if kept else {})


def _is_open_review(body: Json) -> bool:
    return _is_review(body) and body["status"] == "requested"


def _is_review(body: Json) -> bool:
    return any(one.get("code") == CODE for one in body.get("code", {}).get("coding", ()))


def _openly(visit: Both) -> bool:
    return visit.now.died and is_open(visit.now.level)
