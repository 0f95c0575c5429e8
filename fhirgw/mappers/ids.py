"""Logical ids: the same key and the same facts give the same id, and nobody without the key can guess one."""

import hashlib
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
    taken, over = _keyed(key)
    inner, outer = taken.copy(), over.copy()
    inner.update(b"".join([len(said := part.encode()).to_bytes(4, "big") + said for part in parts]))
    outer.update(inner.digest())
    bits = int.from_bytes(outer.digest()[:17], "big") >> 6
    return "".join([_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])


@lru_cache(maxsize=16)
def _keyed(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """The inner and the outer hash of HMAC (RFC 2104) with the key taken in, which costs more than a whole id."""
    block = (key if len(key) <= 64 else hashlib.sha256(key).digest()).ljust(64, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
    return inner, outer
