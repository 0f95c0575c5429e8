"""A resource of another FHIR server, the programme's own system's, becomes one of this store.

It gets an id of this store, and so do its references; a Patient, or an Organization, that is known here by an
identifier is that one. Labels of the source can only raise what is computed here. A resource that is refused spoils
itself alone: it is kept with the reason, and tried again. (docs/decisions/0233)
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from fhirgw.consent.model import Json
from fhirgw.errors import GatewayError, InvalidElement, ProfileViolation
from fhirgw.ingest.precedence import put, withdraws
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.visit import merge_patient
from fhirgw.profiles.expressions import literal
from fhirgw.profiles.validation import require_valid
from fhirgw.programs import Program
from fhirgw.store import identity, imports, parties, policy, repository
from fhirgw.store.database import Database, Transaction
from fhirgw.store.mirror import Key
from fhirgw.terminology import BASE

Outcome = Literal["stored", "known", "own", "refused", "deleted"]
REVIEWED = f"{BASE}/CodeSystem/icm-text-review"
PROGRAM = f"{BASE}/CodeSystem/icm-program"
_RELATIONS = {
    "planned": "candidate",
    "waitlist": "candidate",
    "active": "active",
    "onhold": "active",
    "finished": "finished",
    "cancelled": "finished",
}
"""EpisodeOfCare.status ► the relation to the programme."""


class Pulled:
    """Stores what another FHIR server holds."""

    def __init__(self, database: Database, *, programs: Mapping[str, Program], id_key: bytes) -> None:
        """Compose; the arguments are those of ``Ingest``."""
        self._database = database
        self._programs = programs
        self._id_key = id_key

    async def take(self, base: str, resource: Json) -> tuple[Outcome, str | None]:
        """Store a resource of the source at ``base``: what became of it, and why it was refused."""
        key = _key(resource)
        digest = _digest(resource)
        try:
            return await self._database.write(lambda tx: self._take(tx, base, resource, digest)), None
        except (GatewayError, ExceptionGroup) as error:
            why = "; ".join(_texts(error))
        body = orjson.dumps(resource)
        note = imports.note
        await self._database.write(lambda tx: note(tx, base, key, "refused", digest, error=why, body=body))
        return "refused", why

    async def again(self, base: str) -> list[tuple[Key, Outcome, str | None]]:
        """Try what was refused once more: what it refers to may be here now."""
        with self._database.read() as connection:
            waiting = list(imports.refused(connection, base))
        return [(seen.key, *(await self.take(base, dict(body)))) for seen, body in waiting]

    async def delete(self, base: str, key: Key) -> Outcome:
        """The source has deleted it: it is deleted here, unless it is another source's as well."""
        return await self._database.write(lambda tx: self._delete(tx, base, key))

    def _take(self, tx: Transaction, base: str, resource: Json, digest: bytes) -> Outcome:
        key = _key(resource)
        seen = imports.find(tx.direct, base, key)
        sent = imports.sent_there(tx.direct, base, key)
        if sent is not None:
            if (
                resource.get("meta", {}).get("versionId") == sent[1]
                or hashlib.sha256(_plain(resource)).digest() == sent[0]
            ):
                return "own"
            raise ProfileViolation("Somebody else's edit of what this gateway sent there.")
        if seen is not None and seen.state == "stored" and seen.digest == digest:
            return "known"
        body = self._local(tx, base, resource)
        kept = self._patient(tx, base, body) if key[0] == "Patient" else self._other(tx, body)
        imports.note(tx, base, key, "stored", digest, local=body["id"])
        repository.put(tx, _provenance(self._id_key, base, resource, body["id"], repository.instant(tx.now)))
        self._enrol(tx, kept)
        return "stored"

    def _other(self, tx: Transaction, body: Json) -> repository.Stored:
        return put(tx, body)

    def _patient(self, tx: Transaction, base: str, body: Json) -> repository.Stored:
        """The source's picture of a person, beside those of others."""
        require_valid(body)
        identity.bind(tx, _identifiers(body), body["id"])
        picture = {name: value for name, value in body.items() if name not in ("id", "meta")}
        identity.picture(tx, body["id"], f"fhir {hashlib.sha256(base.encode()).hexdigest()[:24]}", picture)
        merged = merge_patient(body["id"], identity.pictures(tx.connection, body["id"]))
        return put(tx, identity.linked(tx.connection, merged | ({"meta": body["meta"]} if "meta" in body else {})))

    def _enrol(self, tx: Transaction, kept: repository.Stored) -> None:
        """An EpisodeOfCare of a programme says how somebody stands to it; an opt-in that ended ends all of it."""
        if kept.patient is None:
            return
        if withdraws(kept):
            for program, _ in policy.enrolments(tx.connection, kept.patient):
                policy.enrol(tx, kept.patient, program, "opted-out")
        if kept.type != "EpisodeOfCare":
            return
        codings = [one for concept in kept.body.get("type", ()) for one in concept.get("coding", ())]
        for coding in codings:
            if coding.get("system") == PROGRAM and coding.get("code") in self._programs:
                self._stand(tx, kept.patient, coding["code"], kept.body["status"])

    def _stand(self, tx: Transaction, patient: str, program: str, status: str) -> None:
        left = dict(policy.enrolments(tx.connection, patient)).get(program) == "opted-out"
        if status in _RELATIONS and not left:
            policy.enrol(tx, patient, program, _RELATIONS[status])

    def _delete(self, tx: Transaction, base: str, key: Key) -> Outcome:
        seen = imports.find(tx.direct, base, key)
        if seen is None or seen.local is None or seen.state == "deleted":
            return "known"
        imports.note(tx, base, key, "deleted", b"")
        if key[0] not in ("Patient", "Organization"):  # of which others speak as well
            repository.delete(tx, key[0], seen.local)
            repository.delete(tx, "Provenance", resource_id(self._id_key, "Provenance", "import", base, *key))
        return "deleted"

    # --- ids ------------------------------------------------------------------------------------------------------

    def _local(self, tx: Transaction, base: str, resource: Json) -> Json:
        """The resource under its id here, with references to what is here."""
        body = self._refer(
            tx, base, {name: value for name, value in resource.items() if name not in ("id", "meta")}
        )
        head: Json = {"resourceType": resource["resourceType"], "id": self._id(tx, base, resource)}
        return head | _meta(resource) | {name: value for name, value in body.items() if name != "resourceType"}

    def _id(self, tx: Transaction, base: str, resource: Json) -> str:
        key = _key(resource)
        seen = imports.find(tx.direct, base, key)
        if seen is not None and seen.local is not None:
            return seen.local
        if key[0] == "Patient":
            known = identity.find(tx.connection, _identifiers(resource))
            if len(known) > 1:
                raise ProfileViolation("These identifiers belong to different people here.", location="identifier")
            if known:
                return known.pop()
        if key[0] == "Organization":
            found = (parties.organization(tx.connection, f"{at}|{value}") for at, value in _identifiers(resource))
            if here := next(filter(None, found), None):
                return here
        return self._made(base, key)

    def _made(self, base: str, key: Key) -> str:
        return resource_id(self._id_key, key[0], "import", base, key[1])

    def _refer(self, tx: Transaction, base: str, element: Any) -> Any:
        if isinstance(element, list):
            return [self._refer(tx, base, one) for one in element]
        if not isinstance(element, dict):
            return element
        body = {name: self._refer(tx, base, value) for name, value in element.items()}
        reference = body.get("reference")
        if isinstance(reference, str):
            relative = reference.removeprefix(f"{base}/")
            target = None if "://" in relative or relative.startswith(("#", "urn:")) else literal(relative)
            if target is not None:
                body["reference"] = f"{target[0]}/{self._target(tx, base, target)}"
        return body

    def _target(self, tx: Transaction, base: str, key: Key) -> str:
        seen = imports.find(tx.direct, base, key)
        if seen is not None and seen.local is not None:
            return seen.local
        if imports.sent_there(tx.direct, base, key) is not None:
            return key[1]
        if key[0] == "Patient":
            raise InvalidElement("It refers to a Patient of the source that is not here.", location="Patient")
        return self._made(base, key)


def _key(resource: Json) -> Key:
    return resource["resourceType"], resource["id"]


def _plain(resource: Json) -> bytes:
    """As the mirror sends it."""
    meta = {
        name: value for name, value in resource.get("meta", {}).items() if name in ("profile", "security", "tag")
    }
    rest = {name: value for name, value in resource.items() if name not in ("meta", "resourceType", "id")}
    head = {"resourceType": resource["resourceType"], "id": resource["id"]}
    return orjson.dumps(head | ({"meta": meta} if meta else {}) | rest)


def _digest(resource: Json) -> bytes:
    meta = {
        name: value
        for name, value in resource.get("meta", {}).items()
        if name not in ("versionId", "lastUpdated", "source")
    }
    return hashlib.sha256(orjson.dumps({**resource, "meta": meta}, option=orjson.OPT_SORT_KEYS)).digest()


def _meta(resource: Json) -> Json:
    """Profiles, labels and tags of the source, but for what would clear text of its labels: that is said here."""
    meta = resource.get("meta", {})
    kept = {name: meta[name] for name in ("profile", "security") if name in meta}
    if tags := [one for one in meta.get("tag", ()) if one.get("system") != REVIEWED]:
        kept["tag"] = tags
    return {"meta": kept} if kept else {}


def _identifiers(resource: Json) -> list[tuple[str, str]]:
    found = resource.get("identifier", ())
    return [(one["system"], one["value"]) for one in found if one.get("system") and one.get("value")]


def _provenance(key: bytes, base: str, resource: Json, local: str, at: str) -> Json:
    """Where it came from: the version at the source."""
    kind, logical = _key(resource)
    version = resource.get("meta", {}).get("versionId")
    url = f"{base}/{kind}/{logical}" + (f"/_history/{version}" if version else "")
    return {
        "resourceType": "Provenance",
        "id": resource_id(key, "Provenance", "import", base, kind, logical),
        "target": [{"reference": f"{kind}/{local}"}],
        "recorded": at,
        "agent": [{"who": {"identifier": {"system": "urn:ietf:rfc:3986", "value": base}}}],
        "entity": [{"role": "source", "what": {"reference": url}}],
    }


def _texts(error: Exception) -> list[str]:
    """What is wrong, without a word of content."""
    if isinstance(error, ExceptionGroup):
        return [text for each in error.exceptions for text in _texts(each)]
    if isinstance(error, GatewayError):
        return [f"{error.location}: {error.text}" if error.location else error.text]
    return [type(error).__name__]
