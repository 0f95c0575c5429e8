"""A member's accounting of disclosures: what the law has listed for them, and what else left the programme.

The ledger has every release. What of it a law wants in an accounting is said here, a line a day, recipient and
purpose; where it is in doubt, it is listed. See: docs/decisions/0221; 45 CFR 164.528; 42 CFR 2.25.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from sqlalchemy import Connection

from fhirgw.audit import AGREEMENT, EMERGENCY, Disclosure
from fhirgw.consent import vocabulary
from fhirgw.store import clients, repository

HIPAA: Final = "45 CFR 164.528"
PART2: Final = "42 CFR 2.25"
_YEARS: Final = {HIPAA: 6, PART2: 3}
"""How far back an accounting goes (164.528(a)(3); 2.25(a))."""

Because = Literal["release", "agreement", "emergency"]


@dataclass(frozen=True, slots=True)
class Line:
    """What a recipient got of a member on one day, for one purpose.

    Attributes:
        on: The day, in UTC.
        to: Name of the recipient.
        address: Its address, where it is known.
        kinds: Types of the resources.
        purpose: v3-ActReason code.
        times: How many answers (164.528(b)(3) lets repeated disclosures be put together).
        because: What permitted it.
        part2: Whether records under 42 CFR Part 2 were among it.
        laws: Which laws have it listed; none: the member is told all the same.
    """

    on: date
    to: str
    address: str
    kinds: tuple[str, ...]
    purpose: str
    times: int
    because: Because
    part2: bool
    laws: tuple[str, ...]


def laws(disclosure: Disclosure, asked_on: date) -> tuple[str, ...]:
    """Which laws have this disclosure listed in an accounting that is asked for on a day.

    164.528(a)(1) exempts treatment, payment and operations, and what the individual has authorized; no Consent
    releases anything for another purpose unless it is a complete authorization (``consent.legal``). 2.25 lists what
    was disclosed with consent under 2.31; its exemption of treatment, payment and operations ends where they are
    disclosed through an electronic health record, and a gateway is how one discloses.
    """
    because = because_of(disclosure)
    exempt = vocabulary.is_tpo([disclosure.purpose]) or (because == "release" and bool(disclosure.consents))
    found = [] if exempt else [HIPAA]
    found += [PART2] if disclosure.part2 and because == "release" else []
    return tuple(law for law in found if on_day(disclosure) >= _years_before(asked_on, _YEARS[law]))


def because_of(disclosure: Disclosure) -> Because:
    """What permitted it; an agreement or an emergency beside a release is what is said."""
    if any(one.startswith(EMERGENCY) for one in disclosure.consents):
        return "emergency"
    return "agreement" if any(one.startswith(AGREEMENT) for one in disclosure.consents) else "release"


def on_day(disclosure: Disclosure) -> date:
    """The day of a disclosure, in UTC."""
    return date.fromisoformat(disclosure.recorded[:10])


def earliest(asked_on: date) -> date:
    """The first day that an accounting asked for on a day can cover."""
    return _years_before(asked_on, max(_YEARS.values()))


def _years_before(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:  # the 29th of February
        return day.replace(year=day.year - years, day=28)


def lines(connection: Connection, disclosed: Sequence[Disclosure], asked_on: date) -> list[Line]:
    """The accounting, oldest first: a line for what is alike."""
    grouped: dict[tuple[date, str, str, Because, bool, tuple[str, ...]], list[Disclosure]] = defaultdict(list)
    for one in disclosed:
        key = (on_day(one), one.recipient, one.purpose, because_of(one), one.part2, laws(one, asked_on))
        grouped[key].append(one)
    recipients = {one.recipient: _recipient(connection, one) for one in disclosed}
    return [
        Line(
            on=day,
            to=recipients[recipient][0],
            address=recipients[recipient][1],
            kinds=tuple(sorted({name.partition("/")[0] for one in same for name in one.resources})),
            purpose=purpose,
            times=len(same),
            because=because,
            part2=part2,
            laws=by,
        )
        for (day, recipient, purpose, because, part2, by), same in grouped.items()
    ]


def _recipient(connection: Connection, disclosure: Disclosure) -> tuple[str, str]:
    """Name and address of who received it, as far as they are known (164.528(b)(2)(ii))."""
    client = clients.find(connection, disclosure.recipient)
    name = client.name if client else disclosure.recipient
    kind, _, logical = (disclosure.organization or "").partition("/")
    stored = repository.current(connection, kind, logical) if logical else None
    addresses = stored.body.get("address", ()) if stored else ()
    said = [one.get("text") or ", ".join(_parts(one)) for one in addresses]
    return name, next(filter(None, said), "")


def _parts(address: dict[str, object]) -> list[str]:
    street = address.get("line", [])
    place = [address[name] for name in ("city", "state", "postalCode", "country") if name in address]
    return [str(part) for part in (*(street if isinstance(street, list) else ()), *place)]
