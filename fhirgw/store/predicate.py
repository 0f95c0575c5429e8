"""The predicate algebra as SQL: what of the store a request may see.

Law (agreement): a rendered predicate selects exactly what ``consent.predicate.holds`` accepts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from fhirgw.consent.model import Profile
from fhirgw.consent.predicate import (
    Both,
    ConfAtMost,
    Constant,
    Either,
    Everybody,
    Grant,
    LabelsMeet,
    LabelsWithin,
    Negation,
    Predicate,
    TypeIn,
    Visibility,
    both,
)
from fhirgw.consent.vocabulary import NORMAL
from fhirgw.store.compartment import PATIENT_FREE
from fhirgw.store.narrowing import is_narrowed, leading
from fhirgw.store.schema import (
    enrolment,
    guard_need,
    label_group,
    policy_pattern,
    resource,
    search_reference,
)

Projected = tuple["Projection", Mapping[str, Any]]
_PROJECTED: WeakKeyDictionary[Visibility | Everybody, Projected] = WeakKeyDictionary()
Condition = ColumnElement[bool]
BITS = (1 << 63) - 1
# Aliases are made once: making one costs more than all else of a small query.
_NEED, _SOURCE, _LINK = guard_need.alias("need"), resource.alias("source"), search_reference.alias("link")


@dataclass(frozen=True, slots=True)
class Whose:
    """Of whom something may be seen.

    Attributes:
        patients: Name of the parameter that holds them; None: nobody by name.
        several: It holds a JSON list, not one id.
        everybody: Of every patient.
        programs: Of the members of these programmes.
        patterns: Name of the parameter that holds a JSON list of patterns: of those whose policy has one of these.
    """

    patients: str | None = None
    several: bool = False
    everybody: bool = False
    programs: tuple[frozenset[str], ...] = ()
    patterns: str | None = None


@dataclass(frozen=True, slots=True)
class Projection:
    """A visibility without its patients: a statement is built from this once, whoever they are.

    Attributes:
        everybody: The grants are of patterns: statements are executed with the ``instant``, too.
    """

    inside: bool
    grants: tuple[tuple[Predicate, Whose], ...]
    profile: Profile | None = None
    everybody: bool = False


def project(visibility: Visibility) -> Projected:
    """The visibility as statements are built from it, and the parameters they are executed with."""
    key = visibility.everybody or visibility
    found = _PROJECTED.get(key)
    if found is None:
        found = _PROJECTED[key] = (_project if visibility.everybody is None else _project_patterns)(visibility)
    return found if visibility.everybody is None else (found[0], {**found[1], "instant": visibility.instant})


def _project(visibility: Visibility) -> Projected:
    """Grants of the same predicate are together: they may differ in the consents they rest on."""
    same: dict[int, list[Grant]] = {}
    for grant in visibility.grants:
        same.setdefault(id(grant.predicate), []).append(grant)  # a hash of each would take longer than all else
    grouped: dict[Predicate, list[Grant]] = {}
    for some in same.values():
        grouped.setdefault(some[0].predicate, []).extend(some)
    grants, parameters = [], {}
    for at, (predicate, some) in enumerate(grouped.items()):
        named = frozenset[str]().union(*(grant.patients for grant in some if grant.patients is not None))
        everybody = any(grant.patients is None and grant.programs is None for grant in some)
        programs = [grant.programs for grant in some if grant.patients is None and grant.programs is not None]
        name = f"patients_{at}" if named else None
        grants.append((predicate, Whose(name, len(named) > 1, everybody, tuple(programs))))
        if name:
            parameters[name] = listed(named)
    return Projection(visibility.inside, tuple(grants), visibility.profile), parameters


def _project_patterns(visibility: Visibility) -> Projected:
    """Of everybody: no statement holds a patient, however many there are."""
    by_predicate = {} if visibility.everybody is None else visibility.everybody.patterns
    whose = [Whose(patterns=f"patterns_{at}") for at in range(len(by_predicate))]
    parameters = {str(one.patterns): several(some) for one, some in zip(whose, by_predicate.values(), strict=True)}
    grants = tuple(zip(by_predicate, whose, strict=True))
    return Projection(visibility.inside, grants, visibility.profile, everybody=True), parameters


def among(column: ColumnElement[Any], values: Iterable[str] | Iterable[int]) -> Condition:
    """The column's value is one of these, however many, in one bound parameter."""
    known = frozenset(values)
    return one_of(column, literal(listed(known), Text), several=len(known) != 1)


def listed(values: Iterable[Any]) -> Any:
    """The parameter of ``one_of``: the value if there is one alone, else a JSON list."""
    known = sorted(values)
    return known[0] if len(known) == 1 else several(known)


def several(values: Iterable[Any]) -> str:
    """The parameter of ``one_of`` several, however many."""
    return orjson.dumps(sorted(values)).decode()


def one_of(column: ColumnElement[Any], values: ColumnElement[Any], *, several: bool) -> Condition:
    """The column's value is one of those that ``listed``, or ``several``, made a parameter of."""
    return column.in_(_members(values)) if several else column == values


def _members(values: ColumnElement[Any]) -> Select[Any]:
    """The one place where SQLite (``json_each``) and PostgreSQL (``= ANY``) must differ."""
    return select(func.json_each(values).table_valued("value").c.value)


def render(
    predicate: Predicate, kind: str | ColumnElement[str], labels: ColumnElement[int], conf: ColumnElement[int]
) -> Condition:
    """The predicate over these expressions; a known type is decided here rather than in the database."""
    match predicate:
        case Constant(value=value):
            return true() if value else false()
        case TypeIn(types=types):
            if isinstance(kind, str):
                return true() if kind in types else false()
            return or_(false(), *(kind == one for one in sorted(types)))
        case LabelsWithin(mask=mask):
            return labels.bitwise_and(literal(BITS & ~mask)) == 0
        case LabelsMeet(mask=mask):
            return labels.bitwise_and(literal(mask)) != 0
        case ConfAtMost(level=level):
            return conf <= level
        case Both(parts=parts):
            return and_(true(), *(render(part, kind, labels, conf) for part in parts))
        case Either(parts=parts):
            return or_(false(), *(render(part, kind, labels, conf) for part in parts))
        case Negation(part=part):
            return not_(render(part, kind, labels, conf))


def resource_visible(visibility: Projection, kind: str, row: FromClause, *, narrowed: bool = False) -> Condition:
    """Rows of table ``resource``, all of this type, that may be seen; whether deleted is not asked.

    Args:
        visibility: What the requester may see.
        kind: The type.
        row: The table or an alias.
        narrowed: Something else leads to few rows. SQLite would otherwise seek every pair of a patient and a row.
    """
    if kind not in PATIENT_FREE:
        return _member(visibility, kind, row, func.coalesce(row.c.patient, "") if narrowed else row.c.patient)
    if visibility.inside:
        return true()
    return or_(row.c.standing == "registry", and_(row.c.standing == "derived", _referred(visibility, kind, row)))


def element_visible(visibility: Projection, kind: str, owner: FromClause, row: FromClause) -> Condition:
    """Rows with a guard (index rows, label groups) that may be seen, given that their resource may be."""
    if visibility.inside:
        return true()
    if kind in PATIENT_FREE:
        return or_(owner.c.standing == "registry", _plain(kind, owner, row))
    return _guarded(visibility, kind, owner, row)


def match_visible(visibility: Projection, kind: str, row: FromClause, match: FromClause) -> Condition:
    """Rows of table ``resource`` that may be seen, each with a row of the index that may be seen."""
    if kind in PATIENT_FREE or not visibility.everybody:
        whole = resource_visible(visibility, kind, row, narrowed=True)
        return and_(whole, element_visible(visibility, kind, row, match))

    def shown(predicate: Predicate) -> Condition:
        element = _permitted(visibility, predicate, kind, row, match)
        return and_(_itself(visibility, predicate, kind, row), element)

    return _granted(visibility, func.coalesce(row.c.patient, ""), shown)


def shown_at(visibility: Projection, kind: str, row: FromClause) -> ColumnElement[int]:
    """When the visible part of a resource last changed.

    A derived resource has no such instant outside: that of its arrival may be that of a hidden event.
    """
    if visibility.inside or kind in PATIENT_FREE:
        own = row.c.updated_at
        return own if visibility.inside else func.nullif(own * (row.c.standing == "registry"), 0)
    seen = and_(label_group.c.resource == row.c.pk, element_visible(visibility, kind, row, label_group))
    return select(func.max(label_group.c.changed_at)).where(seen).correlate(row).scalar_subquery()


def _member(
    visibility: Projection, kind: str | ColumnElement[str], row: FromClause, patient: ColumnElement[str]
) -> Condition:
    return _granted(visibility, patient, lambda predicate: _itself(visibility, predicate, kind, row))


def _itself(
    visibility: Projection, predicate: Predicate, kind: str | ColumnElement[str], row: FromClause
) -> Condition:
    itself = render(predicate, kind, row.c.labels, row.c.conf)
    return itself if visibility.inside else and_(itself, _permitted(visibility, predicate, kind, row, row))


def _guarded(
    visibility: Projection, kind: str | ColumnElement[str], owner: FromClause, row: FromClause
) -> Condition:
    """Every need of the row's guard is permitted. A guard that is not there permits nothing: null is not 1."""

    def shown(predicate: Predicate) -> Condition:
        return _permitted(visibility, predicate, kind, owner, row)

    if len(visibility.grants) == 1:
        return shown(visibility.grants[0][0])
    return _granted(visibility, func.coalesce(owner.c.patient, ""), shown)


def _granted(
    visibility: Projection, patient: ColumnElement[str], shown: Callable[[Predicate], Condition]
) -> Condition:
    """What is shown by the grant of the patient. Of everybody, the pattern of their policy is looked up once."""
    ways = [and_(_patients(whose, patient), shown(predicate)) for predicate, whose in visibility.grants]
    if not visibility.everybody:
        return or_(false(), *ways)
    now = in_phase(bindparam("instant", type_=BigInteger))
    found = select(1).where(policy_pattern.c.patient == patient, now, or_(false(), *ways))
    return found.correlate_except(policy_pattern).exists()


def _plain(kind: str, owner: FromClause, row: FromClause) -> Condition:
    """Of what care brought about, nothing that says more than the whole does (``own_predicate``)."""
    need = guard_need.alias()
    more = or_(need.c.labels.bitwise_or(owner.c.labels) != owner.c.labels, need.c.conf > _level(owner))
    found = select(1).where(need.c.kind == kind, need.c.guard == row.c.guard, more)
    return not_(found.correlate(owner, row).exists())


def _level(owner: FromClause) -> ColumnElement[int]:
    return case((owner.c.conf > NORMAL, owner.c.conf), else_=NORMAL)


def own_predicate(labels: int, conf: int) -> Predicate:
    """What of a ``derived`` resource is seen by whoever may see that it is there: its parts have no consent."""
    return both([LabelsWithin(labels), ConfAtMost(max(conf, NORMAL))])


def _permitted(
    visibility: Projection,
    predicate: Predicate,
    kind: str | ColumnElement[str],
    owner: FromClause,
    row: FromClause,
) -> Condition:
    """Of everybody, it is asked once of all guards of the type; else of those that are met."""
    need = _NEED.c
    least = func.min(case((render(predicate, need.type, need.labels, need.conf), 1), else_=0))
    if visibility.everybody and isinstance(kind, str):
        guards = select(need.guard).where(need.kind == kind).group_by(need.guard).having(least == 1)
        return row.c.guard.in_(guards.correlate(None))
    found = select(least).where(need.kind == kind, need.guard == row.c.guard)
    return found.correlate(owner, row).scalar_subquery() == 1


def _patients(whose: Whose, patient: ColumnElement[str]) -> Condition:
    if whose.everybody:
        return true()
    if whose.patterns is not None:
        return one_of(policy_pattern.c.pattern, bindparam(whose.patterns, type_=Text), several=True)
    ways: list[Condition] = []
    if whose.patients is not None:
        ways.append(one_of(patient, bindparam(whose.patients, type_=Text), several=whose.several))
    enrolled = (select(enrolment.c.patient).where(among(enrolment.c.program, some)) for some in whose.programs)
    return or_(false(), *ways, *(patient.in_(members) for members in enrolled))


def in_phase(instant: ColumnElement[int]) -> Condition:
    """Rows of table ``policy_pattern`` that hold at an instant."""
    return and_(policy_pattern.c.since <= instant, policy_pattern.c.until > instant)


def _not_cut(visibility: Projection, source: FromClause, link: FromClause) -> list[Condition]:
    """The reference is in what the profile leaves of the resource that refers."""
    profile = visibility.profile
    if profile is None:
        return []
    return [
        or_(source.c.type != kind, *(link.c.param == param for param in sorted(leading(profile, kind))))
        for kind in sorted(profile.types)
        if is_narrowed(profile, kind)
    ]


def _referred(visibility: Projection, kind: str, row: FromClause) -> Condition:
    """A visible reference of a visible resource points at it. One step: from what is visible by itself."""
    source, link = _SOURCE, _LINK
    member = and_(
        source.c.standing == "member",
        _member(visibility, source.c.type, source, func.coalesce(source.c.patient, "")),
        _guarded(visibility, source.c.type, source, link),
    )
    return (
        select(1)
        .select_from(link.join(source, source.c.pk == link.c.resource))
        .where(link.c.target_id == row.c.id, link.c.target_type == kind, *_not_cut(visibility, source, link))
        .where(or_(source.c.standing == "registry", member))
        .correlate(row)
        .exists()
    )
