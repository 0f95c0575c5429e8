"""An ICM case becomes resources: whole, or not at all."""

import hashlib
from collections.abc import Mapping

from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import InvalidElement, ProfileViolation
from fhirgw.icm.model import Case
from fhirgw.ingest.precedence import put, withdraws
from fhirgw.mappers.icm import map_case, person
from fhirgw.mappers.visit import merge_patient
from fhirgw.programs import Program
from fhirgw.referral import Referrals
from fhirgw.store import identity, policy
from fhirgw.store.database import Database, Transaction


class Cases:
    """Stores cases."""

    def __init__(self, database: Database, *, programs: Mapping[str, Program], id_key: bytes) -> None:
        """Compose; the arguments are those of ``Ingest``."""
        self._database = database
        self._programs = programs
        self._id_key = id_key
        self._referrals = Referrals(programs, id_key, put)

    async def store(self, case: Case) -> bool:
        """Store an ICM case whole, or not at all; False when these bytes were stored before.

        Raises:
            InvalidElement: The case names a programme that is not here.
            ExceptionGroup: Everything that is wrong with it.
        """
        return await self._database.write(lambda tx: self._store(tx, case))

    def _store(self, tx: Transaction, case: Case) -> bool:
        program = self._programs.get(case.program)
        if program is None:
            raise InvalidElement("There is no such programme here.", location="program")
        digest = hashlib.sha256(case.model_dump_json().encode()).digest()
        if identity.case_digest(tx.connection, case.key) == digest:
            return False
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
        identity.note_case(tx, case.key, digest, patient)
        self._referrals.settle(tx, patient, None)
        return True


def _person(tx: Transaction, case: Case) -> str | None:
    """Who the case is about, where the person or the case is known; by any identifier, in whatever order.

    Raises:
        ProfileViolation: The identifiers, or the case's key, belong to somebody else here.
    """
    known = identity.homes(tx.connection, case.identifiers())
    if len(known) > 1:  # what a hospital merged stays two cases, until the programme's own system says it is one
        known = identity.find(tx.connection, case.identifiers())
    earlier = identity.case_patient(tx.connection, case.key)
    if len(known) > 1:
        text = "These identifiers belong to different people here; a person must look at it."
        raise ProfileViolation(text, location="member.identifiers")
    if earlier and known and earlier not in known:
        text = "This case was another person's when it was stored before; a person must look at it."
        raise ProfileViolation(text, location="key")
    return known.pop() if known else earlier
