"""Who is who: bearers of identifiers, who was said to be one person, what each source says, which cases came in.

Identity facts are kept as they were said; whom an identifier stands for, and how Patients are linked, is made of
them anew (``mappers.identities.graph``), so that what is undone is as if it had never been.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import orjson
from sqlalchemy import Connection, Text, bindparam, delete, insert, or_, select, update

from fhirgw.consent.model import Json
from fhirgw.errors import ProfileViolation
from fhirgw.mappers.identities import Graph, IdentityFact, graph, name
from fhirgw.mappers.person import with_links
from fhirgw.mappers.trigger_events import Identity
from fhirgw.store import policy
from fhirgw.store.database import Transaction
from fhirgw.store.predicate import among, one_of, several
from fhirgw.store.prepared import Prepared
from fhirgw.store.schema import (
    icm_case,
    identity,
    identity_fact,
    identity_name,
    patient_link,
    person_source,
    visit_event,
)

Identifier = tuple[str, str]
"""(system, value): an identifier is never a bare value (DESIGN §4)."""

_COLUMNS = tuple(column.name for column in identity.c)
_BEARER = Prepared(
    select(identity).where(identity.c.system == bindparam("of_system"), identity.c.value == bindparam("of_value"))
)
_BIND = Prepared(insert(identity), _COLUMNS)
_PARTED = Prepared(
    select(identity_fact.c.key)
    .join(identity_name, identity_name.c.fact == identity_fact.c.key)
    .where(one_of(identity_name.c.name, bindparam("of", type_=Text), several=True))
    .where(identity_fact.c.kind == str(Identity.UNLINK))
    .limit(1)
)
_LINKS = Prepared(
    select(patient_link.c.other, patient_link.c.type)
    .where(patient_link.c.patient == bindparam("of"))
    .order_by(patient_link.c.other)
)
_PICTURES = Prepared(
    select(person_source.c.source, person_source.c.body)
    .where(person_source.c.patient == bindparam("of"))
    .order_by(person_source.c.source)
)
_PICTURE = Prepared(insert(person_source), ("patient", "source", "body"))
_CHANGE_PICTURE = Prepared(
    update(person_source)
    .where(person_source.c.patient == bindparam("of"), person_source.c.source == bindparam("by"))
    .values(body=bindparam("new"))
)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom one identifier stands for; the columns of ``identity``."""

    system: str
    value: str
    patient: str
    home: str
    given: bool
    moved: bool
    held: bool


def find(connection: Connection, identifiers: Iterable[Identifier]) -> set[str]:
    """The people for whom these identifiers stand now; one that was moved by name decides beside others."""
    known = bearers(connection, identifiers).values()
    decisive = [one for one in known if one.moved] or known
    return {one.patient for one in decisive}


def homes(connection: Connection, identifiers: Iterable[Identifier]) -> set[str]:
    """For whom they were first known, whatever was merged since: where the programme's own records are kept."""
    return {one.home for one in bearers(connection, identifiers).values()}


def held(connection: Connection, identifiers: Iterable[Identifier]) -> bool:
    """Whether they stand for somebody only because of a merge or move that no person has confirmed."""
    known = bearers(connection, identifiers).values()
    decisive = [one for one in known if one.moved] or [*known]
    return bool(decisive) and all(one.held for one in decisive)


def bind(
    tx: Transaction, identifiers: Iterable[Identifier], patient: str, *, told: bool = False
) -> list[Identifier]:
    """Note that the patient bears these identifiers; those that are new.

    Args:
        tx: The unit of work.
        identifiers: Of one person.
        patient: Whose they are.
        told: By a message, not by the programme's own system or a person.

    Raises:
        ProfileViolation: One of them is somebody else's; nothing is changed then.
    """
    wanted = set(identifiers)
    known = bearers(tx.direct, wanted)
    if told and len(known) == len(wanted) and all(one.patient == patient for one in known.values()):
        return []
    theirs = {patient} if told else {patient, *_merged_into(tx.direct, patient)}
    if any(not one.moved and one.patient not in theirs and one.home != patient for one in known.values()):
        raise ProfileViolation("An identifier belongs to somebody else here; a person must look at it.")
    home = min((one.home for one in known.values() if not one.moved), default=patient) if told else patient
    now = _successor(tx.direct, home)
    new = sorted(wanted - known.keys())
    fresh = Bearer("", "", now, home, given=not told, moved=False, held=_is_held(tx.direct, home, now))
    _BIND.run(tx.direct, [asdict(replace(fresh, system=at, value=value)) for at, value in new])
    if not told:
        for at, value in (one for one, bearer in known.items() if not bearer.given):
            where = (identity.c.system == at, identity.c.value == value)
            tx.direct.execute(update(identity).where(*where).values(given=True, home=patient))
    return new


def bearers(connection: Connection, identifiers: Iterable[Identifier]) -> dict[Identifier, Bearer]:
    """Who bears each of these identifiers, of those that somebody bears."""
    found = ((one, _BEARER.first(connection, of_system=one[0], of_value=one[1])) for one in set(identifiers))
    return {one: Bearer(*row) for one, row in found if row is not None}


# --- who was said to be one person ----------------------------------------------------------------------------


def merge(tx: Transaction, survivor: str, merged: str, *, key: str) -> set[str]:
    """A person says that these two Patients are one: the second is replaced by the first.

    Args:
        tx: The unit of work.
        survivor: Logical id of the Patient that stays.
        merged: Logical id of the one that is replaced.
        key: An id of the statement.

    Returns:
        Everybody concerned: their records are to be folded anew (``Persons.settle`` of ``ingest`` does both).
    """
    return say(tx, _said(tx, Identity.MERGE, survivor, merged, key))


def unmerge(tx: Transaction, survivor: str, merged: str, *, key: str) -> set[str]:
    """A person says that they are two, whatever was merged or linked before; see ``merge``."""
    return say(tx, _said(tx, Identity.UNLINK, survivor, merged, key))


def link(tx: Transaction, one: str, other: str, *, key: str) -> set[str]:
    """A person says that they are one and that their records stay distinct; see ``merge``."""
    return say(tx, _said(tx, Identity.LINK, one, other, key))


unlink = unmerge


def say(tx: Transaction, fact: IdentityFact) -> set[str]:
    """Keep a fact and make the graph anew; everybody concerned."""
    where = identity_fact.c.key == fact.key
    body = orjson.dumps({"order": fact.order, "prior": fact.prior, "present": fact.present})
    confirmed = fact.confirmed or bool(tx.direct.scalar(select(identity_fact.c.confirmed).where(where)))
    _forget(tx, fact.key)
    values = {"key": fact.key, "kind": str(fact.kind), "confirmed": confirmed, "sender": fact.sender, "body": body}
    tx.direct.execute(insert(identity_fact).values(**values))
    rows = [{"name": one, "fact": fact.key} for one in sorted({*fact.names})]
    tx.direct.execute(insert(identity_name), rows)
    return regraph(tx, fact.names)


def confirm(tx: Transaction, survivor: str, merged: str) -> set[str]:
    """A person has looked at the merge of these two, and it is right; everybody concerned."""
    sides = [_names(tx.direct, survivor), _names(tx.direct, merged)]
    for fact in _facts(tx.direct, [*sides[0], *sides[1]]):
        if sides[0] & {*fact.present} and sides[1] & {*fact.prior}:
            where = identity_fact.c.key == fact.key
            tx.direct.execute(update(identity_fact).where(where).values(confirmed=True))
    return regraph(tx, sides[0] | sides[1])


def regraph(tx: Transaction, names: Iterable[str], record: tuple[str, ...] = ()) -> set[str]:
    """Make the graph around these names anew; everybody who is, or was, part of it.

    Args:
        tx: The unit of work.
        names: Around which.
        record: Names of one person, by a message that is not kept yet.
    """
    known, facts, people = _component(tx.direct, {*names, *record})
    given = {name(one.system, one.value): one.home for one in known.values() if one.given}
    given |= {f"Patient/{one}": one for one in people}
    found = graph(given, [*_records(tx.direct, people), record], facts)
    _write(tx, known, found)
    concerned = people | {*found.bearers.values()}
    _write_links(tx, concerned, found)
    for one in concerned:
        policy.bump(tx, one)
    return concerned


def links(connection: Connection, patient: str) -> dict[str, str]:
    """Other Patients to the type of the link to them."""
    return dict(_LINKS.rows(connection, of=patient))


def parted(connection: Connection, identifiers: Iterable[Identifier]) -> bool:
    """Whether somebody said of the bearer of one of these that they are not whom they were taken for."""
    of = several(name(*one) for one in identifiers)
    return _PARTED.first(connection, of=of) is not None


def names_of(connection: Connection, patient: str) -> list[str]:
    """The names that stand for this person now."""
    found = connection.execute(select(identity.c.system, identity.c.value).where(identity.c.patient == patient))
    return sorted(name(system, value) for system, value in found)


def is_held(connection: Connection, patient: str) -> bool:
    """Whether what was first known as theirs stands for somebody else, and no person has confirmed that."""
    where = (identity.c.home == patient, identity.c.held.is_(True))
    return connection.scalar(select(identity.c.held).where(*where).limit(1)) is not None


def forget(tx: Transaction, patient: str) -> bool:
    """Nobody is known as this person any more; False where something was said of who they are, which stays."""
    if _facts(tx.direct, _names(tx.direct, patient)):
        return False
    tx.direct.execute(delete(identity).where(or_(identity.c.patient == patient, identity.c.home == patient)))
    tx.direct.execute(delete(person_source).where(person_source.c.patient == patient))
    return True


def linked(connection: Connection, patient: Json) -> Json:
    """A Patient with the links that the graph gives them: replaced, they are not active."""
    return with_links(patient, links(connection, patient["id"]))


def _said(tx: Transaction, kind: Identity, survivor: str, merged: str, key: str) -> IdentityFact:
    now = datetime.fromtimestamp(tx.now / 1_000_000, UTC).isoformat(timespec="microseconds")
    return IdentityFact(
        key=key,
        order=(now, now, "9", key),
        kind=kind,
        prior=tuple(sorted({f"Patient/{merged}", *_own(tx.direct, merged)})),
        present=tuple(sorted({f"Patient/{survivor}", *_own(tx.direct, survivor)})),
        confirmed=True,
    )


def _own(connection: Connection, patient: str) -> set[str]:
    rows = connection.execute(select(identity.c.system, identity.c.value).where(identity.c.home == patient))
    return {name(system, value) for system, value in rows}


def _names(connection: Connection, patient: str) -> set[str]:
    return {f"Patient/{patient}", *_own(connection, patient)}


def _forget(tx: Transaction, key: str) -> None:
    tx.direct.execute(delete(identity_fact).where(identity_fact.c.key == key))
    tx.direct.execute(delete(identity_name).where(identity_name.c.fact == key))


def _facts(connection: Connection, names: Iterable[str]) -> list[IdentityFact]:
    keys = select(identity_name.c.fact).where(among(identity_name.c.name, sorted(set(names))))
    found = connection.execute(select(identity_fact).where(identity_fact.c.key.in_(keys)))
    return [
        IdentityFact(row.key, tuple(body["order"]), Identity(row.kind), tuple(body["prior"]),
                     tuple(body["present"]), row.confirmed, row.sender)
        for row in found for body in (orjson.loads(row.body),)
    ]  # fmt: skip


def _component(connection: Connection, names: set[str]) -> tuple[dict[str, Bearer], list[IdentityFact], set[str]]:
    """Everything that hangs together with these names: who bears them, the facts, the people."""
    known: dict[str, Bearer] = {}
    facts: dict[str, IdentityFact] = {}
    people: set[str] = set()
    reached: set[str] = set()
    front = names
    while front:
        reached |= front
        fresh = {one.key: one for one in _facts(connection, front) if one.key not in facts}
        facts |= fresh
        for one, bearer in bearers(connection, map(_identifier, front)).items():
            known[name(*one)] = bearer
        met = {one.removeprefix("Patient/") for one in front if one.startswith("Patient/")}
        met |= {patient for one in known.values() for patient in (one.home, one.patient)}
        new = met - people
        people |= new
        front = {one for fact in fresh.values() for one in fact.names} | {f"Patient/{one}" for one in new}
        theirs = or_(among(identity.c.home, sorted(new)), among(identity.c.patient, sorted(new)))
        front |= {
            name(*row) for row in connection.execute(select(identity.c.system, identity.c.value).where(theirs))
        }
        front -= reached
    return known, [*facts.values()], people


def _identifier(one: str) -> Identifier:
    system, _, value = one.partition("|")
    return system, value


def _records(connection: Connection, people: set[str]) -> list[tuple[str, ...]]:
    """What messages name together, in the order of the messages."""
    found = connection.scalars(select(visit_event.c.facts).where(among(visit_event.c.patient, sorted(people))))
    events = sorted((orjson.loads(facts) for facts in found), key=lambda event: event["order"])
    return [tuple(name(system, value) for system, value, _ in event["identifiers"]) for event in events]


def _write(tx: Transaction, known: Mapping[str, Bearer], found: Graph) -> None:
    for one, home in sorted(found.homes.items()):
        if one.startswith("Patient/"):
            continue
        system, value = _identifier(one)
        before = known.get(one)
        given = before.given if before else False
        bearer = found.bearers[one]
        now = Bearer(system, value, bearer, home, given, one in found.moved, one in found.held)
        if before is None:
            _BIND.run(tx.direct, [asdict(now)])
        elif before != now:
            where = (identity.c.system == system, identity.c.value == value)
            tx.direct.execute(update(identity).where(*where).values(**asdict(now)))
    for one in sorted(known.keys() - found.homes.keys()):
        system, value = _identifier(one)
        told = (identity.c.system == system, identity.c.value == value, identity.c.given.is_(False))
        tx.direct.execute(delete(identity).where(*told))


def _write_links(tx: Transaction, people: set[str], found: Graph) -> None:
    rows = dict.fromkeys(found.successors.items(), "replaced-by")
    rows |= {(new, old): "replaces" for old, new in found.successors.items()}
    for one, other in found.links:
        ends = (found.successors.get(one, one), found.successors.get(other, other))
        if ends[0] != ends[1]:
            rows |= {ends: "seealso", ends[::-1]: "seealso"}
    tx.direct.execute(delete(patient_link).where(among(patient_link.c.patient, sorted(people))))
    if rows:
        linking = [{"patient": one, "other": other, "type": kind} for (one, other), kind in sorted(rows.items())]
        tx.direct.execute(insert(patient_link), linking)


def _successor(connection: Connection, patient: str) -> str:
    return next((other for other, kind in links(connection, patient).items() if kind == "replaced-by"), patient)


def _merged_into(connection: Connection, patient: str) -> set[str]:
    return {other for other, kind in links(connection, patient).items() if kind == "replaces"}


def _is_held(connection: Connection, home: str, now: str) -> bool:
    return home != now and is_held(connection, home)


# --- what each source says ------------------------------------------------------------------------------------


def picture(tx: Transaction, patient: str, source: str, body: Json) -> None:
    """Keep what a source (``icm``, or a sender's name) says of a person now."""
    raw = orjson.dumps(body)
    if not _CHANGE_PICTURE.change(tx.direct, of=patient, by=source, new=raw):
        _PICTURE.run(tx.direct, [{"patient": patient, "source": source, "body": raw}])


def pictures(connection: Connection, patient: str) -> dict[str, Json]:
    """Source to its picture of the person."""
    return {source: orjson.loads(body) for source, body in _PICTURES.rows(connection, of=patient)}


@dataclass(frozen=True, slots=True)
class KnownCase:
    """A case as last stored.

    Attributes:
        version: As its system counts; None: it does not.
        digest: Of the statement that it was last stored from.
        body: Its JSON, whole.
        patient: Whose it is.
    """

    version: int | None
    digest: bytes
    body: bytes
    patient: str


def case(connection: Connection, key: str) -> KnownCase | None:
    """A case as last stored; None when it never was."""
    columns = (icm_case.c.version, icm_case.c.digest, icm_case.c.body, icm_case.c.patient)
    found = connection.execute(select(*columns).where(icm_case.c.key == key)).first()
    return KnownCase(found.version, bytes(found.digest), bytes(found.body), found.patient) if found else None


def cases(connection: Connection, patient: str) -> list[tuple[str, KnownCase]]:
    """The cases of a person, by key."""
    columns = (icm_case.c.key, icm_case.c.version, icm_case.c.digest, icm_case.c.body, icm_case.c.patient)
    found = connection.execute(select(*columns).where(icm_case.c.patient == patient).order_by(icm_case.c.key))
    return [(one.key, KnownCase(one.version, bytes(one.digest), bytes(one.body), patient)) for one in found]


def note_case(tx: Transaction, key: str, known: KnownCase) -> None:
    """Note that a case was stored."""
    values = {**asdict(known), "imported_at": tx.now}
    if not tx.direct.execute(update(icm_case).where(icm_case.c.key == key).values(values)).rowcount:
        tx.direct.execute(insert(icm_case).values(key=key, **values))
