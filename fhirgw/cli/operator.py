"""Commands of the operator and the privacy officer over the local store: consent, audit, migrate.

They are not exits: local, and accounted for in the ledger where they touch a member's data (DESIGN §1).
"""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fhirgw.app import Gateway, new_id
from fhirgw.audit import Entry, disclosures
from fhirgw.audit import verify as verify_ledger
from fhirgw.cli.terminal import emit, emit_all, local, patient_id, people, read, read_json
from fhirgw.consent.cases import Cases
from fhirgw.consent.closure import Supporting
from fhirgw.consent.explain import explain as explain_policy
from fhirgw.consent.lint import lint
from fhirgw.consent.model import ConsentSettings
from fhirgw.consent.wire import decision_json, resources
from fhirgw.errors import InvalidElement
from fhirgw.share import Requester
from fhirgw.store import clients, policy, repository

consent_app = typer.Typer(help="Decide, explain, revoke.", no_args_is_help=True)
audit_app = typer.Typer(help="The ledger of what was released.", no_args_is_help=True)

Patient = Annotated[str, typer.Option(help="Logical id, or system|value of an identifier.", show_default=False)]
Recipient = Annotated[str, typer.Option(help="Client id, or system|value of the organization.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(migrate)
    app.add_typer(consent_app, name="consent")
    app.add_typer(audit_app, name="audit")


def migrate() -> None:
    """Bring the database to the newest schema. Example: fhirgw migrate"""
    with local():  # which migrates
        pass
    people.print("The database is up to date.")


# --- consent --------------------------------------------------------------------------------------------------


@consent_app.command("decide")
def consent_decide(
    request: Annotated[Path | None, typer.Option(help="The request (JSON).")] = None,
    resource: Annotated[list[Path] | None, typer.Option(help="A FHIR resource; repeat.")] = None,
    consents: Annotated[list[Path] | None, typer.Option(help="A FHIR Consent; repeat.")] = None,
    supporting: Annotated[list[Path] | None, typer.Option(help="What references lead to; repeat.")] = None,
    batch: Annotated[Path | None, typer.Option(help="Cases as NDJSON, instead of the other options.")] = None,
) -> None:
    """Decide over files, without a store.

    Example: fhirgw consent decide --request R.json --resource F.json --consents C.json
    """
    cases = Cases(datetime.now(UTC))
    if batch:
        lines = ((number, line) for number, line in enumerate(read(batch).splitlines(), 1) if line.strip())
        raise typer.Exit(code=int(emit_all(cases.answer(line, number) for number, line in lines)))
    if request is None:
        raise InvalidElement("Give --request, or --batch.")
    case = {
        "request": read_json(request),
        "consents": [read_json(path) for path in consents or []],
        "supporting": [read_json(path) for path in supporting or []],
    }
    judged = [case | {"resource": read_json(path)} for path in resource or []] or [case]
    for one in judged:
        emit(decision_json(cases.decide(one)))


@consent_app.command("lint")
def consent_lint(
    consents: Annotated[list[Path], typer.Argument(help="FHIR Consents, or Bundles of them.")],
    supporting: Annotated[list[Path] | None, typer.Option(help="What references lead to; repeat.")] = None,
) -> None:
    """Say in plain words what Consents permit and deny, and what is wrong with them.

    Exit 1 where something cannot be enforced, or contradicts itself.

    Example: fhirgw consent lint fixtures/consent/roi.json
    """
    known = Supporting(resources([read_json(path) for path in supporting or []], "supporting"))
    stated = resources([read_json(path) for path in consents], "consents")
    grave = False
    for report in lint(stated, known, datetime.now(UTC), ConsentSettings()):
        emit(asdict(report))
        people.print(f"Consent/{report.consent}", style="bold")
        for said in (*(f"permits {one}" for one in report.permits), *(f"denies {one}" for one in report.denies)):
            people.print(f"  {said}", soft_wrap=True, markup=False)
        for found in report.findings:
            people.print(f"  {found.kind}: {found.text} {found.path}".rstrip(), soft_wrap=True, markup=False)
            grave = grave or found.kind in {"unenforceable", "contradictory"}
    raise typer.Exit(code=int(grave))


@consent_app.command("explain")
def consent_explain(
    patient: Patient,
    recipient: Recipient,
    purpose: Annotated[str, typer.Option(help="v3-ActReason code.")] = "TREAT",
) -> None:
    """Why a recipient sees what it sees of a member; this is accounted for.

    Example: fhirgw consent explain --patient 'http://example.org/sid|M1' --recipient pcmh-elm
    """
    with local() as gateway:
        who = patient_id(gateway, patient)
        with gateway.database.read() as connection:
            requester = _requester(gateway, recipient, purpose)
            request = gateway.share.request(connection, requester, datetime.now(UTC))
            [known] = policy.load(connection, [who])
            resources = [(one.body, one.labels) for one in repository.compartment(connection, who)]
        emit(explain_policy(request, known, gateway.share.consent, resources))
        _account(gateway, who, "consent-explain", (f"Patient/{who}",))


@consent_app.command("revoke")
def consent_revoke(
    patient: Patient,
    recipient: Recipient,
    written: Annotated[bool, typer.Option(help="The member revoked in writing; oral is enough.")] = False,
) -> None:
    """End a member's release to a recipient, at once.

    Example: fhirgw consent revoke --patient 'http://example.org/sid|M1' --recipient pcmh-elm
    """
    with local() as gateway:
        who = patient_id(gateway, patient)
        with gateway.database.read() as connection:
            requester = _requester(gateway, recipient, "PATRQT")
            tokens = policy.organization_tokens(connection, requester.organization)
        ended = asyncio.run(gateway.ingest.resources.revoke(who, tokens, written=written))
    if not ended:
        raise InvalidElement("No release of this member to this recipient is in force.")
    emit({"revoked": ended})


def _requester(gateway: Gateway, named: str, purpose: str) -> Requester:
    """The recipient as the gateway would see it ask."""
    with gateway.database.read() as connection:
        known = clients.find(connection, named)
        organization = known.organization if known else policy.organization(connection, named)
    if organization is None:
        raise InvalidElement("No client and no organization here has this name.", location="--recipient")
    return Requester(named, organization, purpose, (), None, new_id())


def _account(gateway: Gateway, patient: str | None, command: str, resources: tuple[str, ...]) -> None:
    entry = Entry(patient, "operator", None, "HCOMPL", False, command, resources, (), new_id())
    gateway.database.write_sync(lambda tx: gateway.ledger.append(tx, [entry]))


# --- audit ----------------------------------------------------------------------------------------------------


@audit_app.command("verify")
def audit_verify() -> None:
    """Check the ledger's chains and signed roots. Example: fhirgw audit verify"""
    with local() as gateway, gateway.database.read() as connection:
        found = list(verify_ledger(connection, gateway.keys.audit))
    emit({"ok": not found, "problems": found})
    raise typer.Exit(code=int(bool(found)))


@audit_app.command("disclosures")
def audit_disclosures(patient: Patient) -> None:
    """What was disclosed of a member, to whom, when, under which consent; this is accounted for.

    Example: fhirgw audit disclosures --patient 'http://fhirgw.org/fhir/sid/ct-medicaid|CT-TEST-0001'
    """
    with local() as gateway:
        who = patient_id(gateway, patient)
        with gateway.database.read() as connection:
            found = disclosures(connection, who)
        for one in found:
            emit(asdict(one))
        _account(gateway, who, "audit-disclosures", (f"Patient/{who}",))
