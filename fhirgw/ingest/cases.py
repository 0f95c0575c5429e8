"""An ICM case becomes resources: whole, or not at all."""

import asyncio
from collections.abc import Mapping

from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import Forbidden, InvalidElement, ProfileViolation, VersionConflict
from fhirgw.icm.model import Case
from fhirgw.icm.statements import Records, Statement, statement
from fhirgw.ingest.precedence import put, withdraws
from fhirgw.mappers.icm import map_case, person
from fhirgw.mappers.visit import merge_patient
from fhirgw.programs import Program
from fhirgw.referral import Referrals
from fhirgw.store import identity, policy
from fhirgw.store.database import Database, Transaction
from fhirgw.store.identity import KnownCase


class Cases:
    """Stores cases."""

    def __init__(self, database: Database, *, programs: Mapping[str, Program], id_key: bytes) -> None:
        """Compose; the arguments are those of ``Ingest``."""
        self._database = database
        self._programs = programs
        self._id_key = id_key
        self._referrals = Referrals(programs, id_key, put)

    async def store(self, case: Case) -> bool:
        """Store a case; as ``take``."""
        return await self.take(statement(case.model_dump_json().encode()))

    async def take(self, stated: Statement, programs: frozenset[str] | None = None) -> bool:
        """Store what is stated of a case whole, or not at all; False when it is known, or something newer is.

        Args:
            stated: A case, or records of one.
            programs: Of which the case may be; None: of any.

        Raises:
            InvalidElement: The case names a programme that is not here; records are of a case that is not here; the
                case has versions, and this states none.
            VersionConflict: Something else was stated as this version.
            Forbidden: The case is another programme's.
            ExceptionGroup: Everything that is wrong with it.
        """
        whole = await asyncio.to_thread(self._read, stated)  # what takes time, before the writer is held
        return await self._database.write(lambda tx: self._take(tx, stated, whole, programs))

    def _read(self, stated: Statement) -> Case | None:
        """The case, where it is stated whole and is news; None where only the unit of work can say."""
        with self._database.read() as connection:
            news = _is_news(stated, identity.case(connection, stated.key))
        return stated.case(None) if news and not isinstance(stated.content, Records) else None

    def _take(
        self, tx: Transaction, stated: Statement, whole: Case | None, programs: frozenset[str] | None
    ) -> bool:
        known = identity.case(tx.connection, stated.key)
        if not _is_news(stated, known):
            return False
        case = whole or stated.case(known.body if known else None)
        if case.key != stated.key:
            raise InvalidElement("The key of a case never changes.", location="key")
        if programs is not None and case.program not in programs:
            raise Forbidden("This client does not serve the programme of the case.")
        patient = self._store(tx, case)
        body = case.model_dump_json(exclude_unset=True).encode()
        identity.note_case(tx, case.key, KnownCase(case.version, stated.digest, body, patient))
        return True

    def _store(self, tx: Transaction, case: Case) -> str:
        """Store a case whole; whose it is."""
        program = self._programs.get(case.program)
        if program is None:
            raise InvalidElement("There is no such programme here.", location="program")
        known = _person(tx, case)
        resources = map_case(case, program, self._id_key, patient_id=known)
        patient = known or next(one["id"] for one in resources if one["resourceType"] == "Patient")
        identity.bind(tx, case.identifiers(), patient)
        identity.picture(tx, patient, "icm", person(case, self._id_key))
        source = BITS["SUD"] if program.part2 else 0
        merged = identity.linked(tx.connection, merge_patient(patient, identity.pictures(tx.connection, patient)))
        status: str = case.relation
        for resource in resources:
            if resource["resourceType"] == "Patient":  # of several sources: what one of them hid stays hidden
                kept = put(tx, merged, source=source or None)
            else:
                kept = put(tx, resource, source=source)
            if withdraws(kept):
                status = "opted-out"
        policy.enrol(tx, patient, case.program, status)
        self._referrals.settle(tx, patient, None)
        return patient


def _is_news(stated: Statement, known: KnownCase | None) -> bool:
    """Whether this was not stated before, and nothing newer was."""
    if known is None:
        if isinstance(stated.content, Records):
            raise InvalidElement("There is no such case here: state it whole first.", location="case")
        return True
    if stated.digest == known.digest:
        return False
    if known.version is None:
        return True
    if stated.version is None:
        raise InvalidElement("This case has versions: state which one this is.", location="version")
    if stated.version == known.version:
        raise VersionConflict("Something else was stated as this version of the case.", location="version")
    return stated.version > known.version


def _person(tx: Transaction, case: Case) -> str | None:
    """Who the case is about, where the person or the case is known; by any identifier, in whatever order.

    Raises:
        ProfileViolation: The identifiers, or the case's key, belong to somebody else here.
    """
    known = identity.homes(tx.connection, case.identifiers())
    if len(known) > 1:  # what a hospital merged stays two cases, until the programme's own system says it is one
        known = identity.find(tx.connection, case.identifiers())
    before = identity.case(tx.connection, case.key)
    earlier = before.patient if before else None
    if len(known) > 1:
        text = "These identifiers belong to different people here; a person must look at it."
        raise ProfileViolation(text, location="member.identifiers")
    if earlier and known and earlier not in known:
        text = "This case was another person's when it was stored before; a person must look at it."
        raise ProfileViolation(text, location="key")
    return known.pop() if known else earlier
