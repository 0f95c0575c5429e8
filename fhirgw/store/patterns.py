"""The patterns of the patients' policies: kept with the policy, asked for when something is asked about everybody.

``policy`` keeps them in the transaction that moves the policy of a patient; patients of one pattern at one instant
come to one compiled predicate (consent/pattern.py).
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, Text, bindparam, delete, func, insert, select

from fhirgw.consent.pattern import Phase
from fhirgw.store.predicate import in_phase, one_of, several
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import policy_pattern

EVER = 1 << 62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)

_OF = one_of(policy_pattern.c.patient, bindparam("of", type_=Text), several=True)
_AT = in_phase(bindparam("at", type_=BigInteger))
_COUNTED = (
    select(policy_pattern.c.pattern, func.min(policy_pattern.c.patient), func.min(policy_pattern.c.until))
    .where(_AT)
    .group_by(policy_pattern.c.pattern)
)
_PRESENT, _PRESENT_AMONG = Prepared(_COUNTED), Prepared(_COUNTED.where(_OF))
_EVER_OF = Prepared(select(policy_pattern.c.pattern).distinct().where(_OF))
_EVERYBODY = Prepared(select(policy_pattern.c.patient, policy_pattern.c.pattern).where(_AT))
_FORGET = Prepared(delete(policy_pattern).where(policy_pattern.c.patient == bindparam("whose")))
_KEEP = Prepared(insert(policy_pattern))


class Present(NamedTuple):
    """A pattern that somebody has now.

    Attributes:
        patient: One of those who have it.
        until: When the first of them comes to another; None: never.
    """

    pattern: str
    patient: str
    until: datetime | None


def keep(connection: Connection, patient: str, phases: Iterable[Phase]) -> None:
    """Keep the phases of a patient's policy, in place of those that were."""
    _FORGET.run(connection, [{"whose": patient}])
    _KEEP.run(
        connection,
        [
            {
                "patient": patient,
                "since": -EVER if one.since is None else count(one.since),
                "until": EVER if one.until is None else count(one.until),
                "pattern": one.pattern,
            }
            for one in phases
        ],
    )


def present(connection: Connection, at: datetime, patients: Collection[str] | None = None) -> list[Present]:
    """The patterns of these patients, or of all, at an instant."""
    if patients is None:
        rows = _PRESENT.rows(connection, at=count(at))
    else:
        rows = _PRESENT_AMONG.rows(connection, at=count(at), of=several(patients))
    return [Present(pattern, patient, _moment(until)) for pattern, patient, until in rows]


def of(connection: Connection, patients: Collection[str]) -> set[str]:
    """The patterns of these patients, at any instant."""
    return {pattern for (pattern,) in _EVER_OF.rows(connection, of=several(patients))}


def everybody(connection: Connection, instant: int) -> list[tuple[str, str]]:
    """(patient, pattern) of all at an instant, in microseconds since the epoch."""
    return [(patient, pattern) for patient, pattern in _EVERYBODY.rows(connection, at=instant)]


def count(moment: datetime) -> int:
    """An instant as the table has it: microseconds since the epoch."""
    return (moment - _EPOCH) // _TICK


def _moment(count: int) -> datetime | None:
    return None if count == EVER else _EPOCH + count * _TICK
