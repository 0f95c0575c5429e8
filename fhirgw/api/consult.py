"""``POST /fhir/$consent-decision`` and the CDS Hooks service ``patient-consent-consult``: what is asked of them.

Only for clients that are registered with the scope ``system/consent-decision``.
See: FHIR R4 operations.html; CDS Hooks 2.0; sdhealthconnect/leap-cds.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from starlette.requests import Request

from fhirgw.api import negotiation
from fhirgw.api.metadata import CONSENT_HOOK, cds_services
from fhirgw.api.middleware import request_id
from fhirgw.api.negotiation import Json
from fhirgw.api.smart import Smart
from fhirgw.asks import Requester
from fhirgw.consult import Consult
from fhirgw.errors import Forbidden, InvalidElement
from fhirgw.profiles import definitions
from fhirgw.released import Public, Released
from fhirgw.share import Share
from fhirgw.store.clients import CONSULT

SINGLE = {"patient", "purposeOfUse", "action", "resource"}
ACTIONS = ("access", "disclose", "collect", "correct")
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"


class Consultations:
    """The two routes, and the list of services."""

    def __init__(self, share: Share, smart: Smart, *, max_bytes: int) -> None:
        """Compose.

        Args:
            share: The only way out.
            smart: Reads tokens.
            max_bytes: Cap of a body.
        """
        self._share, self._smart, self._max_bytes = share, smart, max_bytes
        self._services = cds_services()

    async def decision(self, request: Request) -> Released:
        """``POST /fhir/$consent-decision``."""
        requester = await self._requester(request)
        negotiation.require_json(request)
        parameters = await negotiation.resource(request, ("Parameters",), self._max_bytes)
        return await self._share.release(requester, decision_asked(parameters))

    async def hook(self, request: Request) -> Released:
        """``POST /cds-services/patient-consent-consult``."""
        requester = await self._requester(request)
        return await self._share.release(
            requester, hook_asked(await negotiation.document(request, self._max_bytes))
        )

    async def services(self, _: Request) -> Public:
        """``GET /cds-services``: the same for everybody."""
        return self._services

    async def _requester(self, request: Request) -> Requester:
        requester = await self._smart.requester(request, request_id(request.scope))
        request.scope["fhirgw.client"] = requester.client
        if CONSULT not in requester.scopes:
            raise Forbidden("The scope of this token does not cover this interaction.")
        return requester


def decision_asked(parameters: Json) -> Consult:
    """The question of ``$consent-decision``.

    Raises:
        InvalidElement: A parameter that the operation does not have, of another type, or too often.
    """
    stated: dict[str, list[str]] = {}
    parts = parameters.get("parameter")
    for part in parts if isinstance(parts, list) else []:
        name = part.get("name") if isinstance(part, dict) else None
        if not isinstance(name, str) or name not in _READERS or (name in SINGLE and name in stated):
            raise InvalidElement(
                "There is no such parameter, or it is given once.", location="Parameters.parameter"
            )
        stated.setdefault(name, []).append(_READERS[name](part))
    return _asked(stated)


def hook_asked(body: Json) -> Consult:
    """The question of the CDS Hooks service, in the context as LEAP has it.

    Raises:
        InvalidElement: It is of another hook, or cannot be read.
    """
    context = body.get("context")
    if (
        body.get("hook") != CONSENT_HOOK
        or not isinstance(body.get("hookInstance"), str)
        or not isinstance(context, dict)
    ):
        raise InvalidElement(f"A call has hook {CONSENT_HOOK}, a hookInstance and a context.")
    if unknown := context.keys() - {"patientId", "scope", "category", "purposeOfUse", "actor", "class", "content"}:
        raise InvalidElement("The context has no such member.", location=min(unknown))
    stated = {
        "patient": list(_identifiers(context.get("patientId"))),
        "actor": list(_identifiers(context.get("actor"))),
        "purposeOfUse": [_text(one) for one in _several(context.get("purposeOfUse"))],
        "class": [_coded(one, RESOURCE_TYPES) for one in _several(context.get("class"))],
    }
    return _asked({name: values for name, values in stated.items() if values}, cards=True)


def _asked(stated: dict[str, list[str]], *, cards: bool = False) -> Consult:
    for name in ("patient", "actor", "purposeOfUse", "action", "resource"):
        if len(stated.get(name, ())) > 1:
            raise InvalidElement("This is stated once: a decision has one.", location=name)
    if not stated.get("patient"):
        raise InvalidElement("State whom it is about.", location="patient")

    def one(name: str, otherwise: str = "") -> str:
        return next(iter(stated.get(name, ())), otherwise)

    if unknown := set(stated.get("class", ())) - definitions.resource_types():
        raise InvalidElement("There is no such resource type.", location=min(unknown))
    if one("action", "disclose") not in ACTIONS:
        raise InvalidElement(f"An action is {', '.join(ACTIONS)}.", location="action")
    return Consult(
        patient=one("patient"),
        actor=one("actor"),
        purpose=one("purposeOfUse"),
        action=one("action", "disclose"),
        kinds=tuple(stated.get("class", ())),
        labels=tuple(stated.get("securityLabel", ())),
        resource=one("resource") or None,
        cards=cards,
    )


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _identifiers(value: Any) -> Iterator[str]:
    yield from map(_identifier, _several(value))


def _identifier(value: Any) -> str:
    if not isinstance(value, dict) or not _text(value.get("value")):
        raise InvalidElement("An identifier has a system and a value.")
    return f"{value.get('system') or ''}|{value['value']}"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidElement("This is a text.")
    return value.strip()


def _coded(value: Any, system: str | None = None) -> str:
    if not isinstance(value, dict) or (system is not None and value.get("system", system) != system):
        raise InvalidElement("This is a coding of another system.")
    return _text(value.get("code"))


def _reference(value: Any) -> str:
    literal = value.get("reference") if isinstance(value, dict) else None
    kind, _, logical = _text(literal).partition("/")
    if not negotiation.LOGICAL_ID.fullmatch(logical) or kind not in definitions.resource_types():
        raise InvalidElement("A reference is a type and an id.")
    return f"{kind}/{logical}"


def _patient(part: Json) -> str:
    if "valueReference" not in part:
        return _identifier(part.get("valueIdentifier"))
    reference = _reference(part["valueReference"])
    if not reference.startswith("Patient/"):
        raise InvalidElement("This is a reference to a Patient.", location="patient")
    return reference


_READERS: Mapping[str, Callable[[Json], str]] = {
    "patient": _patient,
    "actor": lambda part: _identifier(part.get("valueIdentifier")),
    "purposeOfUse": lambda part: _text(part.get("valueCode")),
    "action": lambda part: _text(part.get("valueCode")),
    "class": lambda part: _text(part.get("valueCode")),
    "securityLabel": lambda part: _text(part.get("valueCode")),
    "resource": lambda part: _reference(part.get("valueReference")),
}
