"""Laws of logical ids."""

import base64
import hmac
import re

from hypothesis import given
from hypothesis import strategies as st

from fhirgw.mappers.ids import resource_id

PARTS = st.lists(st.text(max_size=8), max_size=4)


@given(PARTS, PARTS)
def test_equal_parts_and_only_they_give_equal_ids(left: list[str], right: list[str]) -> None:
    assert (resource_id(b"test", *left) == resource_id(b"test", *right)) == (left == right)


@given(PARTS)
def test_an_id_is_a_fhir_id(parts: list[str]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", resource_id(b"test", *parts))


def test_another_key_gives_another_id() -> None:
    assert resource_id(b"test", "Patient", "s", "v") != resource_id(b"other", "Patient", "s", "v")


@given(st.binary(max_size=130), PARTS)
def test_an_id_is_the_beginning_of_an_hmac_in_base32(key: bytes, parts: list[str]) -> None:
    message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    mac = base64.b32encode(hmac.digest(key, message, "sha256")[:20])
    assert resource_id(key, *parts) == mac[:26].decode().lower()


def test_an_id_never_changes_between_releases() -> None:
    """Stored references depend on it."""
    assert resource_id(b"test", "Patient", "urn:oid:1.2.3", "TEST-1") == "6dn3aueklsegyf7f2frxaogtig"
