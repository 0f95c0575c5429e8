"""Logical ids: the same key and the same facts give the same id, and nobody without the key can guess one."""

import base64
import hmac
from functools import lru_cache

_LENGTH = 26  # characters of base32: 130 bits of the MAC


@lru_cache(maxsize=16384)  # each fold asks for the ids of the visit, of the ward, of the person
def resource_id(key: bytes, *parts: str) -> str:
    r"""The logical id owned by these parts.

    Lower-case base32 of HMAC-SHA256 over the parts, each prefixed with its length in bytes so that no two lists of
    parts can run together: 26 characters, inside FHIR's ``[A-Za-z0-9\-\.]{1,64}`` (R4, datatypes, id).

    Args:
        key: The deployment's id key; fixtures use ``b"test"``.
        parts: First the resource type, then the parts of the key that owns the resource.
    """
    encoded = [part.encode() for part in parts]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
    mac = hmac.digest(key, message, "sha256")
    return base64.b32encode(mac[:20])[:_LENGTH].decode().lower()
