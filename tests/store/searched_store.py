"""A search of a store, and what it finds."""

from dataclasses import replace

from store_samples import (
    INSIDE,
)

from fhirgw.consent.predicate import Everybody
from fhirgw.store import search

SUD = "F11.20"
BASE = "https://gateway.example/fhir"


def run(database, kind, *asked, visibility=INSIDE, after=None):
    query = search.parse(kind, asked, strict=True, base=BASE)
    with database.read() as connection:
        return search.run(connection, query, visibility, after=after)


def ids(database, kind, *asked, visibility=INSIDE):
    return [one.id for one in run(database, kind, *asked, visibility=visibility).matches]


def of_everybody(visibility):
    """The same, by the patterns of the patients' policies."""
    by_predicate = {}
    for grant in visibility.grants:
        some = frozenset(f"of-{patient}" for patient in grant.patients)
        by_predicate[grant.predicate] = by_predicate.get(grant.predicate, frozenset()) | some
    return replace(
        visibility, grants=(), everybody=Everybody(by_predicate), instant=1_790_000_000_000_000,
        compiled=visibility.grant_for,
    )  # fmt: skip
