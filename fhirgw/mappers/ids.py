"""Logical ids: the same key and the same facts give the same id, and nobody without the key can guess one."""

import hmac
from functools import lru_cache

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # base32 (RFC 4648), in lower case
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS = range(120, -10, -10)  # 26 characters: 130 bits of the MAC, ten at a time


@lru_cache(maxsize=16384)  # each fold asks for the ids of the visit, of the ward, of the person
def resource_id(key: bytes, *parts: str) -> str:
    r"""The logical id owned by these parts.

    Lower-case base32 of HMAC-SHA256 over the parts, each prefixed with its length in bytes so that no two lists of
    parts can run together: 26 characters, inside FHIR's ``[A-Za-z0-9\-\.]{1,64}`` (R4, datatypes, id).

    Args:
        key: The deployment's id key; fixtures use ``b"test"``.
        parts: First the resource type, then the parts of the key that owns the resource.
    """
    mac = _keyed(key).copy()
    mac.update(b"".join([len(said := part.encode()).to_bytes(4, "big") + said for part in parts]))
    bits = int.from_bytes(mac.digest()[:17], "big") >> 6
    return "".join([_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> hmac.HMAC:
    """The MAC before any part: to take the key in costs more than a whole id."""
    return hmac.new(key, digestmod="sha256")
