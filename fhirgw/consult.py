"""A consent decision, asked for by another system: ``$consent-decision`` and the CDS Hooks service.

The programme's own system may ask about any organization, and is told why. Who asks from outside asks about
itself, for the purpose of its token, and is told whether something is permitted and nothing else: what a read
would show, or whether a type without any label would be shown. A member it may see nothing of is as one that is not
there.
See: the consent specification, §2.8 and leak 38; sdhealthconnect/leap-cds, patient-consent-consult.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from sqlalchemy import Connection

from fhirgw.answer import Answer, show
from fhirgw.consent import vocabulary
from fhirgw.consent.compile import compile_visibility
from fhirgw.consent.decide import Case
from fhirgw.consent.labels import Labels
from fhirgw.consent.model import ConsentSettings, Decision, Json, Request
from fhirgw.consent.predicate import Facts, Visibility, holds
from fhirgw.consent.vocabulary import NORMAL
from fhirgw.errors import Forbidden, InvalidElement
from fhirgw.store import clients, identity, parties, policy, repository, search

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
UNPERMITTED = ("no-permit", "patient-unknown", "not-enrolled")
"""Reasons that are no refusal: nobody permitted it."""


@dataclass(frozen=True, slots=True)
class Consult:
    """The question.

    Attributes:
        patient: ``Patient/x``, or ``system|value``.
        actor: ``system|value`` of the recipient; '': who asks.
        purpose: v3-ActReason code; '': that of the token.
        action: ``access`` or ``disclose``.
        kinds: Resource types: all of them must be permitted. Empty: the Patient.
        labels: Sensitivity and confidentiality codes that what is asked about carries.
        resource: ``Type/id`` of something that is here; None: nothing in particular.
        cards: Whether the answer is that of a CDS Hooks service, and not Parameters.
    """

    patient: str
    actor: str = ""
    purpose: str = ""
    action: str = "disclose"
    kinds: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    resource: str | None = None
    cards: bool = False


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: as the token says, and what it may see itself."""

    request: Request
    visibility: Visibility
    settings: ConsentSettings


def consult(connection: Connection, asker: Asker, ask: Consult, base: str) -> Answer:
    """The answer, and whom it is about.

    Raises:
        Forbidden: From outside: a question about somebody else, another purpose, or labels.
        InvalidElement: No such organization, purpose, type or label.
    """
    if not asker.visibility.inside:
        patient = _visible_patient(connection, asker, ask)
        decision = Decision("PERMIT" if patient else "DENY", 0, "")
    else:
        patient = _patient(connection, ask.patient)
        decision = _decided(connection, asker, ask, patient)
    told = asker.visibility.inside
    body = _cards(decision, base, told=told) if ask.cards else _parameters(decision, told=told)
    media_type = "application/json" if ask.cards else "application/fhir+json"
    return Answer(body, [], "operation", media_type, about=patient or "")


# --- from outside ------------------------------------------------------------------------------------------------


def _visible_patient(connection: Connection, asker: Asker, ask: Consult) -> str | None:
    """The member, if what is asked about would be shown; None where it would not, for whatever reason."""
    tokens, request = asker.request.recipient.tokens, asker.request
    if ask.actor and ask.actor not in tokens:
        raise Forbidden("A client asks about itself.")
    if ask.labels or ask.purpose not in ("", request.purpose) or ask.action not in ("access", "disclose"):
        raise Forbidden("A client asks about what it may ask for: the purpose of its token, and no labels.")
    patient = _shown_patient(connection, asker.visibility, ask.patient)
    if patient is None:
        return None
    if ask.resource is not None:
        return patient if _is_shown(connection, asker.visibility, ask.resource, patient) else None
    predicate = asker.visibility.predicate_for(patient)
    plain = [Facts(kind, 0, NORMAL) for kind in ask.kinds or ("Patient",)]
    return patient if all(holds(predicate, one) for one in plain) else None


def _shown_patient(connection: Connection, visibility: Visibility, named: str) -> str | None:
    """Of whom something may be seen. An identifier is looked for in what may be seen of the Patient."""
    if named.startswith("Patient/"):
        return named.removeprefix("Patient/")
    query = search.parse("Patient", [("identifier", named), ("_count", "2")], strict=True)
    found = search.run(connection, query, visibility, after=None).matches
    return found[0].id if len(found) == 1 else None


def _is_shown(connection: Connection, visibility: Visibility, reference: str, patient: str) -> bool:
    kind, _, logical = reference.partition("/")
    stored = repository.read(connection, kind, logical, visibility)
    if stored is None or stored.deleted or stored.patient != patient:
        return False
    return show(stored, visibility) is not None


# --- inside the programme ----------------------------------------------------------------------------------------


def _patient(connection: Connection, named: str) -> str | None:
    if named.startswith("Patient/"):
        logical = named.removeprefix("Patient/")
        return logical if repository.exists(connection, "Patient", logical) else None
    system, _, value = named.rpartition("|")
    found = identity.find(connection, [(system, value)])
    return found.pop() if len(found) == 1 else None


def _decided(connection: Connection, asker: Asker, ask: Consult, patient: str | None) -> Decision:
    """As it would be decided for that recipient now."""
    request = _request(connection, asker.request, ask)
    unknown = Decision("DENY", 7, "patient-unknown", decided_at=request.at)
    members = _members(connection, asker.visibility)
    if patient is None or (members is not None and patient not in members):
        return unknown
    [held] = policy.load(connection, {patient})
    case = Case(request, held, asker.settings)
    if ask.resource is not None:
        return _of_resource(connection, case, ask.resource) or unknown
    mask, level = _labelled(ask.labels)
    decisions = [case.decide({"resourceType": kind}, Labels(mask, level)) for kind in ask.kinds or ("Patient",)]
    return next((one for one in decisions if one.effect == "DENY"), decisions[0])


def _members(connection: Connection, visibility: Visibility) -> Collection[str] | None:
    """Whom the asker's programmes serve; None: everybody."""
    programs = [grant.programs for grant in visibility.grants]
    if None in programs:
        return None
    served = frozenset[str]().union(*(one for one in programs if one))
    return {
        patient
        for patient in policy.members(connection)
        if any(program in served for program, _ in policy.enrolments(connection, patient))
    }


def _request(connection: Connection, asking: Request, ask: Consult) -> Request:
    purpose = ask.purpose or asking.purpose
    if not vocabulary.is_purpose(purpose):
        raise InvalidElement("A purpose of use is a v3-ActReason code.", location="purposeOfUse")
    if not ask.actor:
        return replace(asking, purpose=purpose, action=ask.action)
    logical = parties.organization(connection, ask.actor)
    if logical is None:
        raise InvalidElement("No organization is known by this identifier.", location="actor")
    known = [one for one in clients.registered(connection) if one.organization == logical and not one.revoked]
    classes = frozenset[str]().union(*(one.classes for one in known))
    recipient = parties.recipient(connection, logical, classes, asking.at)
    return Request(recipient, purpose, ask.action, "api", asking.at)


def _of_resource(connection: Connection, case: Case, reference: str) -> Decision | None:
    kind, _, logical = reference.partition("/")
    stored = repository.current(connection, kind, logical)
    if stored is None or stored.patient != case.policy.patient:
        return None
    decision = case.decide(stored.body, stored.labels)
    visibility = compile_visibility(case.request, [case.policy], case.settings, revision=0)
    if decision.effect == "PERMIT" and show(stored, visibility) is None:
        return replace(decision, effect="DENY", stage=8, reason="withheld-as-a-whole", obligations=())
    return decision


def _labelled(codes: Collection[str]) -> tuple[int, int]:
    """The bits and the level of what carries these labels."""
    levels = [vocabulary.LEVELS[one] for one in codes if one in vocabulary.LEVELS]
    bits = [vocabulary.label_bit(one) for one in codes if one not in vocabulary.LEVELS]
    if None in bits:
        raise InvalidElement("There is no such label.", location="securityLabel")
    mask = sum({bit for bit in bits if bit is not None})
    return mask, max([*levels, vocabulary.HIGH if mask & vocabulary.RESTRICTED else NORMAL])


# --- what is told ------------------------------------------------------------------------------------------------


def _parameters(decision: Decision, *, told: bool) -> Json:
    found: list[Json] = [
        {"name": "decision", "valueCode": decision.effect.lower()},
        {"name": "text", "valueString": decision.external},
    ]
    if told:
        found.append({"name": "reason", "valueCode": decision.reason})
        found += [{"name": "obligation", "valueString": one} for one in decision.obligations]
        found += [{"name": "basedOn", "valueReference": {"reference": one}} for one in _based_on(decision)]
        if decision.expires_at is not None:
            expires = decision.expires_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
            found.append({"name": "expires", "valueInstant": expires})
    return {"resourceType": "Parameters", "parameter": found}


def _based_on(decision: Decision) -> list[str]:
    return [f"Consent/{rule.consent}/_history/{rule.version}" for rule in dict.fromkeys(decision.rules)]


_INDICATORS = {"CONSENT_PERMIT": "info", "CONSENT_DENY": "critical", "NO_CONSENT": "warning"}


def _cards(decision: Decision, base: str, *, told: bool) -> Json:
    """One card. From outside, whatever is not permitted has no consent: a refusal is not told apart."""
    summary = "CONSENT_PERMIT" if decision.effect == "PERMIT" else "CONSENT_DENY"
    if summary == "CONSENT_DENY" and (not told or decision.reason in UNPERMITTED):
        summary = "NO_CONSENT"
    extension: dict[str, Any] = {"decision": summary, "obligations": []}
    if told:
        named = [one for one in decision.obligations if one in ("REDACT", "NORDSCLCD")]
        extension["obligations"] = [{"id": {"system": ACT_CODE, "code": one}} for one in named]
        extension["basedOn"] = _based_on(decision)
    card = {
        "summary": summary,
        "detail": decision.external,
        "indicator": _INDICATORS[summary],
        "source": {"label": "fhirgw", "url": base},
        "extension": extension,
    }
    return {"cards": [card]}
