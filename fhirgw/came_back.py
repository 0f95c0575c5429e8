"""``GET /icm/returns``: what came back of the cases of a programme, for its own system."""

from dataclasses import dataclass

from sqlalchemy import Connection

from fhirgw.answer import Answer, show
from fhirgw.consent.model import Json
from fhirgw.consent.predicate import Visibility
from fhirgw.store import repository, returns
from fhirgw.store.returns import CameBack
from fhirgw.store.stored import instant

MOST = 100
"""Returns of one answer."""


@dataclass(frozen=True, slots=True)
class Returns:
    """What came back after this number."""

    after: int


def came_back(connection: Connection, visibility: Visibility, inside: frozenset[str], ask: Returns) -> Answer:
    """The returns of the cases of these programmes, in order, with the resources they came with for the account.

    INVARIANT: a return is told only with a resource that the requester may see.
    """
    programs = None if "*" in inside else inside
    told, shown = [], []
    for one in returns.after(connection, ask.after, programs, MOST):
        stored = repository.read(connection, one.type, one.id, visibility)
        if stored and (seen := show(stored, visibility)):
            told.append(_told(one))
            shown.append(seen)
    return Answer({"returns": told}, shown, "operation", "application/json")


def _told(one: CameBack) -> Json:
    return {
        "number": one.number,
        "at": instant(one.at),
        "resource": f"{one.type}/{one.id}",
        "basedOn": one.based_on,
        "statement": one.records.model_dump(mode="json", exclude_defaults=True),
    }
