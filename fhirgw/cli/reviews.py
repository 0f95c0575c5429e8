"""Commands of whoever says who is who: the reviews of matching, confirmed or rejected by a person.

Local, and accounted for in the ledger (DESIGN §1): what is shown of a member, and what is said of one.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from fhirgw.app import Gateway, new_id
from fhirgw.audit import Entry
from fhirgw.cli.terminal import emit, local, patient_id
from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.mappers.adt import extract, read
from fhirgw.matching import levels, traits
from fhirgw.store import journal, repository, reviews
from fhirgw.store.reviews import Review
from fhirgw.store.stored import instant

match_app = typer.Typer(help="People who may be one: who says so, and who is.", no_args_is_help=True)

ReviewId = Annotated[int, typer.Argument(help="Id of the review.", show_default=False)]
SHOWN = ("name", "birthDate", "gender", "address", "telecom", "identifier")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(match_app, name="match")


@match_app.command("list")
def match_list(
    state: Annotated[str, typer.Option(help="open, confirmed, rejected or all.")] = "open",
) -> None:
    """List the reviews, oldest first, without anybody's data. Example: fhirgw match list"""
    with local() as gateway, gateway.database.read() as connection:
        for review in reviews.list_(connection, state=None if state == "all" else state):
            emit(_summary(review))


@match_app.command("show")
def match_show(review: ReviewId) -> None:
    """What a message says of somebody, beside each candidate; accounted for. Example: fhirgw match show 3"""
    with local() as gateway:
        with gateway.database.read() as connection:
            known = reviews.get(connection, review)
            last = journal.get(connection, known.messages[-1]) if known.messages else None
            person = _person(gateway, last)
            candidates = [
                {
                    "patient": one.patient,
                    "probability": one.probability,
                    "state": one.state,
                    "alike": levels(traits(person), traits(stored.body)),
                    "person": _demographics(stored.body),
                }
                for one in known.candidates
                if (stored := repository.current(connection, "Patient", one.patient))
            ]
        about = tuple(f"journal/{row}" for row in known.messages[-1:])
        entries = [
            Entry(one.patient, "operator", None, "HOPERAT", False, "match-show", about, (), new_id())
            for one in known.candidates
        ]
        gateway.database.write_sync(lambda tx: gateway.ledger.append(tx, entries))
    emit(_summary(known) | {"person": _demographics(person), "candidates": candidates})


@match_app.command("confirm")
def match_confirm(
    review: ReviewId,
    patient: Annotated[str, typer.Argument(help="Logical id, or system|value.", show_default=False)],
) -> None:
    """It is this person: what waited is processed, oldest first.

    Example: fhirgw match confirm 3 'http://example.org/sid|M1'
    """
    with local() as gateway:
        due = asyncio.run(_said(gateway, review, patient_id(gateway, patient), confirmed=True))
    _finish(review, due)


@match_app.command("reject")
def match_reject(
    review: ReviewId,
    patient: Annotated[str | None, typer.Argument(help="Logical id, or system|value; none: all of them.")] = None,
) -> None:
    """It is not this person, or nobody here; the pair is not asked about again. Example: fhirgw match reject 3"""
    with local() as gateway:
        who = patient_id(gateway, patient) if patient else None
        due = asyncio.run(_said(gateway, review, who, confirmed=False))
    _finish(review, due)


# --- two who are here -----------------------------------------------------------------------------------------

Survivor = Annotated[
    str, typer.Argument(help="Whose record stays: logical id, or system|value.", show_default=False)
]
Merged = Annotated[str, typer.Argument(help="The other's: logical id, or system|value.", show_default=False)]


@match_app.command("merge")
def match_merge(survivor: Survivor, merged: Merged) -> None:
    """Two people here are one; permissions do not move. Example: fhirgw match merge k2v5abc m7x3def"""
    _settle("merge", survivor, merged)


@match_app.command("unmerge")
def match_unmerge(survivor: Survivor, merged: Merged) -> None:
    """They are two, whoever merged them: each has its own again. Example: fhirgw match unmerge k2v5abc m7x3def"""
    _settle("unmerge", survivor, merged)


@match_app.command("accept")
def match_accept(survivor: Survivor, merged: Merged) -> None:
    """A merge that a hospital told of is right. Example: fhirgw match accept k2v5abc m7x3def"""
    _settle("accept", survivor, merged)


def _settle(what: str, survivor: str, merged: str) -> None:
    with local() as gateway:
        pair = patient_id(gateway, survivor), patient_id(gateway, merged)
        with gateway.database.read() as connection:
            here = [one for one in pair if repository.current(connection, "Patient", one)]
        if len({*here}) != 2:
            raise InvalidElement("Name two different Patients who are here.", location="patient")
        persons = gateway.ingest.persons
        asyncio.run({"merge": persons.merge, "unmerge": persons.unmerge, "accept": persons.confirm}[what](*pair))
    emit({what: {"survivor": pair[0], "merged": pair[1]}})


# --- how it is told -------------------------------------------------------------------------------------------


async def _said(gateway: Gateway, review: int, patient: str | None, *, confirmed: bool) -> dict[int, str]:
    """What became of the messages that waited."""
    if confirmed and patient is not None:
        due = await gateway.ingest.reviews.confirm(review, patient)
    else:
        due = await gateway.ingest.reviews.reject(review, patient)
    states = {}
    for key in due:
        with gateway.database.read() as connection:
            row = journal.get(connection, key)
        states[key] = await gateway.ingest.messages.process(row)
    return states


def _finish(review: int, states: dict[int, str]) -> None:
    emit({"review": review, "messages": [{"id": key, "state": state} for key, state in states.items()]})
    raise typer.Exit(code=int("parked" in states.values()))


def _summary(review: Review) -> dict[str, Any]:
    return {
        "review": review.id,
        "opened": instant(review.opened_at),
        "sender": review.sender,
        "state": review.state,
        "candidates": [
            {"patient": one.patient, "probability": one.probability, "state": one.state}
            for one in review.candidates
        ],
        "messages": list(review.messages),
    }


def _person(gateway: Gateway, row: journal.Row | None) -> dict[str, Any]:
    """Whom a message tells of; nothing when its bytes have expired or are read no more."""
    nothing = {"resourceType": "Patient"}
    try:
        return extract(*read(row.raw, gateway.settings.senders(), gateway.keys.ids)).patient if row else nothing
    except (GatewayError, ExceptionGroup):
        return nothing


def _demographics(patient: dict[str, Any], shown: Sequence[str] = SHOWN) -> dict[str, Any]:
    return {name: patient[name] for name in shown if name in patient}
