"""Contacts with the member, and attempts to reach them."""

from collections.abc import Iterator, Mapping

from fhirgw.icm.contacts import Attempt, Contact
from fhirgw.mappers.icm.people import beside_ref, practitioner, staff_ref
from fhirgw.mappers.icm.shape import (
    CANONICAL,
    Json,
    Scope,
    coding,
    compact,
    concept,
    extension,
    instant,
    labelled,
    local,
    reference_to,
)
from fhirgw.terminology import ACT_CODE

# ICM facts §1.8: a visit by ICM staff in a hospital is not the hospital's own encounter, so never IMP or EMER.
_CLASS: Mapping[str, tuple[str, str]] = {
    "home": ("HH", "home health"),
    "public-place": ("FLD", "field"),
    "shelter": ("FLD", "field"),
    "transitional-housing": ("FLD", "field"),
    "community": ("FLD", "field"),
    "office": ("AMB", "ambulatory"),
    "respite": ("AMB", "ambulatory"),
    "hospital": ("AMB", "ambulatory"),
    "observation-unit": ("AMB", "ambulatory"),
    "emergency": ("AMB", "ambulatory"),
    "skilled-nursing": ("AMB", "ambulatory"),
    "corrections": ("FLD", "field"),
}
_VIRTUAL = ("VR", "virtual")


def contacts(scope: Scope) -> Iterator[Json]:
    """An Encounter for every contact, a Communication for every attempt."""
    for contact in scope.case.contacts:
        yield from (practitioner(scope, one) for one in contact.providers)
        yield _contact(scope, contact)
    yield from (_attempt(scope, attempt) for attempt in scope.case.attempts)


def _contact(scope: Scope, contact: Contact) -> Json:
    virtual = contact.mode != "face-to-face" or contact.setting is None
    code, display = _VIRTUAL if virtual else _CLASS[str(contact.setting)]
    group = contact.group
    size = [extension("icm-group-participants", valuePositiveInt=group.participants)] if group else []
    session = [{"system": f"{CANONICAL}/sid/icm-group-session", "value": group.session}] if group else []
    return labelled(
        compact(
            {
                "resourceType": "Encounter",
                "id": scope.id("Encounter", contact.id),
                "extension": size,
                "identifier": session,
                "status": "finished",
                "class": coding(ACT_CODE, code, display),
                "type": _types(contact),
                "subject": scope.patient,
                "episodeOfCare": [scope.ref("EpisodeOfCare")],
                "participant": [{"individual": one} for one in _took_part(scope, contact)],
                "period": {"start": instant(contact.at)},
                "length": _minutes(contact.minutes),
                "reasonCode": _reasons(contact),
                "serviceProvider": scope.manager,
            }
        ),
        *([contact] if contact.barrier or contact.codes else []),
    )


def _types(contact: Contact) -> list[Json]:
    kind = "group" if contact.group else "individual" if contact.member_there else "collateral"
    kinds = [local("icm-contact-mode", contact.mode)]
    kinds += [local("icm-contact-setting", contact.setting)] if contact.setting else []
    return [concept(one) for one in (*kinds, local("icm-contact-type", kind))]


def _took_part(scope: Scope, contact: Contact) -> Iterator[Json]:
    yield from (staff_ref(scope, one) for one in contact.by)
    yield from (beside_ref(scope, one) for one in contact.beside)
    yield from (reference_to(practitioner(scope, one)) for one in contact.providers)


def _reasons(contact: Contact) -> list[Json]:
    """What it was for; of a telephone call, what kept them from meeting."""
    purposes = [concept(local("icm-contact-purpose", purpose)) for purpose in contact.purposes]
    return [*purposes, *([{"text": contact.barrier}] if contact.barrier else [])]


def _minutes(minutes: int | None) -> Json | None:
    if minutes is None:
        return None
    return {"value": minutes, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"}


def _attempt(scope: Scope, attempt: Attempt) -> Json:
    return labelled(
        compact(
            {
                "resourceType": "Communication",
                "id": scope.id("Communication", "attempt", attempt.id),
                "status": "completed",
                "category": [concept(local("icm-attempt", attempt.how))],
                "subject": scope.patient,
                "sent": instant(attempt.on),
                "received": instant(attempt.reached_on) if attempt.reached_on else None,
                "recipient": [scope.patient],
                "sender": staff_ref(scope, attempt.by) if attempt.by else scope.manager,
                "payload": [{"contentString": attempt.text}] if attempt.text else [],
            }
        ),
        *([attempt] if attempt.text or attempt.codes else []),
    )
