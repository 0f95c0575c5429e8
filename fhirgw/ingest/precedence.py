"""What a case's or a message's picture of a thing cannot undo."""

from fhirgw.consent.model import Json
from fhirgw.mappers.datatypes import utc
from fhirgw.profiles.validation import require_valid
from fhirgw.store import repository
from fhirgw.store.database import Transaction
from fhirgw.terminology import BASE

CONSENT_ENDED = f"{BASE}/StructureDefinition/icm-consent-ended"


def put(tx: Transaction, resource: Json, *, source: int | None = None) -> repository.Stored:
    """Validate and store, unless what is there outranks it; what is there already was valid.

    Args:
        tx: The unit of work.
        resource: What the case or the message makes of it.
        source: Label bits of its source; None keeps those it has.
    """

    def admit(kept: repository.Stored | None) -> bool:
        require_valid(resource)
        return kept is None or not _stays(kept, resource)

    return repository.put(tx, resource, source_labels=source, admit=admit)


def _stays(kept: repository.Stored, newer: Json) -> bool:
    """Whether what is stored outranks a case's or message's picture of it.

    A registered Organization is the operator's word. A permission that has ended does not come back to life,
    unless it was given anew since: an older case, imported again, undoes no revocation. A refusal stands until a
    statement that is not older takes it back.
    """
    if kept.type != "Consent":
        return kept.type == "Organization" and kept.standing == "registry"
    if kept.body.get("status") == "entered-in-error":
        return True
    given = utc(newer["dateTime"])
    if newer.get("provision", {}).get("type") == "deny":
        return given < utc(kept.body.get("dateTime") or newer["dateTime"])
    return kept.body.get("status") == "inactive" and newer["status"] == "active" and given <= _ended(kept.body)


def _ended(consent: Json) -> str:
    """When a Consent ended: as stated, else when the store learned of it."""
    stated = (one["valueDateTime"] for one in consent.get("extension", ()) if one["url"] == CONSENT_ENDED)
    return utc(next(stated, consent["meta"]["lastUpdated"]), latest=True)


def withdraws(kept: repository.Stored) -> bool:
    """Whether it is the opt-in to a programme, and has ended."""
    return (
        kept.type == "Consent"
        and kept.body.get("status") == "inactive"
        and any(
            one.get("code") == "opt-in" for concept in kept.body["category"] for one in concept.get("coding", ())
        )
    )
