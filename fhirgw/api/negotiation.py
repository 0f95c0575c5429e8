"""What a request asks for in HTTP's own terms: format, strictness, parameters, a body.

Nothing here knows the store or the requester. Header and query values never go into an error's text.
See: FHIR R4 http.html §3.1.0 (formats, Prefer), RFC 9110 §12.5.1 (Accept), RFC 7240 (Prefer).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import ClientDisconnect, Request

from fhirgw.errors import InvalidElement, MalformedMessage, NotAcceptable, NotSupported, TooLarge, UnsupportedMedia

Json = dict[str, Any]
Parameters = tuple[tuple[str, str], ...]

FORM = "application/x-www-form-urlencoded"
JSON_BODY = frozenset({"application/fhir+json", "application/json"})
JSON_FORMATS = JSON_BODY | {"json", "text/json"}
# A plus sign that nobody escaped arrives as a space.
FORMAT_PARAMETER = JSON_FORMATS | {"application/fhir json"}
ACCEPTED = JSON_FORMATS | {"*/*", "application/*", "text/*"}
FHIR_VERSIONS = frozenset({"4.0", "4.0.1"})
PRESENTATION = frozenset({"_format", "_pretty"})
MAX_PARAMETERS = 256
CONDITIONS = ("if-none-exist", "if-none-match")

LOGICAL_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)


def require_json(request: Request) -> None:
    """The requester takes JSON: by ``_format``, which goes before ``Accept``, or by ``Accept``.

    Raises:
        NotAcceptable: Another format, or another FHIR version.
    """
    asked = [value for name, value in query(request) if name == "_format"]
    if asked:
        takes = _suits(asked[-1], FORMAT_PARAMETER)
    else:
        ranges = [one for header in request.headers.getlist("accept") for one in header.split(",") if one.strip()]
        takes = not ranges or any(_suits(one, ACCEPTED) for one in ranges)
    if not takes:
        raise NotAcceptable("Answers are in JSON, of FHIR 4.0.")


def presentation(request: Request, offered: Mapping[str, frozenset[str]]) -> str:
    """Which of several forms the requester takes: by ``_format``, which goes before ``Accept``, or by ``Accept``.

    Args:
        request: The request.
        offered: Names of each form, in our order of preference; the first is for who has none.

    Raises:
        NotAcceptable: None of them.
    """
    asked = [value for name, value in query(request) if name == "_format"]
    ranges = asked[-1:] or [one for header in request.headers.getlist("accept") for one in header.split(",")]
    weighed = sorted((one for one in ranges if one.strip()), key=_weight, reverse=True)
    for one in weighed or ["*/*"]:
        for form, names in offered.items():
            if _suits(one, names):
                return form
    raise NotAcceptable("It is offered as " + ", ".join(offered) + ".")


def _weight(one: str) -> float:
    """RFC 9110 §12.4.2: how much it is wanted."""
    try:
        return float(media_type(one)[1].get("q", "1"))
    except ValueError:
        return 0.0


def query(request: Request) -> Parameters:
    """The parameters of the URL, in order."""
    return _pairs(request.scope["query_string"])


def search_parameters(pairs: Iterable[tuple[str, str]]) -> Parameters:
    """Those that say what is searched, not how it is presented."""
    return tuple(pair for pair in pairs if pair[0] not in PRESENTATION)


def handling_is_strict(request: Request) -> bool:
    """Whether ``Prefer: handling=strict`` is asked for: unknown parameters are then refused."""
    preferences = (one for header in request.headers.getlist("prefer") for one in re.split("[,;]", header))
    return any(one.replace(" ", "").lower() == "handling=strict" for one in preferences)


def require_unconditional(request: Request) -> None:
    """Conditional create and update are refused for everybody: ignoring the condition would write (leak 19)."""
    if any(name in request.headers for name in CONDITIONS):
        raise NotSupported("Conditional create and update are not supported.")


async def body(request: Request, cap: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: Over the cap; the rest is not read.
        MalformedMessage: The connection ended before the body did.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > cap:
        raise TooLarge(f"The body is over the limit of {cap} bytes.")
    received = bytearray()
    try:
        async for chunk in request.stream():
            received += chunk
            if len(received) > cap:
                raise TooLarge(f"The body is over the limit of {cap} bytes.")
    except ClientDisconnect:
        raise MalformedMessage("The connection ended before the body did.") from None
    return bytes(received)


async def form(request: Request, cap: int) -> Parameters:
    """The parameters of a form body; without a body there are none.

    Raises:
        UnsupportedMedia: It is no form.
    """
    raw = await body(request, cap)
    if raw and media_type(request.headers.get("content-type", ""))[0] != FORM:
        raise UnsupportedMedia(f"The body is {FORM}.")
    return _pairs(raw)


async def resource(request: Request, kinds: Collection[str], cap: int) -> Json:
    """The resource in the body, of the type the URL names, or one of those that the operation takes.

    Raises:
        UnsupportedMedia: It is not sent as JSON in UTF-8.
        MalformedMessage: It is no JSON object.
        InvalidElement: It is another type of resource.
    """
    found = await document(request, cap)
    if found.get("resourceType") not in kinds:
        raise InvalidElement("The type in the body is not that of the URL.", location="resourceType")
    return found


async def document(request: Request, cap: int) -> Json:
    """The JSON object in the body.

    Raises:
        UnsupportedMedia: It is not sent as JSON in UTF-8.
        MalformedMessage: It is no JSON object.
    """
    media, parameters = media_type(request.headers.get("content-type", ""))
    if media not in JSON_BODY or parameters.get("charset", "utf-8") != "utf-8" or not _fhir_version(parameters):
        raise UnsupportedMedia("The body is application/fhir+json in UTF-8, of FHIR 4.0.")
    try:
        found = orjson.loads(await body(request, cap))
    except orjson.JSONDecodeError as error:
        raise MalformedMessage(f"This is no JSON: line {error.lineno}, column {error.colno}.") from None
    if not isinstance(found, dict):
        raise MalformedMessage("The body is a JSON object.")
    return found


def _pairs(raw: bytes) -> Parameters:
    try:
        text = raw.decode("utf-8")
        return tuple(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS))
    except UnicodeDecodeError:
        raise InvalidElement("Parameters are in UTF-8.") from None
    except ValueError:
        raise InvalidElement(f"There may be {MAX_PARAMETERS} parameters at most.") from None


def _suits(one: str, formats: frozenset[str]) -> bool:
    media, parameters = media_type(one)
    return (
        media in formats and _fhir_version(parameters) and not re.fullmatch(r"0(\.0*)?", parameters.get("q", "1"))
    )


def _fhir_version(parameters: dict[str, str]) -> bool:
    return parameters.get("fhirversion", "4.0") in FHIR_VERSIONS


def media_type(text: str) -> tuple[str, dict[str, str]]:
    """A media type or range and its parameters, names and values in lower case."""
    media, *rest = (part.strip().lower() for part in text.split(";"))
    return media, dict(_parameters(rest))


def _parameters(parts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for part in parts:
        name, _, value = part.partition("=")
        yield name.strip(), value.strip().strip('"')
