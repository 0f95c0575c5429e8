"""The predicate algebra as SQL: what of the store a request may see.

Law (agreement): a rendered predicate selects exactly what ``consent.predicate.holds`` accepts.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import ColumnElement, FromClause, and_, case, false, func, literal, not_, or_, select, true

from fhirgw.consent.predicate import (
    Both,
    ConfAtMost,
    Constant,
    Either,
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
from fhirgw.store.schema import enrolment, guard_need, label_group, resource, search_reference

Condition = ColumnElement[bool]
BITS = (1 << 63) - 1
# Aliases are made once: making one costs more than all else of a small query.
_NEED, _SOURCE, _LINK = guard_need.alias("need"), resource.alias("source"), search_reference.alias("link")


def among(column: ColumnElement[Any], values: Iterable[str]) -> Condition:
    """The column's value is one of these, however many, in one bound parameter.

    The one place where SQLite (``json_each``) and PostgreSQL (``= ANY``) must differ.
    """
    known = sorted(values)
    if len(known) == 1:
        return column == known[0]
    return column.in_(select(func.json_each(orjson.dumps(known).decode()).table_valued("value").c.value))


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
            return kind.in_(sorted(types))
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


def resource_visible(visibility: Visibility, kind: str, row: FromClause, *, narrowed: bool = False) -> Condition:
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


def element_visible(visibility: Visibility, kind: str, owner: FromClause, row: FromClause) -> Condition:
    """Rows with a guard (index rows, label groups) that may be seen, given that their resource may be."""
    if visibility.inside:
        return true()
    if kind in PATIENT_FREE:
        return or_(owner.c.standing == "registry", _plain(kind, owner, row))
    return _guarded(visibility, kind, owner, row)


def shown_at(visibility: Visibility, kind: str, row: FromClause) -> ColumnElement[int]:
    """When the visible part of a resource last changed.

    A derived resource has no such instant outside: that of its arrival may be that of a hidden event.
    """
    if visibility.inside or kind in PATIENT_FREE:
        own = row.c.updated_at
        return own if visibility.inside else func.nullif(own * (row.c.standing == "registry"), 0)
    seen = and_(label_group.c.resource == row.c.pk, element_visible(visibility, kind, row, label_group))
    return select(func.max(label_group.c.changed_at)).where(seen).correlate(row).scalar_subquery()


def _member(
    visibility: Visibility, kind: str | ColumnElement[str], row: FromClause, patient: ColumnElement[str]
) -> Condition:
    seen = []
    for predicate, grants in _by_predicate(visibility):
        itself = and_(_patients(grants, patient), render(predicate, kind, row.c.labels, row.c.conf))
        whole = true() if visibility.inside else _permitted(predicate, kind, row, row)
        seen.append(and_(itself, whole))
    return or_(false(), *seen)


def _guarded(
    visibility: Visibility, kind: str | ColumnElement[str], owner: FromClause, row: FromClause
) -> Condition:
    """Every need of the row's guard is permitted. A guard that is not there permits nothing: null is not 1."""
    grouped = _by_predicate(visibility)
    seen = []
    for predicate, grants in grouped:
        whose = true() if len(grouped) == 1 else _patients(grants, func.coalesce(owner.c.patient, ""))
        seen.append(and_(whose, _permitted(predicate, kind, owner, row)))
    return or_(false(), *seen)


def _plain(kind: str, owner: FromClause, row: FromClause) -> Condition:
    """Of what care brought about, nothing that says more than the whole does (``own_predicate``)."""
    need = guard_need.alias()
    more = or_(need.c.labels.bitwise_or(owner.c.labels) != owner.c.labels, need.c.conf > _level(owner))
    found = select(1).where(need.c.kind == kind, need.c.guard == row.c.guard, more)
    return not_(found.correlate(owner, row).exists())


def _level(owner: FromClause) -> ColumnElement[int]:
    return case((owner.c.conf > NORMAL, owner.c.conf), else_=NORMAL)


def own_predicate(labels: int, conf: int) -> Predicate:
    """What of a ``derived`` resource is seen by whoever may see that it is there: no consent speaks of its parts."""
    return both([LabelsWithin(labels), ConfAtMost(max(conf, NORMAL))])


def _permitted(
    predicate: Predicate, kind: str | ColumnElement[str], owner: FromClause, row: FromClause
) -> Condition:
    need = _NEED.c
    permitted = case((render(predicate, need.type, need.labels, need.conf), 1), else_=0)
    least = select(func.min(permitted)).where(need.kind == kind, need.guard == row.c.guard)
    return least.correlate(owner, row).scalar_subquery() == 1


def _by_predicate(visibility: Visibility) -> list[tuple[Predicate, list[Grant]]]:
    """Grants of the same predicate together: they may differ in the consents they rest on."""
    grouped: dict[Predicate, list[Grant]] = {}
    for grant in visibility.grants:
        grouped.setdefault(grant.predicate, []).append(grant)
    return list(grouped.items())


def _patients(grants: list[Grant], patient: ColumnElement[str]) -> Condition:
    named = [grant.patients for grant in grants if grant.patients is not None]
    whose: list[Condition] = [among(patient, frozenset().union(*named))] if any(named) else []
    for grant in grants:
        if grant.patients is None and grant.programs is None:
            return true()
        if grant.patients is None:
            enrolled = select(enrolment.c.patient).where(among(enrolment.c.program, grant.programs or ()))
            whose.append(patient.in_(enrolled))
    return or_(false(), *whose)


def _referred(visibility: Visibility, kind: str, row: FromClause) -> Condition:
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
        .where(link.c.target_id == row.c.id, link.c.target_type == kind)
        .where(or_(source.c.standing == "registry", member))
        .correlate(row)
        .exists()
    )
