"""By what all that the store derives was derived: label tables, the reading of policies, their zone.

Labels, marks and the patterns of policies are kept beside what they are made of. They are what this program would
make of it as long as the one row of ``labelling`` says so; ``relabelling`` makes them anew where it does not.
(docs/decisions/0271, 0358)
"""

from sqlalchemy import Connection, bindparam, delete, insert, select

from fhirgw.consent.labels import TABLE_VERSION
from fhirgw.consent.pattern import VERSION
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import labelling

_STATED = Prepared(select(labelling.c.label_table))
_FORGET = delete(labelling)
_STATE = insert(labelling).values(label_table=bindparam("stated"), reached=bindparam("upto"))


def of(zone: str) -> str:
    """What is stated by a store that this program derived all of, in this zone."""
    return f"{TABLE_VERSION} {VERSION} {zone}"


def zone(connection: Connection) -> str:
    """The zone in which this store reads what a Consent dates without an offset."""
    return str(_STATED.scalar(connection)).rpartition(" ")[2]


def state(connection: Connection, zone: str, reached: int | None) -> None:
    """All up to this resource is derived by this program in this zone; None: all is."""
    connection.execute(_FORGET)
    connection.execute(_STATE, {"stated": of(zone), "upto": reached})


def begin(connection: Connection, zone: str) -> None:
    """A store in which nothing is yet."""
    if _STATED.scalar(connection) is None:
        state(connection, zone, None)
