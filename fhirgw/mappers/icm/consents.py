"""What the member agreed to and refused, as Consent resources of the IHE PCF shape.

PCF forbids ``provision.action``, ``class``, ``code``, ``verification`` and a third level, and fixes the
actor's role to IRCP (IHE/ITI.PCF ``input/fsh/consent.fsh``): which data is said with ``securityLabel``.
"""

from collections.abc import Iterator
from datetime import datetime

from fhirgw.icm.base import Organization, Person
from fhirgw.icm.release import Form, OptIn, Refusal, Release, Representative, SafetyEntry, Signature
from fhirgw.mappers.icm.people import beside_ref, named_person
from fhirgw.mappers.icm.shape import (
    ACT_REASON,
    CANONICAL,
    US_CORE_CODES,
    Json,
    Scope,
    coded,
    coding,
    compact,
    concept,
    extension,
    human_name,
    identifier,
    instant,
    labelled,
    local,
    never_shared,
    organization,
    reference_to,
)
from fhirgw.terminology import ACT_CODE, CONFIDENTIALITY, LOINC, PARTICIPATION, ROLE_CODE, THO

_POLICY_RULE = {
    "hipaa": concept(coding(f"{THO}consentpolicycodes", "hipaa-auth")),
    "part2": concept(coding(ACT_CODE, "42CFRPart2")),
    "fippa": None,  # no published code; the form's policy.uri stands for it
}
_RELEASE_STATUS = {
    "draft": "draft",
    "active": "active",
    "revoked": "inactive",
    "entered-in-error": "entered-in-error",
}
_FORM_TYPE = concept(coding(LOINC, "64292-6", "Release of information consent Document"))


def consents(scope: Scope) -> Iterator[Json]:
    """Every Consent of the case, each after the resources it refers to."""
    case = scope.case
    if case.opt_in:
        yield from _opt_in(scope, case.opt_in)
    for release in case.releases:
        yield from _release(scope, release)
    for refusal in case.refusals:
        yield from _root_deny(scope, refusal, "named-person-refusal")
    for entry in case.safety_list:
        yield from _root_deny(scope, entry, "dv-safety-list")


def _opt_in(scope: Scope, opt_in: OptIn) -> Iterator[Json]:
    """The opt-in: scope treatment, never itself a permission to disclose."""
    form = _form(scope, opt_in.form, opt_in.agreed_at, "opt-in") if opt_in.form else None
    if form:
        yield form
    yield compact(
        {
            "resourceType": "Consent",
            "id": scope.id("Consent", "opt-in"),
            "extension": [
                extension("icm-consent-mode", valueCode=opt_in.mode),
                *_ended(opt_in.withdrawn_at),
            ],
            "status": "inactive" if opt_in.withdrawn_at else "active",
            "scope": _scope_of("treatment"),
            "category": [_category("opt-in")],
            "patient": scope.patient,
            "dateTime": instant(opt_in.agreed_at),
            "performer": [beside_ref(scope, opt_in.agreed_by) if opt_in.agreed_by else scope.patient],
            "organization": [scope.manager],
            "sourceReference": reference_to(form) if form else None,
            "policy": [{"uri": _policy_uri(opt_in.form)}] if opt_in.form else [],
            "policyRule": concept(coding(ACT_CODE, "OPTIN")),
        }
    )


def _release(scope: Scope, release: Release) -> Iterator[Json]:
    """One ROI: root permit for the recipient, nested denies for what the member keeps back."""
    form = _form(scope, release.form, release.signed_at, release.id, release.description)
    signer = _representative(scope, release.representative) if release.representative else None
    recipient, actor = _recipient(scope, release.recipient)
    yield form
    yield recipient
    if signer:
        yield signer
    if release.intermediary:
        yield organization(scope.key, release.intermediary)
    excluded = [one.person for one in release.exclusions if one.person]
    yield from (named_person(scope, person) for person in excluded)
    consent = compact(
        {
            "resourceType": "Consent",
            "id": scope.id("Consent", "roi", release.id),
            "extension": [*_expiry(release), *_ended(release.revoked_at), *_stated(scope, release)],
            "status": _RELEASE_STATUS[release.status],
            "scope": _scope_of("patient-privacy"),
            "category": [
                concept(coding(LOINC, "64292-6"), coding(LOINC, "59284-0")),
                concept(coding(ACT_CODE, "IDSCL")),
                _category("roi"),
            ],
            "patient": scope.patient,
            "dateTime": instant(release.signed_at),
            "performer": [reference_to(signer) if signer else scope.patient],
            "organization": [scope.manager],
            "sourceReference": reference_to(form),
            "policy": [{"uri": _policy_uri(release.form)}],
            "policyRule": _POLICY_RULE[release.law],
            "provision": _provision(scope, release, actor),
        }
    )
    yield consent
    if release.signature:
        yield from _signed(scope, release, release.signature, consent)


def _stated(scope: Scope, release: Release) -> Iterator[Json]:
    """What the law asks for and R4 has no element for: 45 CFR 164.508(c)(1), 42 CFR 2.31(a)."""
    if release.revoked_in:
        yield extension("icm-revoked-in", valueCode=release.revoked_in)
    if release.discloser:
        yield extension("icm-disclosing-party", valueString=release.discloser)
    if release.intermediary:
        through = organization(scope.key, release.intermediary)
        yield extension("icm-intermediary", valueReference=reference_to(through))
    if release.representative and release.representative.description:
        yield extension("icm-representative-authority", valueString=release.representative.description)


def _signed(scope: Scope, release: Release, signature: Signature, consent: Json) -> Iterator[Json]:
    """Provenance with the signature; ASTM E1762 has its type and the witness's."""
    witness = named_person(scope, signature.witness) if signature.witness else None
    if witness:
        yield witness
    signers = [("1.2.840.10065.1.12.1.7", "Consent Signature", consent["performer"][0])]
    signers += [("1.2.840.10065.1.12.1.5", "Verification Signature", reference_to(witness))] if witness else []
    yield never_shared(
        {
            "resourceType": "Provenance",
            "id": scope.id("Provenance", "signature", release.id),
            "extension": [extension("icm-signature-kind", valueCode=signature.kind)],
            "target": [reference_to(consent)],
            "recorded": instant(release.signed_at),
            "agent": [{"who": who} for _, _, who in signers],
            "signature": [
                {
                    "type": [coding("urn:iso-astm:E1762-95:2013", code, display)],
                    "when": instant(release.signed_at),
                    "who": who,
                }
                for code, display, who in signers
            ],
        }
    )


def _provision(scope: Scope, release: Release, actor: Json) -> Json:
    period = {"start": release.starts_on, "end": release.ends_on}
    return compact(
        {
            "type": "permit",
            "period": {name: instant(day) for name, day in period.items() if day},
            "actor": [actor],
            "securityLabel": [
                coding(CONFIDENTIALITY, release.confidentiality),
                *(coding(ACT_CODE, code) for code in release.categories),
            ],
            "purpose": [coding(ACT_REASON, purpose) for purpose in release.purposes],
            "provision": [
                {"type": "deny", "actor": [_actor(named_person(scope, one.person))]}
                if one.person
                else {"type": "deny", "securityLabel": [coding(ACT_CODE, str(one.category))]}
                for one in release.exclusions
            ],
        }
    )


def _root_deny(scope: Scope, entry: Refusal | SafetyEntry, category: str) -> Iterator[Json]:
    """A refusal or an entry of the safety list: a deny that needs no form (consent specification §2.4)."""
    codes = ("SDV",) if category == "dv-safety-list" else ()
    person = named_person(scope, entry.person, codes=codes)
    yield person
    yield labelled(
        compact(
            {
                "resourceType": "Consent",
                "id": scope.id("Consent", category, entry.id),
                "extension": [*_ended(entry.withdrawn_at), *_impacts(entry)],
                "status": "inactive" if entry.withdrawn_at else "active",
                "scope": _scope_of("patient-privacy"),
                "category": [_category(category)],
                "patient": scope.patient,
                "dateTime": instant(entry.stated_at),
                "performer": [scope.patient],
                "organization": [scope.manager],
                "policy": [{"uri": f"{CANONICAL}/policy/{category}"}],
                "provision": {"type": "deny", "actor": [_actor(person)]},
            }
        ),
        codes=codes,
    )


def _impacts(entry: Refusal | SafetyEntry) -> Iterator[Json]:
    """BC 1.6: "impacts of those rights are clearly explained to clients"."""
    if isinstance(entry, Refusal) and entry.impacts_explained_at:
        yield extension("icm-impacts-explained", valueDateTime=instant(entry.impacts_explained_at))


def _recipient(scope: Scope, recipient: Organization | Person) -> tuple[Json, Json]:
    resource = (
        organization(scope.key, recipient)
        if isinstance(recipient, Organization)
        else named_person(scope, recipient)
    )
    return resource, _actor(resource)


def _actor(resource: Json) -> Json:
    """The information recipient, by reference and by identifier: either is enough to be known by."""
    known_by = resource.get("identifier", [])
    return {
        "role": concept(coding(PARTICIPATION, "IRCP", "information recipient")),
        "reference": reference_to(resource) | ({"identifier": known_by[0]} if known_by else {}),
    }


def _representative(scope: Scope, signer: Representative) -> Json:
    """RelatedPerson who signed, with the authority as the relationship."""
    person = signer.person
    return compact(
        {
            "resourceType": "RelatedPerson",
            "id": scope.id("RelatedPerson", "representative", person.id),
            "identifier": [identifier(person.identifier)] if person.identifier else [],
            "active": True,
            "patient": scope.patient,
            "relationship": [
                concept(coding(ROLE_CODE, signer.authority)),
                *([concept(coded(person.relationship))] if person.relationship else []),
            ],
            "name": [human_name(person.name)],
        }
    )


def _form(scope: Scope, form: Form, signed_at: datetime, owner: str, description: str | None = None) -> Json:
    """DocumentReference of the signed form; never shared, for it says whom the member released what to."""
    resource = compact(
        {
            "resourceType": "DocumentReference",
            "id": scope.id("DocumentReference", owner),
            "extension": [
                *(extension("icm-form-statement", valueCode=statement) for statement in form.statements),
                *(
                    [extension("icm-copy-given", valueDate=instant(form.copy_given_on))]
                    if form.copy_given_on
                    else []
                ),
            ],
            "status": "current",
            "type": _FORM_TYPE,
            "category": [concept(coding(f"{US_CORE_CODES}us-core-documentreference-category", "clinical-note"))],
            "subject": scope.patient,
            "date": instant(signed_at),
            "description": description,
            "content": [
                {
                    "attachment": compact(
                        {
                            "contentType": form.content_type,
                            "url": form.url or form.uri,
                            "title": form.title,
                            "creation": instant(signed_at),
                        }
                    )
                }
            ],
        }
    )
    return never_shared(resource)


def _policy_uri(form: Form) -> str:
    """Names the form version, whose statements (42 CFR 2.31, 45 CFR 164.508(c)(2)) the settings register."""
    return f"{form.uri}|{form.version}" if form.version else form.uri


def _ended(at: datetime | None) -> Iterator[Json]:
    if at:
        yield extension("icm-consent-ended", valueDateTime=instant(at))


def _expiry(release: Release) -> Iterator[Json]:
    """The expiration event of 42 CFR 2.31(a): R4 has dates only."""
    if release.expiry_event:
        yield extension("icm-consent-expiry-event", valueString=release.expiry_event)


def _scope_of(code: str) -> Json:
    return concept(coding(f"{THO}consentscope", code))


def _category(code: str) -> Json:
    return concept(local("icm-consent-category", code))
