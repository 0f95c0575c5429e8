"""``Patient/$match``: who somebody may be, among those whom the requester may see.

Rated on what is visible of each: the keys of the index come from whole Patients, so that every released form is
asked again whether it shares one. What is hidden neither finds nor helps nor harms (leak 43 of the catalogue).
See: http://hl7.org/fhir/R4/patient-operation-match.html
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from fhirgw.answer import Answer, Shown, show
from fhirgw.consent.model import Json
from fhirgw.consent.predicate import Visibility
from fhirgw.matching import Grade, Model, Rated, keys, sought, traits
from fhirgw.store import candidates, repository

MATCH_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
MOST = 50  # more than a person reads; asked for or not


@dataclass(frozen=True, slots=True)
class Match:
    """Who is this?

    Attributes:
        patient: What is known of the person: a valid Patient, however little of one.
        only_certain: Only one who is certain, and only if there is one alone.
        count: How many at most.
    """

    patient: Json
    only_certain: bool = False
    count: int = MOST


def look_up(connection: Connection, visibility: Visibility, model: Model, ask: Match, base: str) -> Answer:
    """The graded candidates, the likeliest first."""
    wanted = traits(ask.patient)
    shown = _visible(connection, visibility, sought(wanted))
    rated = model.rank(wanted, [(one, one.body) for one in shown])
    if ask.only_certain:
        certain = [one for one in rated if one[1].grade is Grade.CERTAIN]
        rated = certain if len(certain) == 1 else []
    given = rated[: min(ask.count, MOST)]
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(rated)}
    if given:
        bundle["entry"] = [_entry(base, one, found) for one, found in given]
    return Answer(bundle, [one for one, _ in given], "operation")


def _visible(connection: Connection, visibility: Visibility, asked: frozenset[int]) -> Iterator[Shown]:
    """The released forms that have one of these keys."""
    for patient in candidates.sharing(connection, asked):
        stored = repository.read(connection, "Patient", patient, visibility)
        shown = show(stored, visibility) if stored is not None and not stored.deleted else None
        if shown is not None and not asked.isdisjoint(keys(traits(shown.body))):
            yield shown


def _entry(base: str, shown: Shown, found: Rated) -> Json:
    grade = {"url": MATCH_GRADE, "valueCode": str(found.grade)}
    return {
        "fullUrl": f"{base}/Patient/{shown.stored.id}",
        "resource": shown.body,
        "search": {"extension": [grade], "mode": "match", "score": found.probability},
    }
