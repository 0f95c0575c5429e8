"""A resource written by the programme's own system, and what an operator does to one: each in the ledger."""

from collections.abc import Callable
from dataclasses import dataclass

from fhirgw.asks import Requester
from fhirgw.audit import Entry, Ledger
from fhirgw.consent.model import Json
from fhirgw.errors import Forbidden, NotFound, VersionConflict
from fhirgw.ingest.removal import remove
from fhirgw.ingest.returns import Returns
from fhirgw.mappers.ids import resource_id
from fhirgw.profiles.validation import require_valid
from fhirgw.store import identity, policy, repository, visits
from fhirgw.store.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a create or update."""

    type: str
    id: str
    created: bool


class Resources:
    """Writes single resources."""

    def __init__(self, database: Database, ledger: Ledger, returns: Returns, *, new_id: Callable[[], str]) -> None:
        """Compose; the arguments are those of ``Ingest``, and who knows what a resource says of a case."""
        self._database = database
        self._ledger = ledger
        self._returns = returns
        self._new_id = new_id

    async def revoke(self, patient: str, tokens: frozenset[str], *, written: bool) -> list[str]:
        """End every ROI of the patient that names the recipient, at once; the Consents that ended.

        Oral is enough (consent specification §2.4): the paper may follow.
        """
        return await self._database.write(lambda tx: self._revoke(tx, patient, tokens, written=written))

    def _revoke(self, tx: Transaction, patient: str, tokens: frozenset[str], *, written: bool) -> list[str]:
        ended = []
        for consent in policy.releases(tx.connection, patient, tokens):
            repository.put(tx, {**consent, "status": "inactive"})
            reference = f"Consent/{consent['id']}"
            how = "written" if written else "oral"
            repository.put(tx, self._revocation(reference, how, tx.now))
            ended.append(reference)
        entry = Entry(
            patient, "operator", None, "PATRQT", False, "consent-revoke", tuple(ended), (), self._new_id()
        )
        self._ledger.append(tx, [entry])
        return ended

    def _revocation(self, target: str, how: str, now: int) -> Json:
        return {
            "resourceType": "Provenance",
            "id": self._new_id(),
            "target": [{"reference": target}],
            "recorded": repository.instant(now),
            "activity": {"text": f"Revoked by the member ({how})"},
            "agent": [{"who": {"display": "the member"}}],
        }

    async def write(
        self,
        requester: Requester,
        resource: Json,
        *,
        id: str | None,
        if_match: str | None,
    ) -> Written:
        """Create (``id`` None) or update a resource for the programme's own system.

        What it says of a case comes back to that system, and is stored as the case will say it.

        Raises:
            Forbidden: The client is not of the programme.
            NotFound: The patient is not of the client's programmes.
            VersionConflict: ``if_match`` is not the current version.
            ExceptionGroup: Everything that is wrong with the resource.
        """
        if requester.inside is None:
            raise Forbidden("This client may not write.")
        body = {**resource, "id": id or self._new_id()}
        require_valid(body)
        expected = _version(if_match)
        return await self._database.write(lambda tx: self._write(tx, requester, body, expected, new=id is None))

    def _write(
        self, tx: Transaction, requester: Requester, body: Json, expected: int | None, *, new: bool
    ) -> Written:
        if back := self._returns.read(tx, requester.inside, body, new=new):
            body = back.resource
        kind, logical = body["resourceType"], body["id"]
        before = repository.current(tx.connection, kind, logical)
        theirs = before is not None and not _inside(tx, requester, before)
        if expected is not None and (before is None or theirs or before.version != expected):
            raise VersionConflict("The resource was changed since you read it.")
        if theirs:
            raise NotFound
        if back:
            stored = self._returns.take(tx, back)
        else:
            stored = repository.put(tx, identity.linked(tx.connection, body) if kind == "Patient" else body)
        visits.fold_anew(tx, visits.scopes_with(tx.direct, kind, logical))
        if not _inside(tx, requester, stored):
            raise NotFound
        if kind == "Patient":
            pairs = [(one["system"], one["value"]) for one in body.get("identifier", ()) if "system" in one]
            identity.bind(tx, pairs, logical)
            picture = {name: value for name, value in body.items() if name not in ("id", "meta")}
            identity.picture(tx, logical, "icm", picture)
        said = "update" if before else "create"
        self._account(tx, requester, stored, said)
        return Written(kind, logical, created=before is None)

    async def delete(self, requester: Requester, kind: str, logical: str, *, if_match: str | None) -> int:
        """Delete what the programme's own system wrote; the version that says so, new or not.

        Raises:
            Forbidden: The client is not of the programme.
            NotFound: There never was such a resource, or it is of nobody in the client's programmes.
            VersionConflict: ``if_match`` is not the current version.
            StillNeeded: It would come again, or holds something else up.
        """
        if requester.inside is None:
            raise Forbidden("This client may not write.")
        expected = _version(if_match)
        return await self._database.write(lambda tx: self._delete(tx, requester, kind, logical, expected))

    def _delete(self, tx: Transaction, requester: Requester, kind: str, logical: str, expected: int | None) -> int:
        before = repository.last(tx, kind, logical)
        if before is None or not _inside(tx, requester, before):
            raise NotFound
        if expected is not None and before.version != expected:
            raise VersionConflict("The resource was changed since you read it.")
        if before.deleted:
            return before.version
        removed = remove(tx, before, self._returns)
        self._account(tx, requester, removed, "delete")
        return removed.version

    def _account(self, tx: Transaction, requester: Requester, stored: repository.Stored, said: str) -> None:
        entry = Entry(
            stored.patient,
            requester.client,
            f"Organization/{requester.organization}",
            requester.purpose,
            False,
            said,
            (f"{stored.type}/{stored.id}/_history/{stored.version}",),
            (),
            requester.request_id,
        )
        self._ledger.append(tx, [entry])


def register_organization(tx: Transaction, id_key: bytes, system: str, value: str, name: str) -> str:
    """The logical id of the Organization with this identifier; written as registered, public to every client."""
    logical = resource_id(id_key, "Organization", system, value)
    body: Json = {"resourceType": "Organization", "id": logical, "active": True, "name": name}
    body["identifier"] = [{"system": system, "value": value}]
    require_valid(body)
    repository.put(tx, body, standing="registry")
    return logical


def _inside(tx: Transaction, requester: Requester, stored: repository.Stored) -> bool:
    """Whether the resource is of a member of the requester's programmes."""
    if requester.inside is None:
        return False
    if "*" in requester.inside:
        return True
    if stored.patient is None:
        return False
    return any(program in requester.inside for program, _ in policy.enrolments(tx.connection, stored.patient))


def _version(if_match: str | None) -> int | None:
    """The version an If-Match header names: ``W/"3"``."""
    if if_match is None:
        return None
    digits = if_match.removeprefix("W/").strip('"')
    if not digits.isdecimal():
        raise VersionConflict("If-Match names no version of this resource.")
    return int(digits)
