"""A search of a store, and what it finds."""

from store_samples import (
    INSIDE,
)

from fhirgw.store import search

SUD = "F11.20"
BASE = "https://gateway.example/fhir"


def run(database, kind, *asked, visibility=INSIDE, after=None):
    query = search.parse(kind, asked, strict=True, base=BASE)
    with database.read() as connection:
        return search.run(connection, query, visibility, after=after)


def ids(database, kind, *asked, visibility=INSIDE):
    return [one.id for one in run(database, kind, *asked, visibility=visibility).matches]
