"""Which messages say anything new of a person: the others change nothing that is made of them.

Hospitals send all they know of a person with every message. Of messages in a row that say the same, the first
alone counts: laying the same facts over themselves, or giving the same list anew, changes nothing. So a fold of
these messages is the fold of all, and names as its sources those that brought something.
See: ``docs/decisions/0154-news-of-a-person.md``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from fhirgw.mappers.event import AdtEvent
from fhirgw.mappers.record import RECORDED

_OF_PERSON = RECORDED | {"AL1", "IAM"}
"""Segments that are read apart from any visit."""


@dataclass(frozen=True, slots=True)
class Saying:
    """What of an event tells whether it says anything new.

    Attributes:
        order: ``AdtEvent.order``.
        said: Digest of all that ``fold_person`` and ``fold_record`` read of it, but for the account.
        account: Which account it speaks of (PID-18): guarantors and cover are said of that one.
    """

    order: tuple[str, ...]
    said: bytes
    account: str | None


def saying(event: AdtEvent) -> Saying:
    """What an event says of the person."""
    parts = {name: facts for name, facts in event.repeated.items() if name in _OF_PERSON}
    accounts = [fact["account"] for fact in parts.get("PID", ()) if "account" in fact]
    if accounts:
        parts["PID"] = tuple({**fact, "account": None} for fact in parts["PID"])
    said = (
        event.trigger == "A29",
        event.person,
        [path for path in event.deletes if path.startswith("Patient.")],
        parts,
        event.succeeds,
        event.organization,
        # What was found apart from any visit is dated by its message: each of them is news.
        None if event.visit else event.digest,
    )
    digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()[:16]
    account = orjson.dumps(accounts, option=orjson.OPT_SORT_KEYS).decode() if accounts else None
    return Saying(event.order, digest, account)


def news(told: Sequence[Saying]) -> list[int]:
    """Positions of those that say something new, in the order of the events.

    Args:
        told: Of one sender's events about one person, in any order.
    """
    ordered = sorted(range(len(told)), key=lambda at: told[at].order)
    if len({one.order[-1] for one in told}) < len(told):
        return ordered  # of one event read twice, in two states of a registration, the fold takes one
    found: list[int] = []
    last: bytes | None = None
    of_account: dict[str | None, bytes] = {}
    for at in ordered:
        one = told[at]
        known = one.said == last and (one.account is None or of_account.get(one.account) == one.said)
        if not known:
            found.append(at)
        last = of_account[one.account] = one.said
    return found
