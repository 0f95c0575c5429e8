"""Commands of the privacy officer over the local store: consent explain, consent revoke.

They are not exits: local, and accounted for in the ledger where they touch a member's data (DESIGN §1).
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer
from sqlalchemy import Connection

from fhirgw.app import Gateway, new_id, now
from fhirgw.asks import Requester
from fhirgw.cli.terminal import account, emit, local, patient_id, written
from fhirgw.consent.explain import Asker, explain
from fhirgw.consent.model import PatientPolicy
from fhirgw.document import officer
from fhirgw.document.plan import name_of
from fhirgw.errors import InvalidElement
from fhirgw.store import clients, outbox, parties, policy, repository
from fhirgw.visibility import request_of

Patient = Annotated[str, typer.Option(help="Logical id, or system|value of an identifier.", show_default=False)]
Recipient = Annotated[str, typer.Option(help="Client id, or system|value of the organization.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("explain")(consent_explain)
    app.command("revoke")(consent_revoke)


class Form(StrEnum):
    """How an explanation is printed."""

    JSON = "json"
    TEXT = "text"
    HTML = "html"


def consent_explain(
    patient: Patient,
    recipient: Annotated[str | None, typer.Option(help="Only this client or organization; none: all.")] = None,
    purpose: Annotated[
        str | None, typer.Option(help="v3-ActReason code; none: those they are registered for.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="HTML is one file that needs nothing else.")] = Form.JSON,
    output: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
) -> None:
    """Who can see what of a member and why, and what is to be settled; this is accounted for.

    Example: fhirgw consent explain --patient 'http://example.org/sid|M1' --format html --output M1.html
    """
    with local() as gateway:
        who = patient_id(gateway, patient)
        at = datetime.now(UTC)
        with gateway.database.read() as connection:
            askers = list(_askers(gateway, connection, recipient, purpose, at))
            [known] = policy.load(connection, [who])
            record = [(one.body, one.labels) for one in repository.compartment(connection, who)]
            names = _names(connection, known)
        explained = explain(askers, known, record, gateway.share.consent, at)
        account(gateway, who, "consent-explain", (f"Patient/{who}",))
    member = next((name_of(body, {}) for body, _ in record if body["resourceType"] == "Patient"), "") or "a member"
    if form == Form.JSON:
        written(orjson.dumps(explained) + b"\n", output)
    else:
        written(
            officer.html(explained, member, names)
            if form == Form.HTML
            else officer.text(explained, member, names).encode(),
            output,
        )


def _askers(
    gateway: Gateway, connection: Connection, recipient: str | None, purpose: str | None, at: datetime
) -> Iterator[Asker]:
    """The registered recipients outside the programme, for each purpose; or the one that is named."""
    if recipient is not None and clients.find(connection, recipient) is None:
        requester = _requester(gateway, recipient, purpose or "TREAT")
        yield Asker(recipient, recipient, request_of(connection, requester, at))
        return
    for client in clients.registered(connection):
        if client.revoked or client.inside is not None or recipient not in (None, client.id):
            continue
        for one in (purpose,) if purpose else client.purposes:
            requester = Requester(client.id, client.organization, one, (), None, new_id())
            yield Asker(client.id, client.name, request_of(connection, requester, at))


def _names(connection: Connection, known: PatientPolicy) -> dict[str, str]:
    """What those are called whom the member's Consents name."""
    found = {reference: repository.current(connection, *reference.split("/")) for reference in known.actors}
    bodies = {reference: stored.body for reference, stored in found.items() if stored is not None}
    return {reference: name for reference, body in bodies.items() if (name := name_of(body, bodies))}


def consent_revoke(
    patient: Patient,
    recipient: Recipient,
    written: Annotated[bool, typer.Option(help="The member revoked in writing; oral is enough.")] = False,
) -> None:
    """End a member's release to a recipient, at once; whoever received something under it is told.

    Example: fhirgw consent revoke --patient 'http://example.org/sid|M1' --recipient pcmh-elm
    """
    with local() as gateway:
        who = patient_id(gateway, patient)
        with gateway.database.read() as connection:
            requester = _requester(gateway, recipient, "PATRQT")
            tokens = parties.organization_tokens(connection, requester.organization)
        since = now()
        ended = asyncio.run(gateway.ingest.resources.revoke(who, tokens, written=written))
        with gateway.database.read() as connection:
            noted = outbox.about(connection, ended, since)
    if not ended:
        raise InvalidElement("No release of this member to this recipient is in force.")
    told = {state: [one.client for one in noted if one.state == state] for state in ("due", "failed")}
    emit({"revoked": ended, "told": told["due"], "tell": told["failed"]})


def _requester(gateway: Gateway, named: str, purpose: str) -> Requester:
    """The recipient as the gateway would see it ask."""
    with gateway.database.read() as connection:
        known = clients.find(connection, named)
        organization = known.organization if known else parties.organization(connection, named)
    if organization is None:
        raise InvalidElement("No client and no organization here has this name.", location="--recipient")
    return Requester(named, organization, purpose, (), None, new_id())
