"""Stage 0: which Consents count, and for what (consent specification §2.4).

A permit must pass every test; a deny needs only that the Consent is the patient's, about privacy, and not void:
oral and unverified refusals take effect at once, and nested denies outlive their Consent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal

import orjson

from fhirgw.consent import vocabulary
from fhirgw.consent.elements import bare, identifier_tokens, objects
from fhirgw.consent.instants import Span, period_span, span, within, zone_of
from fhirgw.consent.model import ConsentSettings, Json, PatientPolicy
from fhirgw.consent.rules import Reading, read
from fhirgw.remembered import key_of

ICM_CATEGORY: Final = "http://fhirgw.org/fhir/CodeSystem/icm-consent-category"
SUPERSEDES: Final = "http://fhirgw.org/fhir/StructureDefinition/consent-supersedes"
ROI_CATEGORIES: Final = frozenset(
    {
        "http://loinc.org|64292-6",  # Release of information consent
        "http://loinc.org|59284-0",  # Consent Document
        "http://terminology.hl7.org/codesystem/v3-actcode|IDSCL",  # information disclosure
        "http://terminology.hl7.org/codesystem/v3-actcode|INFA",  # information access
        f"{ICM_CATEGORY.lower()}|roi",
    }
)
_REFUSALS: Final[dict[str, "Refusal"]] = {
    "named-person-refusal": "named-person-refusal",
    "dv-safety-list": "dv-safety-list",
}
_NOT_PRIVACY: Final = frozenset({"adr", "research", "treatment"})

Refusal = Literal["named-person-refusal", "dv-safety-list"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one Consent counts.

    Attributes:
        failed: Names of the tests that its permits fail; empty: in force.
        root_deny: Whether a root deny holds (its own period aside).
        nested_deny: Whether nested denies hold.
        residual: Whether the nested denies hold although the Consent has ended (RESIDUAL_EXCEPTION).
        refusal: A named-person refusal or a DV safety list.
        when: The Consent's own period.
    """

    failed: tuple[str, ...]
    root_deny: bool
    nested_deny: bool
    residual: bool
    refusal: Refusal | None
    when: Span | None


def refusal_kind(consent: Json) -> Refusal | None:
    """Which stage-3 refusal a Consent is, by its category."""
    codes = {code for system, code in _categories(consent) if system == ICM_CATEGORY.lower()}
    return next((kind for code, kind in _REFUSALS.items() if code in codes), None)


def is_no_release(consent: Json) -> bool:
    """Whether a Consent is about something else than privacy, and no refusal: nothing in it counts here."""
    return _scope(consent) == "other" and refusal_kind(consent) is None


def is_about(consent: Json, policy: PatientPolicy) -> bool | None:
    """Whether the Consent is this patient's; None when its patient cannot be resolved, or was merged with them."""
    reference = consent.get("patient")
    if not isinstance(reference, dict):
        return None
    own = f"Patient/{policy.patient}"
    literal = bare(reference.get("reference"))
    if literal == own:
        return True
    if literal.removeprefix("Patient/") in policy.others:
        return None  # perhaps the same person: never a permission, always a refusal
    tokens = set(identifier_tokens({"identifier": [reference.get("identifier")]}))
    if not literal and tokens & policy.actors.get(own, frozenset()):
        return True
    return False if literal.startswith("Patient/") and literal.count("/") == 1 else None


def reading_of(consent: Json, zone: str) -> Reading:
    """The rules of a Consent; a refusal denies, whatever its root says or leaves out.

    The same Consent is read once: it is judged for every request and every resource of its patient.
    """
    key = key_of(consent)
    return read(_as_enforced(consent), zone) if key is None else _known_reading(key, zone)


@lru_cache(maxsize=4096)
def _known_reading(key: str, zone: str) -> Reading:
    return read(_as_enforced(orjson.loads(key)), zone)


def _as_enforced(consent: Json) -> Json:
    if refusal_kind(consent) is None:
        return consent
    provision = consent.get("provision")
    root = {**provision, "type": "deny"} if isinstance(provision, dict) else {"type": "deny"}
    return {name: value for name, value in consent.items() if name != "policyRule"} | {"provision": root}


def standing(
    consent: Json, reading: Reading, policy: PatientPolicy, at: datetime, settings: ConsentSettings
) -> Standing:
    """Judge one Consent by itself; what other Consents do to it is ``superseded``."""
    status = _status(consent)
    provision = consent.get("provision")
    period = provision.get("period", {}) if isinstance(provision, dict) else {}
    when = period_span(period, zone_of(consent, settings.zone))
    refusal = refusal_kind(consent)
    elsewhere = is_about(consent, policy) is False or is_no_release(consent)
    void = elsewhere or status in {"entered-in-error", "rejected"}
    failed = tuple(_failed(consent, reading, policy, at, settings, when))
    ended = status == "inactive" or (when is not None and when[1] is not None and when[1] < at)
    return Standing(
        failed=failed,
        root_deny=not void and status != "inactive",
        nested_deny=not void,
        residual=not void and ended,
        refusal=refusal,
        when=when,
    )


def superseded(consents: Iterable[Json], settings: ConsentSettings) -> Mapping[str, list[Json]]:
    """Consent id to the Consents that explicitly supersede it, each signed later (§2.4 no. 6)."""
    by_id = {str(consent.get("id")): consent for consent in consents}
    found: dict[str, list[Json]] = {}
    for later in by_id.values():
        for extension in objects(later.get("extension")) or []:
            if extension.get("url") != SUPERSEDES:
                continue
            reference = extension.get("valueReference")
            literal = bare(reference.get("reference")) if isinstance(reference, dict) else ""
            earlier = by_id.get(literal.removeprefix("Consent/"))
            if earlier is not None and earlier.get("patient") != later.get("patient"):
                continue  # of two records that were merged: neither says anything of the other's
            if earlier is not None and _status(later) in {"active", "inactive"} and _signed_later(
                later, earlier, settings
            ):  # fmt: skip
                found.setdefault(str(earlier.get("id")), []).append(later)
    return found


def _signed_later(later: Json, earlier: Json, settings: ConsentSettings) -> bool:
    signed = [span(consent.get("dateTime"), zone_of(consent, settings.zone)) for consent in (later, earlier)]
    return signed[0] is not None and signed[1] is not None and signed[0][0] > signed[1][1]


def _failed(
    consent: Json,
    reading: Reading,
    policy: PatientPolicy,
    at: datetime,
    settings: ConsentSettings,
    when: Span | None,
) -> Iterable[str]:
    """The names of the tests of §2.4 that fail, in their order. Test 7 is a ceiling, not a test of force."""
    if (status := _status(consent)) != "active":
        yield f"status-{status}" if status in _STATUSES else "status-unknown"
    if _scope(consent) != "privacy":
        yield "scope"
    if not _is_roi(consent, settings):
        yield "category"
    if is_about(consent, policy) is not True:
        yield "patient"
    signed = span(consent.get("dateTime"), zone_of(consent, settings.zone))
    if signed is None or signed[0] > at:
        yield "date"
    if within(at, when) is not True:
        yield "period"
    if not _is_signed(consent, settings):
        yield "signature"
    if not _has_authority(consent, policy, signed, settings):
        yield "performer"
    if reading.problems:
        yield "unenforceable"


def _status(consent: Json) -> str:
    """The status; '' when it is no code."""
    stated = consent.get("status")
    return stated if isinstance(stated, str) else ""


_STATUSES: Final = frozenset({"draft", "proposed", "active", "rejected", "inactive", "entered-in-error"})


def _codings(concept: object) -> list[tuple[str, str]]:
    codings = objects(concept.get("coding")) if isinstance(concept, dict) else None
    return [
        (vocabulary.canonical_system(coding.get("system")), str(coding.get("code"))) for coding in codings or []
    ]


def _categories(consent: Json) -> list[tuple[str, str]]:
    return [pair for concept in objects(consent.get("category")) or [] for pair in _codings(concept)]


def _scope(consent: Json) -> Literal["privacy", "other", "unknown"]:
    codes = {code for system, code in _codings(consent.get("scope")) if system == vocabulary.CONSENT_SCOPE}
    if "patient-privacy" in codes:
        return "privacy"
    return "other" if codes & _NOT_PRIVACY else "unknown"


def _is_roi(consent: Json, settings: ConsentSettings) -> bool:
    if settings.any_category:
        return True
    wanted = ROI_CATEGORIES if settings.roi_categories is None else settings.roi_categories
    keys = {(vocabulary.canonical_system(key.rpartition("|")[0]), key.rpartition("|")[2]) for key in wanted}
    return any(pair in keys or ("", pair[1]) in keys for pair in _categories(consent))


def _is_signed(consent: Json, settings: ConsentSettings) -> bool:
    """A source document, or a verification with who and when; one ``verified = false`` and it is not."""
    verifications = objects(consent.get("verification", []))
    if verifications is None or any(entry.get("verified") is not True for entry in verifications):
        return False
    if not settings.require_signature:
        return True
    verified = any("verifiedWith" in entry and "verificationDate" in entry for entry in verifications)
    return verified or has_source(consent)


def has_source(consent: Json) -> bool:
    """The signed form, where it can be got: a hash is none, nor is a contained resource that is not there."""
    source, attachment = consent.get("sourceReference"), consent.get("sourceAttachment")
    if isinstance(source, dict):
        literal = bare(source.get("reference"))
        there = (f"#{inner.get('id')}" for inner in objects(consent.get("contained", [])) or [])
        tokens = list(identifier_tokens({"identifier": [source.get("identifier")]}))
        return literal in there if literal.startswith("#") else bool(literal or tokens)
    return isinstance(attachment, dict) and any(attachment.get(name) for name in ("data", "url"))


def _has_authority(consent: Json, policy: PatientPolicy, signed: Span | None, settings: ConsentSettings) -> bool:
    """Signed by the patient, or by a substitute with recorded authority who is not on the DV safety list."""
    performers = [_literal(entry, policy) for entry in objects(consent.get("performer")) or []]
    if not performers:
        verified = any("verifiedWith" in entry for entry in objects(consent.get("verification")) or [])
        return verified or not settings.require_signature
    listed = _dv_listed(policy)
    return all(
        performer == f"Patient/{policy.patient}"
        or (
            not listed & ({performer} | policy.actors.get(performer, frozenset()))
            and _authorised(policy.authorities.get(performer), signed)
        )
        for performer in performers
    )


def _literal(reference: Json, policy: PatientPolicy) -> str:
    """Who is named: literally, or by an identifier that one of those at hand has; '' when nobody can say."""
    literal = bare(reference.get("reference"))
    tokens = set(identifier_tokens({"identifier": [reference.get("identifier")]}))
    if literal or not tokens:
        return literal
    return next((name for name, known in sorted(policy.actors.items()) if known & tokens), "")


def _authorised(authority: Span | None, signed: Span | None) -> bool:
    return (
        authority is not None
        and signed is not None
        and signed[0] is not None
        and within(signed[0], authority) is True
    )


def _dv_listed(policy: PatientPolicy) -> set[str]:
    """Everybody on a safety list of the patient, by reference and by identifiers."""
    listed: set[str] = set()
    for consent in policy.consents:
        if refusal_kind(consent) != "dv-safety-list" or _status(consent) in {"entered-in-error", "inactive"}:
            continue
        provision = consent.get("provision")
        for actor in objects(provision.get("actor")) or [] if isinstance(provision, dict) else []:
            if isinstance(named := actor.get("reference"), dict):
                listed.add(literal := bare(named.get("reference")))
                listed |= policy.actors.get(literal, frozenset())
                listed |= set(identifier_tokens({"identifier": [named.get("identifier")]}))
    return listed
