"""What the law asks of a written consent, as far as a FHIR Consent shows it: a ceiling (specification §2.4 no. 7).

42 CFR 2.31(a) for Part 2 records, 45 CFR 164.508(c)(1) for an authorization. The statements that both also ask
for are attributes of the form that ``policy.uri`` names. Nothing here is legal advice.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhirgw.consent.elements import objects
from fhirgw.consent.instants import Span
from fhirgw.consent.model import ConsentSettings, Json
from fhirgw.consent.rules import Rule
from fhirgw.consent.vocabulary import is_tpo

EXPIRY_EVENT: Final = "http://fhirgw.org/fhir/StructureDefinition/icm-consent-expiry-event"


@dataclass(frozen=True, slots=True)
class Completeness:
    """The names of the elements that are missing, per legal basis.

    Attributes:
        part2: Missing of 42 CFR 2.31(a): the permit covers no SUD data.
        authorization: Missing of 45 CFR 164.508(c)(1): the permit is no authorization.
        unlimited: It has no end, and is not one for treatment, payment and operations alone: not in force.
    """

    part2: tuple[str, ...]
    authorization: tuple[str, ...]
    unlimited: bool


def completeness(consent: Json, rule: Rule, when: Span | None, settings: ConsentSettings) -> Completeness:
    """What is missing of one permit; nothing where completeness is not asked for."""
    if not settings.require_complete:
        return Completeness((), (), unlimited=False)
    for_tpo = rule.purposes is not None and is_tpo(rule.purposes)
    endless = _end(rule, when) is None and not _has_expiry_event(consent)
    present = {
        "patient": "patient" in consent,
        "discloser": "organization" in consent or "policy" in consent or _names(rule, "discloser"),
        "recipient": _names(rule, "recipient") or _names(rule, "unknown"),
        "description": any(part is not None for part in (rule.labels, rule.types, rule.criteria)),
        "purpose": rule.purposes is not None,
        "date": "dateTime" in consent,
    }
    missing = tuple(name for name, there in present.items() if not there)
    # A form that policy.uri names describes the information; 2.31 wants it specific, and in the consent.
    described = tuple(name for name in missing if name != "description" or "policy" not in consent)
    return Completeness(
        part2=missing + (("expiry",) if endless and not for_tpo else ()),
        authorization=described + (("expiry",) if endless else ()),
        unlimited=endless and not for_tpo,
    )


def _has_expiry_event(consent: Json) -> bool:
    """An event instead of a date: nobody can compute it, the status tells when it has come."""
    return any(extension.get("url") == EXPIRY_EVENT for extension in objects(consent.get("extension")) or [])


def _names(rule: Rule, role: str) -> bool:
    return any(actor.role == role for actor in rule.actors or ())


def _end(rule: Rule, when: Span | None) -> datetime | str | None:
    stated = next((period["end"] for period in rule.periods if "end" in period), None)
    return stated if stated is not None else when[1] if when is not None else None
