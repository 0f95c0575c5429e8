"""What all definitions have in common: their head, their programme, and the words of their sources."""

import re

from fhirgw.mappers.icm.shape import CANONICAL, Json, coding, concept, program_concept
from fhirgw.programs import Program
from fhirgw.programs.facts import Fact
from fhirgw.terminology import THO

PUBLISHER = "fhirgw"
SITE_SETS = "The source names no number, or two: the site sets it."


def head(kind: str, id: str, title: str, description: str, *, publisher: str = PUBLISHER) -> Json:
    """How every canonical resource begins; without a date, for the same programmes give the same bytes."""
    return {
        "resourceType": kind,
        "id": id,
        "url": canonical(kind, id),
        "name": _machine_name(id),
        "title": title,
        "status": "active",
        "experimental": False,
        "publisher": publisher,
        "description": description,
    }


def canonical(kind: str, id: str) -> str:
    """The url of one of our definitions."""
    return f"{CANONICAL}/{kind}/{id}"


def of_program(program: Program) -> Json:
    """Where a definition of a programme is in use, and whose words it goes back to."""
    return {
        "useContext": [
            {
                "code": coding(f"{THO}usage-context-type", "program", "Program"),
                "valueCodeableConcept": program_concept(program),
            }
        ],
        "jurisdiction": [_jurisdiction(program.jurisdiction)],
    }


def citations(program: Program, fact: Fact) -> list[Json]:
    """Each passage that states the fact, in its own words."""
    return [
        {
            "type": "documentation",
            "label": source.section,
            "display": program.document,
            "citation": source.words,
        }
        for source in fact.sources
    ]


def passages(fact: Fact) -> str:
    """The same in one text, where there is no place for a RelatedArtifact."""
    return " ".join(f"{source.section}: “{source.words}”" for source in fact.sources)


def _machine_name(id: str) -> str:
    """An upper-case letter, then letters and digits (R4, invariant of every canonical resource's name)."""
    name = "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", id))
    return name if name[0].isalpha() else f"Icm{name}"


def _jurisdiction(code: str) -> Json:
    system = "urn:iso:std:iso:3166:-2" if "-" in code else "urn:iso:std:iso:3166"
    return concept(coding(system, code))
