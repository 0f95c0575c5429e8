"""JSON in and out of ``fhirgw consent decide`` (DESIGN §9): one purpose, one instant, Consents as given."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from fhirgw.consent import vocabulary
from fhirgw.consent.closure import Supporting
from fhirgw.consent.elements import RESOURCE_TYPES, objects
from fhirgw.consent.instants import period_span, span
from fhirgw.consent.minimum import read_profiles
from fhirgw.consent.model import Agreement, ConsentSettings, Decision, Json, Recipient, Request, RuleRef
from fhirgw.errors import InvalidElement, MalformedMessage, MissingElement
from fhirgw.settings import ZONE

_PARTS: Final = ("roi_categories", "zone", "agreements", "minimum", "break_glass_minutes", "disclosers")
_SWITCHES: Final = ("require_explicit_sensitive", "require_signature", "require_complete")


def parse(text: str | bytes, location: str) -> Json:
    """A JSON object; MalformedMessage with the place otherwise."""
    try:
        value = orjson.loads(text)
    except ValueError as error:
        raise MalformedMessage("This is not JSON.", location=location) from error
    return object_of(value, location)


def read_request(value: Any, supporting: Supporting, *, now: datetime | None = None) -> Request:
    """The request; its recipient closed over the supporting resources."""
    asked = object_of(value, "request")
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
    stated = {} if value is None else object_of(value, "request.recipient")
    roles = _list(stated.get("roles", []), "request.recipient.roles")
    held = frozenset(str(role.get("code")) if isinstance(role, dict) else str(role) for role in roles)
    return supporting.recipient(_tokens(stated, "request.recipient"), held, at)


def _tokens(stated: Json, location: str) -> frozenset[str]:
    """Whom identifiers and references name."""
    tokens: set[str] = set()
    for index, identifier in enumerate(_list(stated.get("identifiers", []), f"{location}.identifiers")):
        where = f"{location}.identifiers[{index}]"
        entry = object_of(identifier, where)
        if not isinstance(entry.get("value"), str) or not entry["value"].strip():
            raise MissingElement("An identifier needs a value.", location=f"{where}.value")
        tokens.add(f"{str(entry.get('system') or '').strip()}|{entry['value'].strip()}")
    for index, reference in enumerate(_list(stated.get("references", []), f"{location}.references")):
        literal = reference.get("reference") if isinstance(reference, dict) else reference
        tokens.add(_text(literal, f"{location}.references[{index}]"))
    return frozenset(tokens)


def read_settings(value: Any, zone: str = ZONE) -> ConsentSettings:
    """The switches for judging foreign Consents; an unknown one is refused, not ignored.

    Args:
        value: As a case states them.
        zone: Where it states none.
    """
    stated = object_of(value if value is not None else {}, "settings")
    for name in stated:
        if name not in {*_SWITCHES, *_PARTS}:
            raise InvalidElement("There is no such switch.", location=f"settings.{name}")
    for name in _SWITCHES:
        if not isinstance(stated.get(name, True), bool):
            raise InvalidElement("A switch is true or false.", location=f"settings.{name}")
    categories = stated.get("roi_categories")
    anything = categories == "any"
    listed = None
    if categories is not None and not anything:
        listed = frozenset(_category(entry) for entry in _list(categories, "settings.roi_categories"))
    zone = _zone(stated.get("zone", zone))
    return ConsentSettings(
        **{name: stated.get(name, True) for name in _SWITCHES},
        roi_categories=listed,
        any_category=anything,
        zone=zone,
        agreements=read_agreements(stated.get("agreements", []), "settings.agreements", zone),
        minimum=read_profiles(stated.get("minimum", []), "settings.minimum"),
        break_glass_minutes=_minutes(stated.get("break_glass_minutes", 60)),
        disclosers=_tokens(object_of(stated.get("disclosers", {}), "settings.disclosers"), "settings.disclosers"),
    )


def read_agreements(value: Any, location: str, zone: str) -> tuple[Agreement, ...]:
    """Agreements as the settings of a case, or the file of the gateway, state them."""
    return tuple(
        _agreement(object_of(entry, f"{location}[{index}]"), f"{location}[{index}]", zone)
        for index, entry in enumerate(_list(value, location))
    )


def _agreement(stated: Json, location: str, zone: str) -> Agreement:
    """``{"name", "recipient", "purposes", "classes", "securityLabels", "period"}``, all of it required."""

    def codes(name: str, known: Callable[[str], bool]) -> list[str]:
        listed = [_text(one, f"{location}.{name}") for one in _list(stated.get(name), f"{location}.{name}")]
        if not listed or not all(map(known, listed)):
            raise InvalidElement("State codes that exist, at least one.", location=f"{location}.{name}")
        return listed

    recipient = object_of(stated.get("recipient"), f"{location}.recipient")
    levels = vocabulary.LEVELS
    said = codes("securityLabels", lambda code: code in levels or vocabulary.label_bit(code) is not None)
    start, end = period_span(stated.get("period"), ZoneInfo(zone)) or (None, None)
    if start is None or end is None:
        raise InvalidElement("An agreement has a first and a last day.", location=f"{location}.period")
    return Agreement(
        name=_text(stated.get("name"), f"{location}.name"),
        tokens=_tokens(recipient, f"{location}.recipient"),
        purposes=frozenset(codes("purposes", vocabulary.is_purpose)),
        types=frozenset(codes("classes", RESOURCE_TYPES.__contains__)),
        labels=vocabulary.mask_of(said),
        highest=max((levels[code] for code in said if code in levels), default=vocabulary.NORMAL),
        period=(start, end),
    )


def _minutes(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidElement("This is a number of minutes.", location="settings.break_glass_minutes")
    return value


@lru_cache(maxsize=4096)
def decision_json(decision: Decision) -> Mapping[str, Any]:
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


def resources(value: Any, location: str) -> list[Json]:
    """A list of resources; Bundles are opened."""
    found: list[Json] = []
    for index, entry in enumerate(_list(value, location)):
        resource = resource_of(entry, f"{location}[{index}]")
        if resource["resourceType"] == "Bundle":
            entries = objects(resource.get("entry", []))
            if entries is None:
                raise InvalidElement("A Bundle holds a list of entries.", location=f"{location}[{index}].entry")
            found += [resource_of(inner.get("resource"), f"{location}[{index}].entry") for inner in entries]
        else:
            found.append(resource)
    return found


def resource_of(value: Any, location: str) -> Json:
    """A resource."""
    resource = object_of(value, location)
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


def object_of(value: Any, location: str) -> Json:
    """A JSON object; MissingElement or InvalidElement with the place otherwise."""
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
