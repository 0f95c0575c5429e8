"""The index of who may be whom: a row per person and key (``matching.keys``), kept up with every Patient."""

from collections.abc import Iterable

import orjson
from sqlalchemy import Connection, Text, bindparam, delete, insert, or_, select

from fhirgw.consent.model import Json
from fhirgw.matching import keys, traits
from fhirgw.store.database import Transaction
from fhirgw.store.held import held
from fhirgw.store.predicate import one_of, several
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import block_key, enrolment

_IN_CARE = ("active", "candidate")

_MANY = bindparam("many", type_=Text)
_KEPT = Prepared(select(block_key.c.key).where(block_key.c.patient == bindparam("of")))
_ADD = Prepared(insert(block_key), ("key", "patient"))
_DROP = Prepared(
    delete(block_key).where(block_key.c.patient == bindparam("of"), block_key.c.key == bindparam("old"))
)
_SHARING = select(block_key.c.patient).where(one_of(block_key.c.key, _MANY, several=True)).distinct()
_FOUND = Prepared(_SHARING.order_by(block_key.c.patient))
_CARED_FOR = (
    select(1)
    .where(enrolment.c.patient == block_key.c.patient, or_(*(enrolment.c.status == one for one in _IN_CARE)))
    .correlate(block_key)
    .exists()
)
_IN_CARE_FOUND = Prepared(_SHARING.where(_CARED_FOR).order_by(block_key.c.patient))


def keep(tx: Transaction, patient: str, body: Json | None) -> None:
    """Keep the keys of a Patient as it is now; the body is None when it is deleted."""
    wanted = keys(traits(body)) if body else frozenset()
    kept = {key for (key,) in _KEPT.rows(tx.direct, of=patient)}
    _DROP.run(tx.direct, [{"of": patient, "old": key} for key in sorted(kept - wanted)])
    _ADD.run(tx.direct, [{"key": key, "patient": patient} for key in sorted(wanted - kept)])


def sharing(connection: Connection, sought: Iterable[int]) -> list[str]:
    """The ids of the Patients kept under one of these keys; a caller who shows anything of them has to decide."""
    return [patient for (patient,) in _FOUND.rows(connection, many=several(sought))]


def in_care(tx: Transaction, sought: Iterable[int]) -> list[tuple[str, Json]]:
    """The members and candidates of any programme kept under one of these keys, with their Patients."""
    found = [("Patient", patient) for (patient,) in _IN_CARE_FOUND.rows(tx.direct, many=several(sought))]
    if not found:  # nearly everybody in a hospital
        return []
    held(tx).read(found)
    rows = (held(tx).row(key) for key in found)
    return [(row.id, orjson.loads(row.body)) for row in rows if row is not None and not row.deleted]
