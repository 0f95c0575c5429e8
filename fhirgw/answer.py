"""What an answer looks like: the released form of a resource, bundles, links.

Everything here is a function of what is visible: version ids and times outside the programme come from the released
body, links are sealed, nothing counts or names what was withheld. (Consent specification §2.8, leaks 5, 6, 13, 17.)
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from fhirgw.consent.applied import SUD
from fhirgw.consent.model import Json
from fhirgw.consent.predicate import ALWAYS, NEVER, Predicate, Visibility
from fhirgw.consent.redact import hidden_paths, redact
from fhirgw.consent.units import Path
from fhirgw.errors import InvalidElement
from fhirgw.store.narrowing import is_narrowed
from fhirgw.store.predicate import own_predicate
from fhirgw.store.repository import Stored
from fhirgw.store.stored import instant

MINUTE = 60_000_000
VERSION = 30
"""Hex digits of the version that an outsider is shown: 120 bits."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A resource in its released form.

    Attributes:
        stored: The row it came from.
        body: What the recipient gets; ``meta.versionId`` is always there.
        part2: Whether substance-use content is left in it.
    """

    stored: Stored
    body: Json
    part2: bool

    @property
    def reference(self) -> str:
        """Versioned reference, for the ledger."""
        return f"{self.stored.type}/{self.stored.id}/_history/{self.body['meta']['versionId']}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not yet accounted for.

    Attributes:
        body: A resource, or what was printed of resources.
        shown: What it shows, for the account.
        interaction: The FHIR interaction.
        media_type: Of the body.
        scopes: What the releases say of the Part 2 records in it, a sentence for each (42 CFR 2.32).
        about: Logical id of the Patient whom it tells of, where it shows no resource; '' else.
    """

    body: Json | bytes
    shown: Sequence[Shown]
    interaction: str
    media_type: str = "application/fhir+json"
    scopes: tuple[str, ...] = ()
    about: str = ""


def show(stored: Stored, visibility: Visibility) -> Shown | None:
    """The released form of a selected resource; None when it is not visible or cannot stand alone.

    Inside the programme: as stored. Outside: redacted, ``lastUpdated`` the last visible change, ``versionId`` a
    hash of the released body. What messages brought about places and people (``derived``) shows no time, nor does
    what a profile narrows: the last change may be one of what is cut.
    """
    if visibility.inside:
        return Shown(stored, stored.body, part2=False)
    predicate = _predicate(stored, visibility)
    profile = visibility.profile if stored.standing == "member" else None
    text = stored.content if isinstance(stored.content, bytes) else None
    body = redact(stored.undated, stored.labels, predicate, profile, text=text)
    if body is None:
        return None
    silent = stored.standing == "derived" or is_narrowed(profile, stored.type)
    time = {} if silent else {"lastUpdated": instant(stored.updated_at)}
    version = hashlib.sha256(orjson.dumps([body, time])).hexdigest()[:VERSION]
    return Shown(stored, _with_meta(body, {"versionId": version} | time), _shows(stored, body, predicate, SUD))


def _predicate(stored: Stored, visibility: Visibility) -> Predicate:
    """What of this resource is visible: as the store selects by."""
    if stored.standing == "member":
        return visibility.predicate_for(stored.patient)
    if stored.standing == "derived":
        return own_predicate(stored.labels.labels, stored.labels.conf)
    return ALWAYS if stored.standing == "registry" else NEVER


def _with_meta(body: Json, meta: Json) -> Json:
    """The body with its meta in the place FHIR gives it."""
    head: Json = {name: body[name] for name in ("resourceType", "id") if name in body}
    rest = {name: value for name, value in body.items() if name not in ("resourceType", "id", "meta")}
    return {**head, "meta": meta, **rest}


def _shows(stored: Stored, body: Json, predicate: Predicate, mask: int) -> bool:
    """Whether anything with one of these labels is left in the released body."""
    labels = stored.labels
    if labels.labels & mask:
        return True
    if not any(element.labels & mask for element in labels.elements):
        return False
    hidden = hidden_paths(stored.type, labels, predicate)
    return any(
        element.labels & mask
        and not any(element.path[:end] in hidden for end in range(1, len(element.path) + 1))
        and _is_left(stored.undated, body, element.path)
        for element in labels.elements
    )


def _is_left(stored: Json, body: Json, path: Path) -> bool:
    """Whether a visible element was not dropped with a contained resource, or as one that nothing refers to."""
    whole, left = stored[str(path[0])], body.get(str(path[0]))
    if left is None or not isinstance(whole, list):
        return left is not None
    return whole[int(path[1])] in left or "contained" not in stored


def distinct(versions: Sequence[Shown]) -> list[Shown]:
    """Versions, newest first, without those in which nothing visible changed, in the order of their shown times.

    The first of several that look alike stands for them; but the current one is as a read shows it.
    """
    kept: dict[str, list[Shown]] = {}
    for one in versions:
        newer = kept.setdefault(f"{one.stored.type}/{one.stored.id}", [])
        if not newer or _content(newer[-1]) != _content(one):
            newer.append(one)
        elif len(newer) > 1:
            newer[-1] = one
    shown = [one for key in sorted(kept) for one in kept[key]]
    return sorted(shown, key=lambda one: one.body["meta"].get("lastUpdated", ""), reverse=True)


def _content(shown: Shown) -> Json:
    return {name: value for name, value in shown.body.items() if name != "meta"}


def history(base: str, path: str, versions: Sequence[Shown]) -> Json:
    """The history Bundle, newest first."""
    bundle: Json = {"resourceType": "Bundle", "type": "history", "total": len(versions)}
    bundle["link"] = [{"relation": "self", "url": f"{base}/{path}/_history"}]
    if versions:
        bundle["entry"] = [_history_entry(base, one) for one in versions]
    return bundle


def _history_entry(base: str, shown: Shown) -> Json:
    stored, meta = shown.stored, shown.body["meta"]
    reference = f"{stored.type}/{stored.id}"
    response = {"status": "200", "etag": f'W/"{meta["versionId"]}"'}
    response |= {"lastModified": meta["lastUpdated"]} if "lastUpdated" in meta else {}
    if stored.deleted:
        request = {"method": "DELETE", "url": reference}
        return {"fullUrl": f"{base}/{reference}", "request": request, "response": response | {"status": "204"}}
    request = {"method": "PUT", "url": reference}
    return {"fullUrl": f"{base}/{reference}", "resource": shown.body, "request": request, "response": response}


def searchset(
    base: str,
    matches: Sequence[Shown],
    included: Sequence[Shown],
    *,
    total: int,
    links: Sequence[tuple[str, str]],
    ignored: Sequence[str],
) -> Json:
    """The searchset Bundle; unknown parameters are reported in an outcome entry."""
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": total}
    bundle["link"] = [{"relation": relation, "url": url} for relation, url in links]
    entries = [
        {
            "fullUrl": f"{base}/{one.stored.type}/{one.stored.id}",
            "resource": one.body,
            "search": {"mode": mode},
        }
        for mode, shown in (("match", matches), ("include", included))
        for one in shown
    ]
    if ignored:
        entries.append({"resource": _ignored(ignored), "search": {"mode": "outcome"}})
    if entries:
        bundle["entry"] = entries
    return bundle


def _ignored(names: Sequence[str]) -> Json:
    text = "Parameters that are not known here were ignored: " + ", ".join(sorted(names))
    issue = {"severity": "warning", "code": "not-supported", "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def http_date(moment: str) -> str:
    """A FHIR instant as an HTTP date (RFC 9110 §5.6.7)."""
    return datetime.fromisoformat(moment).strftime("%a, %d %b %Y %H:%M:%S GMT")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which search a page begins. ``after`` None: at the start."""

    type: str
    parameters: tuple[tuple[str, str], ...]
    strict: bool
    by_post: bool
    after: tuple[Any, ...] | None


class PageSeal:
    """Page tokens: bound to a recipient, a purpose and a query, expiring, and saying nothing to anyone.

    AES-SIV is deterministic: the token is a function of what is visible, like everything else in an answer.
    """

    def __init__(self, key: bytes, life_seconds: int) -> None:
        """Seal with a 64-byte key; tokens live that long, to the minute."""
        self._cipher = AESSIV(key)
        self._life = life_seconds * 1_000_000

    def seal(self, place: Place, bound_to: Sequence[str], now: int) -> str:
        """The token of a place."""
        expires = (now + self._life) // MINUTE
        plain = orjson.dumps([place.type, place.parameters, place.strict, place.by_post, place.after, expires])
        sealed = self._cipher.encrypt(plain, [part.encode() for part in bound_to])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, token: str, bound_to: Sequence[str], now: int) -> Place:
        """The place of a token.

        Raises:
            InvalidElement: Not a token of this recipient and purpose, or expired.
        """
        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            plain = self._cipher.decrypt(sealed, [part.encode() for part in bound_to])
        except (InvalidTag, ValueError):
            raise InvalidElement("This page link is not one of yours.", location="_page") from None
        kind, parameters, strict, by_post, after, expires = orjson.loads(plain)
        if now // MINUTE > expires:
            raise InvalidElement("This page link has expired; search again.", location="_page")
        pairs = tuple((name, value) for name, value in parameters)
        return Place(kind, pairs, strict, by_post, tuple(after) if after is not None else None)


def page_url(base: str, token: str) -> str:
    """The URL of a page."""
    return f"{base}?{urlencode({'_page': token})}"
