"""JSON in and out of ``fhirgw consent decide`` (DESIGN §9): one purpose, one instant, Consents as given."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from fhirgw.consent.closure import Supporting
from fhirgw.consent.criteria import Surroundings
from fhirgw.consent.decide import decide_for_all
from fhirgw.consent.elements import bare, objects, patients_of
from fhirgw.consent.instants import span
from fhirgw.consent.labels import LabelContext, Labels, label
from fhirgw.consent.marks import Marks, of_consents
from fhirgw.consent.model import ConsentSettings, Decision, Json, Recipient, Request, RuleRef
from fhirgw.consent.standing import refusal_kind
from fhirgw.errors import GatewayError, InvalidElement, MalformedMessage, MissingElement

_SWITCHES: Final = ("require_explicit_sensitive", "require_signature", "require_complete")


def parse(text: str | bytes, location: str) -> Json:
    """A JSON object; MalformedMessage with the place otherwise."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("This is not JSON.", location=location) from error
    return _object(value, location)


def decide_case(case: Json, *, now: datetime | None = None) -> Decision:
    """Decide ``{"request", "resource", "consents", "supporting", "settings"}``; every part but the first may lack.

    Args:
        case: The case, as one line of a batch gives it.
        now: Decision time where the request states none; with neither, MissingElement.
    """
    _object(case, "$")
    resource = case.get("resource")
    at_hand = [] if resource is None else [_resource(resource, "resource")]
    supporting = Supporting([*_resources(case.get("supporting", []), "supporting"), *at_hand])
    asked = read_request(case.get("request"), supporting, now=now)
    switches = read_settings(case.get("settings", {}))
    consents = tuple(_resources(case.get("consents", []), "consents"))
    subject = at_hand[0] if at_hand else _whole_patient(consents, supporting)
    policies = {
        patient.removeprefix("Patient/"): supporting.policy(patient.removeprefix("Patient/"), consents)
        for patient in patients_of(subject)
    }
    labels = label_stated(subject, consents, supporting, of_consents(consents, switches.zone))
    return decide_for_all(asked, subject, labels, policies, switches)


def answer_line(line: str | bytes, number: int, *, now: datetime | None = None) -> Json:
    """The answer to one line of a batch. A line that cannot be read is denied, and says where it is wrong."""
    name: object = None
    try:
        case = parse(line, f"line {number}")
        name = case.get("id")
        return {"id": name, **decision_json(decide_case(case, now=now))}
    except GatewayError as error:
        denied = Decision("DENY", 0, "bad-input", decided_at=now)
        return {"id": name, **decision_json(denied), "error": {"location": error.location, "text": error.text}}


def read_request(value: Any, supporting: Supporting, *, now: datetime | None = None) -> Request:
    """The request; its recipient closed over the supporting resources."""
    asked = _object(value, "request")
    at = now
    if asked.get("at") is not None:
        at = _instant(asked["at"])
    if at is None:
        raise MissingElement("State the instant of the decision.", location="request.at")
    purpose = asked.get("purpose")
    if not isinstance(purpose, str) or not purpose.strip():
        raise InvalidElement("State exactly one purpose of use, as one code.", location="request.purpose")
    emergency = asked.get("emergency")
    if emergency is not None and not isinstance(emergency, dict):
        raise InvalidElement("An emergency claim is an object or null.", location="request.emergency")
    return Request(
        recipient=read_recipient(asked.get("recipient"), supporting, at),
        purpose=purpose.strip(),
        action=_text(asked.get("action", "disclose"), "request.action"),
        channel=_text(asked.get("channel", "api"), "request.channel"),
        at=at,
        emergency=emergency,
    )


def read_recipient(value: Any, supporting: Supporting, at: datetime) -> Recipient:
    """Who asks; nobody stated is an unknown recipient, which gains nothing."""
    stated = {} if value is None else _object(value, "request.recipient")
    tokens: set[str] = set()
    for index, identifier in enumerate(_list(stated.get("identifiers", []), "request.recipient.identifiers")):
        where = f"request.recipient.identifiers[{index}]"
        entry = _object(identifier, where)
        if not isinstance(entry.get("value"), str) or not entry["value"].strip():
            raise MissingElement("An identifier needs a value.", location=f"{where}.value")
        tokens.add(f"{str(entry.get('system') or '').strip()}|{entry['value'].strip()}")
    for index, reference in enumerate(_list(stated.get("references", []), "request.recipient.references")):
        literal = reference.get("reference") if isinstance(reference, dict) else reference
        tokens.add(_text(literal, f"request.recipient.references[{index}]"))
    roles = _list(stated.get("roles", []), "request.recipient.roles")
    held = frozenset(str(role.get("code")) if isinstance(role, dict) else str(role) for role in roles)
    return supporting.recipient(frozenset(tokens), held, at)


def read_settings(value: Any) -> ConsentSettings:
    """The switches for judging foreign Consents; an unknown one is refused, not ignored."""
    stated = _object(value if value is not None else {}, "settings")
    for name in stated:
        if name not in {*_SWITCHES, "roi_categories", "zone"}:
            raise InvalidElement("There is no such switch.", location=f"settings.{name}")
    for name in _SWITCHES:
        if not isinstance(stated.get(name, True), bool):
            raise InvalidElement("A switch is true or false.", location=f"settings.{name}")
    categories = stated.get("roi_categories")
    anything = categories == "any"
    listed = None
    if categories is not None and not anything:
        listed = frozenset(_category(entry) for entry in _list(categories, "settings.roi_categories"))
    return ConsentSettings(
        **{name: stated.get(name, True) for name in _SWITCHES},
        roi_categories=listed,
        any_category=anything,
        zone=_zone(stated.get("zone", "UTC")),
    )


def label_stated(resource: Json, consents: Iterable[Json], supporting: Supporting, marks: Marks) -> Labels:
    """Labels as stated in ``meta.security``, raised by what its codes and references say, with its marks.

    Its free text counts as reviewed: whoever states the labels of a resource has read it.
    """
    dv_protected = any(
        refusal_kind(consent) == "dv-safety-list" and consent.get("status") in {"active", "draft", "proposed"}
        for consent in consents
    )
    context = LabelContext(
        supporting.target_labels,
        dv_protected=dv_protected,
        text_cleared=True,
        marks=marks,
        known=Surroundings(supporting.references_of, supporting.tokens_of),
    )
    return label(resource, context)


def decision_json(decision: Decision) -> Json:
    """The Decision as the command prints it (consent specification §2.8)."""
    return {
        "effect": decision.effect,
        "stage": decision.stage,
        "reason_code": decision.reason,
        "rules": [ref_json(rule) for rule in decision.rules],
        "considered": [{"consentId": consent, "why": why} for consent, why in decision.considered],
        "redactions": [{"path": path, "category": category} for path, category in decision.redactions],
        "obligations": list(decision.obligations),
        "revision": decision.revision,
        "label_table": decision.label_table,
        "decided_at": _instant_text(decision.decided_at),
        "expires_at": _instant_text(decision.expires_at),
        "external": decision.external,
    }


def ref_json(rule: RuleRef) -> Json:
    """A rule's address."""
    return {"consentId": rule.consent, "versionId": rule.version, "path": rule.path}


def _instant_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _whole_patient(consents: Iterable[Json], supporting: Supporting) -> Json:
    """Where no resource is asked about: the Patient of the Consents, if they agree on one."""
    named = {
        bare(reference.get("reference")) or supporting.patient(reference.get("identifier"))
        for consent in consents
        if isinstance(reference := consent.get("patient"), dict)
    }
    patient = named.pop().removeprefix("Patient/") if len(named) == 1 else ""
    return {"resourceType": "Patient", **({"id": patient} if patient else {})}


def _resources(value: Any, location: str) -> list[Json]:
    """A list of resources; Bundles are opened."""
    found: list[Json] = []
    for index, entry in enumerate(_list(value, location)):
        resource = _resource(entry, f"{location}[{index}]")
        if resource["resourceType"] == "Bundle":
            entries = objects(resource.get("entry", []))
            if entries is None:
                raise InvalidElement("A Bundle holds a list of entries.", location=f"{location}[{index}].entry")
            found += [_resource(inner.get("resource"), f"{location}[{index}].entry") for inner in entries]
        else:
            found.append(resource)
    return found


def _resource(value: Any, location: str) -> Json:
    resource = _object(value, location)
    if not isinstance(resource.get("resourceType"), str):
        raise MissingElement("A resource says its type.", location=f"{location}.resourceType")
    return resource


def _zone(value: Any) -> str:
    name = _text(value, "settings.zone")
    try:
        return ZoneInfo(name).key
    except (ValueError, KeyError, OSError) as error:
        raise InvalidElement("There is no such time zone.", location="settings.zone") from error


def _category(entry: Any) -> str:
    if isinstance(entry, Mapping):
        return f"{entry.get('system') or ''}|{entry.get('code')}"
    return _text(entry, "settings.roi_categories")


def _object(value: Any, location: str) -> Json:
    if value is None:
        raise MissingElement("This part is required.", location=location)
    if not isinstance(value, dict):
        raise InvalidElement("This must be a JSON object.", location=location)
    return value


def _list(value: Any, location: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidElement("This must be a list.", location=location)
    return value


def _text(value: Any, location: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidElement("This must be a text.", location=location)
    return value.strip()


def _instant(value: Any) -> datetime:
    read = span(value, UTC)
    if read is None or "T" not in value or (value[-6] not in "+-" and not value.endswith("Z")):
        raise InvalidElement("An instant has a date, a time and an offset.", location="request.at")
    return read[0]
