"""Clients: what may be registered, what a scope covers, and that an ended registration stays ended."""

from dataclasses import replace

import orjson
import pytest
from empty_store import empty_store
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from fhirgw.errors import InvalidElement
from fhirgw.store import clients
from fhirgw.store.clients import SCOPE, scope_allows, scopes_meet
from fhirgw.store.database import Database


@pytest.fixture
def database(tmp_path):
    time = iter(range(1_000_000, 100_000_000, 1_000_000))
    database = Database(empty_store(tmp_path / "store.db"), clock=lambda: next(time))
    yield database
    database.close()


def register(database, client):
    database.write_sync(lambda tx: clients.register(tx, client))


def found(database, name):
    with database.read() as connection:
        return clients.find(connection, name)


def test_what_was_registered_is_found(database, registered):
    client = replace(registered["agency"], inside=frozenset({"adv", "pbt"}), notify_url="https://a.example.org/n")
    register(database, client)
    register(database, registered["pcmh"])
    assert found(database, "agency") == client
    assert found(database, "nobody") is None
    with database.read() as connection:
        assert [one.id for one in clients.registered(connection)] == ["agency", "pcmh"]


def test_an_ended_registration_stays_ended_and_its_id_is_never_used_again(database, registered):
    register(database, registered["pcmh"])
    assert database.write_sync(lambda tx: clients.revoke(tx, "pcmh"))
    assert not database.write_sync(lambda tx: clients.revoke(tx, "pcmh"))
    assert not database.write_sync(lambda tx: clients.revoke(tx, "nobody"))
    assert found(database, "pcmh").revoked
    with pytest.raises(InvalidElement, match="registered before"):
        register(database, registered["pcmh"])
    assert found(database, "pcmh").revoked


def jwks(*keys, private=False):
    return orjson.dumps(KeySet(list(keys)).as_dict(private=private)).decode()


BAD_KEYS = {
    "no JSON": lambda ec: "{",
    "no set": lambda ec: "[]",
    "no keys": lambda ec: '{"keys": []}',
    "keys that are none": lambda ec: '{"keys": [7]}',
    "no kid": lambda ec: orjson.dumps(
        {"keys": [{k: v for k, v in ec.as_dict(private=False).items() if k != "kid"}]}
    ).decode(),
    "a kid twice": lambda ec: jwks(ec, ec),
    "a private key": lambda ec: jwks(ec, private=True),
    "a secret": lambda ec: jwks(OctKey.generate_key(512, {"kid": "s"}), private=True),
    "another curve": lambda ec: jwks(ECKey.generate_key("P-256", {"kid": "p256"})),
    "another kind": lambda ec: jwks(OKPKey.generate_key("Ed25519", {"kid": "ed"})),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_only_public_keys_that_can_verify_are_registered(database, registered, private, name):
    with pytest.raises(InvalidElement) as refused:
        register(database, replace(registered["pcmh"], jwks=BAD_KEYS[name](private["ec"])))
    assert refused.value.location == "jwks"


@pytest.mark.filterwarnings("ignore:.*2048:joserfc.errors.SecurityWarning")
def test_a_short_rsa_key_is_not_registered(database, registered):
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    short = rsa.generate_private_key(65537, 1024).public_key()
    pem = short.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = jwks(RSAKey.import_key(pem, {"kid": "short"}))
    with pytest.raises(InvalidElement, match="2048"):
        register(database, replace(registered["pcmh"], jwks=keys))


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "a b"},
        {"id": "x" * 129},
        {"scopes": ()},
        {"scopes": ("system/Patient.read",)},
        {"scopes": ("system/Patient.sr",)},
        {"scopes": ("system/Patient.",)},
        {"scopes": ("system/patient.rs",)},
        {"scopes": ("user/Patient.rs",)},
        {"scopes": ("system/Patient.rs?status=active",)},
        {"purposes": ()},
        {"purposes": ("treat",)},
        {"purposes": ("TREAT COC",)},
    ],
)
def test_a_registration_that_says_nothing_clear_is_refused(database, registered, change):
    with pytest.raises(InvalidElement):
        register(database, replace(registered["pcmh"], **change))


def test_an_assertion_is_used_once_and_forgotten_when_it_has_expired(database):
    def use(client, jti, expires):
        return database.write_sync(lambda tx: clients.use_assertion(tx, client, jti, expires))

    assert use("a", "1", 5_000_000)
    assert not use("a", "1", 5_000_000)
    assert use("b", "1", 50_000_000)
    assert use("a", "2", 50_000_000)
    assert not use("a", "1", 5_000_000), "expired by now, and still refused"
    assert use("a", "3", 50_000_000)
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT client, jti FROM used_assertion ORDER BY client, jti").all()
    assert [tuple(row) for row in rows] == [("a", "2"), ("a", "3"), ("b", "1")]


# --- scopes -------------------------------------------------------------------------------------------------------

KINDS = ("Patient", "CarePlan", "Goal")
actions = st.sets(st.sampled_from("cruds"), min_size=1).map(lambda some: "".join(a for a in "cruds" if a in some))
scope = st.builds(lambda kind, some: f"system/{kind}.{some}", st.sampled_from((*KINDS, "*")), actions)
scopes = st.lists(scope | st.sampled_from(["openid", "patient/Patient.rs", "system/Patient.read"]), max_size=5)


@given(scopes, scopes)
def test_a_client_gets_what_both_sides_have(asked, held):
    met = scopes_meet(asked, held)
    assert all(SCOPE.fullmatch(one) for one in met)
    for kind in (*KINDS, "Task"):
        for action in "cruds":
            both = scope_allows(asked, kind, action) and scope_allows(held, kind, action)
            assert scope_allows(met, kind, action) == both


@given(scopes)
def test_meeting_again_changes_nothing(held):
    met = scopes_meet(held, held)
    assert scopes_meet(met, held) == scopes_meet(held, met) == scopes_meet(met, met) == met


@pytest.mark.parametrize(
    "odd", ["system/Patient.rs ", "system/Patient.rsx", "system/Patient", "system/*.*", "", "*"]
)
def test_what_is_no_scope_allows_nothing(odd):
    assert not any(scope_allows([odd], "Patient", action) for action in "cruds")
