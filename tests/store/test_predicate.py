"""Law of agreement: the SQL of a predicate selects what its Python reading accepts."""

from example_counts import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine, insert, select

from fhirgw.consent.predicate import (
    Both,
    ConfAtMost,
    Constant,
    Either,
    Facts,
    LabelsMeet,
    LabelsWithin,
    Negation,
    TypeIn,
    holds,
)
from fhirgw.store.predicate import among, render

TYPES = ("CarePlan", "Goal", "Patient")
masks = st.integers(0, 2**63 - 1) | st.integers(0, 15)
leaves = st.one_of(
    st.builds(Constant, st.booleans()),
    st.builds(TypeIn, st.frozensets(st.sampled_from(TYPES))),
    st.builds(LabelsWithin, masks),
    st.builds(LabelsMeet, masks),
    st.builds(ConfAtMost, st.integers(0, 5)),
)
predicates = st.recursive(
    leaves,
    lambda parts: st.one_of(
        st.builds(Both, st.lists(parts, max_size=3).map(tuple)),
        st.builds(Either, st.lists(parts, max_size=3).map(tuple)),
        st.builds(Negation, parts),
    ),
    max_leaves=8,
)
facts = st.builds(Facts, st.sampled_from(TYPES), masks, st.integers(0, 5))

metadata = MetaData()
table = Table("facts", metadata, Column("type", String), Column("labels", BigInteger), Column("conf", BigInteger))
engine = create_engine("sqlite://")
connection = engine.connect()
metadata.create_all(connection)


@given(predicates, st.lists(facts, min_size=1, max_size=5))
@settings(max_examples=examples(200), deadline=None)
def test_sql_and_python_agree(predicate, some):
    """For every predicate and facts, with the type as a column and as a constant."""
    connection.execute(table.delete())
    connection.execute(insert(table), [{"type": f.type, "labels": f.labels, "conf": f.conf} for f in some])
    expected = sorted((f.type, f.labels, f.conf) for f in some if holds(predicate, f))
    column = select(table).where(render(predicate, table.c.type, table.c.labels, table.c.conf))
    assert sorted(map(tuple, connection.execute(column))) == expected
    constant = [
        tuple(row)
        for kind in TYPES
        for row in connection.execute(
            select(table).where(table.c.type == kind, render(predicate, kind, table.c.labels, table.c.conf))
        )
    ]
    assert sorted(constant) == expected


@given(st.frozensets(st.sampled_from([*TYPES, "o'x", '"', "é"])))
@settings(max_examples=examples(30), deadline=None)
def test_among_nothing_one_or_many(values):
    """Membership of a list of any length, the empty one included."""
    connection.execute(table.delete())
    connection.execute(insert(table), [{"type": kind, "labels": 0, "conf": 0} for kind in TYPES])
    found = set(connection.scalars(select(table.c.type).where(among(table.c.type, values))))
    assert found == values & set(TYPES)
