"""Referral, enrolment and contacts."""

from collections.abc import Iterator, Mapping
from datetime import date

from fhirgw.icm.model import Case, Referral
from fhirgw.icm.plan import Contact
from fhirgw.mappers.icm.people import named_person, staff_ref
from fhirgw.mappers.icm.shape import (
    Json,
    Scope,
    coding,
    compact,
    concept,
    extension,
    instant,
    labelled,
    local,
    organization,
    reference_to,
)
from fhirgw.terminology import ACT_CODE

_EPISODE_STATUS = {"candidate": "planned", "active": "active", "finished": "finished", "opted-out": "finished"}

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
    "emergency": ("AMB", "ambulatory"),
    "skilled-nursing": ("AMB", "ambulatory"),
    "corrections": ("FLD", "field"),
}
_PAST: Mapping[str, tuple[str, str]] = {
    "inpatient": ("IMP", "inpatient encounter"),
    "inpatient-psychiatric": ("IMP", "inpatient encounter"),
    "crisis-residential": ("NONAC", "inpatient non-acute"),
    "state-hospital": ("IMP", "inpatient encounter"),
    "emergency": ("EMER", "emergency"),
    "walk-in-crisis": ("AMB", "ambulatory"),
    "mobile-crisis": ("FLD", "field"),
}
_VIRTUAL = ("VR", "virtual")


def program_concept(scope: Scope) -> Json:
    """The programme as a code."""
    return concept(local("icm-program", scope.program.id, scope.program.name))


def episode(scope: Scope) -> Iterator[Json]:
    """EpisodeOfCare: the relation to the programme."""
    case = scope.case
    lead = next((one.id for one in case.care_team if one.lead), None)
    period = {"start": case.admitted_on, "end": _ended_on(case)}
    yield compact(
        {
            "resourceType": "EpisodeOfCare",
            "id": scope.id("EpisodeOfCare"),
            "extension": list(_closure(scope)),
            "identifier": [{"system": "http://fhirgw.org/fhir/sid/icm-case", "value": case.key}],
            "status": _EPISODE_STATUS[case.status],
            "type": [program_concept(scope)],
            "patient": scope.patient,
            "managingOrganization": scope.manager,
            "period": {name: instant(day) for name, day in period.items() if day},
            "referralRequest": [scope.ref("ServiceRequest", "referral", case.referral.id)] if case.referral else [],
            "careManager": staff_ref(scope, lead) if lead else None,
            "team": [scope.ref("CareTeam")] if case.care_team else [],
        }
    )


def _ended_on(case: Case) -> date | None:
    if case.closure:
        return case.closure.on
    return case.opt_in.withdrawn_at if case.opt_in else None


def _closure(scope: Scope) -> Iterator[Json]:
    """Why the case was closed, and who agreed: R4 has no element for either."""
    if closure := scope.case.closure:
        reason = next(one for one in scope.program.discharge if one.code == closure.reason)
        code = local("icm-closure-reason", f"{scope.program.id}.{reason.code}", reason.text)
        yield extension("icm-closure-reason", valueCoding=code)
        for party in closure.agreed_by:
            yield extension("icm-closure-agreed-by", valueCode=party)


def referral(scope: Scope) -> Iterator[Json]:
    """ServiceRequest of the referral; its source is a category, for the requester may not be on record."""
    case = scope.case
    if (stated := case.referral) is None:
        return
    if stated.organization:
        yield organization(scope.key, stated.organization)
    who = named_person(scope, stated.person) if stated.person else None
    if who:
        yield who
    requester = (
        reference_to(who)
        if who
        else reference_to(organization(scope.key, stated.organization))
        if stated.organization
        else scope.patient
        if stated.source == "self"
        else None
    )
    yield labelled(
        compact(
            {
                "resourceType": "ServiceRequest",
                "id": scope.id("ServiceRequest", "referral", stated.id),
                "extension": _referring(scope, stated) if who else [],
                "status": "active" if case.status == "candidate" else "completed",
                "intent": "order",
                "category": [concept(local("icm-referral-source", stated.source))],
                "code": program_concept(scope),
                "subject": scope.patient,
                "authoredOn": instant(stated.received_at),
                "requester": requester,
                "performer": [scope.manager],
                "reasonCode": [{"text": stated.reason}] if stated.reason else [],
            }
        ),
        *([stated] if stated.reason else []),
    )


def _referring(scope: Scope, stated: Referral) -> list[Json]:
    """The organization that somebody referred for: ``requester`` names one only."""
    if stated.organization is None:
        return []
    behind = organization(scope.key, stated.organization)
    return [extension("icm-referring-organization", valueReference=reference_to(behind))]


def history(scope: Scope) -> Iterator[Json]:
    """An Encounter for every visit that came with the referral; what kind of place it was says it is sensitive."""
    for visit in scope.case.history:
        code, display = _PAST[visit.kind]
        general = visit.kind in ("inpatient", "emergency")
        yield labelled(
            compact(
                {
                    "resourceType": "Encounter",
                    "id": scope.id("Encounter", "history", visit.id),
                    "status": "finished" if visit.ends_on else "unknown",
                    "class": coding(ACT_CODE, code, display),
                    "type": [concept(local("icm-past-visit", visit.kind))],
                    "serviceType": concept(local("icm-past-visit", visit.kind)),
                    "subject": scope.patient,
                    "period": compact(
                        {
                            "start": instant(visit.starts_on),
                            "end": instant(visit.ends_on) if visit.ends_on else None,
                        }
                    ),
                }
            ),
            *([visit] if visit.codes else []),
            codes=() if general else ("MH",),
        )


def contacts(scope: Scope) -> Iterator[Json]:
    """An Encounter for every contact."""
    for contact in scope.case.contacts:
        yield _contact(scope, contact)


def _contact(scope: Scope, contact: Contact) -> Json:
    virtual = contact.mode != "face-to-face" or contact.setting is None
    code, display = _VIRTUAL if virtual else _CLASS[str(contact.setting)]
    kinds = [local("icm-contact-mode", contact.mode)]
    kinds += [local("icm-contact-setting", contact.setting)] if contact.setting else []
    kinds += [local("icm-contact-type", "group" if contact.group else "individual")]
    return labelled(
        compact(
            {
                "resourceType": "Encounter",
                "id": scope.id("Encounter", contact.id),
                "status": "finished",
                "class": coding(ACT_CODE, code, display),
                "type": [concept(kind) for kind in kinds],
                "subject": scope.patient,
                "episodeOfCare": [scope.ref("EpisodeOfCare")],
                "participant": [{"individual": staff_ref(scope, one)} for one in contact.by],
                "period": {"start": instant(contact.at)},
                "length": {
                    "value": contact.minutes,
                    "unit": "min",
                    "system": "http://unitsofmeasure.org",
                    "code": "min",
                }
                if contact.minutes is not None
                else None,
                "reasonCode": [{"text": contact.barrier}] if contact.barrier else [],
                "serviceProvider": scope.manager,
            }
        ),
        *([contact] if contact.barrier or contact.codes else []),
    )
