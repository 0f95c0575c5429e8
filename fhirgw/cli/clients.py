"""Commands about partners' systems: client add, list, revoke, call."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import orjson
import typer
from joserfc.jwk import ECKey, KeySet

from fhirgw.app import Gateway, new_id
from fhirgw.cli.terminal import emit, local, people, read_json
from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.ingest import register_organization
from fhirgw.send import Credentials, call, token
from fhirgw.settings import Settings
from fhirgw.store import clients
from fhirgw.store.clients import Client
from fhirgw.store.database import Transaction

client = typer.Typer(help="Register partners' systems, and try the API as one of them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(client, name="client")


def new_key(path: Path) -> str:
    """Write a fresh EC P-384 private key (JWK, owner-readable) and give its public key set as JSON.

    Raises:
        InvalidElement: There is such a file: a key that may be in use is not overwritten.
    """
    key = ECKey.generate_key("P-384", private=True, auto_kid=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidElement(f"{path} is there already; name another file.", location="--generate") from None
    with os.fdopen(handle, "wb") as file:
        file.write(orjson.dumps(key.as_dict(private=True)))
    return orjson.dumps(KeySet([key]).as_dict(private=False)).decode()


def add_client(gateway: Gateway, added: Client, organization: tuple[str, str], name: str) -> None:
    """Register a client and the Organization it speaks for."""

    def unit(tx: Transaction) -> None:
        logical = register_organization(tx, gateway.keys.ids, *organization, name)
        clients.register(tx, replace(added, organization=logical))

    gateway.database.write_sync(unit)


@client.command("add")
def add(
    client_id: Annotated[str, typer.Argument(help="Client id.", show_default=False)],
    organization: Annotated[str, typer.Option(help="system|value of the organization, e.g. its NPI.")],
    name: Annotated[str, typer.Option(help="The organization's name.")],
    purpose: Annotated[
        list[str], typer.Option(help="Purpose of use (v3-ActReason); repeat. One alone is the default.")
    ],
    jwks: Annotated[Path | None, typer.Option(help="Its public keys (JSON Web Key Set).")] = None,
    generate: Annotated[Path | None, typer.Option(help="Make a key pair; the private key goes here.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="SMART scope; repeat. Default: system/*.rs")] = None,
    inside: Annotated[list[str] | None, typer.Option(help="Programme whose own staff it serves, or '*'.")] = None,
    notify: Annotated[str | None, typer.Option(help="URL that notifications are sent to.")] = None,
    notify_on: Annotated[
        list[str] | None,
        typer.Option(
            help="admit, transfer or discharge; repeat. Default: all of them. "
            "emergency-claimed: for a programme's own system."
        ),
    ] = None,
    notify_header: Annotated[str | None, typer.Option(help="'Name: value' that this URL asks for.")] = None,
    class_: Annotated[
        list[str] | None, typer.Option("--class", help="What its organization is: payer, covered-entity …; repeat.")
    ] = None,
    emergency: Annotated[bool, typer.Option("--emergency", help="It may claim emergencies (break-glass).")] = False,
) -> None:
    """Register a client.

    Example: fhirgw client add pcmh-elm --organization 'http://hl7.org/fhir/sid/us-npi|1234567893'
    --name 'Elm Street Family Practice' --purpose TREAT --purpose COC --generate elm.jwk
    """
    if (jwks is None) == (generate is None):
        raise InvalidElement("Give either --jwks or --generate.")
    if "|" not in organization:
        raise InvalidElement("An organization is named by system|value.", location="--organization")
    keys = orjson.dumps(read_json(jwks)).decode() if jwks else new_key(generate) if generate else ""
    system, value = organization.rsplit("|", 1)
    added = Client(
        id=client_id,
        name=name,
        organization="",
        jwks=keys,
        scopes=tuple(scope or ["system/*.rs"]),
        purposes=tuple(purpose),
        inside=frozenset(inside) if inside else None,
        notify_url=notify,
        notify_on=frozenset(map(_notice, notify_on)) if notify_on else clients.NOTIFICATIONS,
        notify_header=notify_header,
        classes=frozenset(class_ or ()),
        emergency=emergency,
    )
    try:
        with local() as gateway:
            add_client(gateway, added, (system, value), name)
    except GatewayError:
        if generate:
            generate.unlink()  # the key of nobody
        raise
    emit({"client": client_id})


@client.command("list")
def list_() -> None:
    """List the clients. Example: fhirgw client list"""
    with local() as gateway, gateway.database.read() as connection:
        for one in clients.registered(connection):
            emit(
                {
                    "client": one.id,
                    "name": one.name,
                    "organization": f"Organization/{one.organization}",
                    "purposes": one.purposes,
                    "scopes": one.scopes,
                    "inside": sorted(one.inside) if one.inside is not None else None,
                    "notify": sorted(one.notify_on) if one.notify_url else [],
                    "classes": sorted(one.classes),
                    "emergency": one.emergency,
                    "revoked": one.revoked,
                }
            )


@client.command("revoke")
def revoke(client_id: Annotated[str, typer.Argument(help="Client id.", show_default=False)]) -> None:
    """End a registration, and its tokens, at once. Example: fhirgw client revoke pcmh-elm"""
    with local() as gateway:
        ended = gateway.database.write_sync(lambda tx: clients.revoke(tx, client_id))
    if not ended:
        raise InvalidElement("No such client is in force.", location="client")
    emit({"client": client_id, "revoked": True})


@client.command("emergency")
def emergency_(
    client_id: Annotated[str, typer.Argument(help="Client id.", show_default=False)],
    allow: Annotated[bool, typer.Option("--allow/--forbid", help="Whether it may claim emergencies.")],
) -> None:
    """Let a client claim emergencies (break-glass), or no more. Example: fhirgw client emergency elm --allow"""
    with local() as gateway:
        known = gateway.database.write_sync(lambda tx: clients.allow_emergencies(tx, client_id, allowed=allow))
    if not known:
        raise InvalidElement("No such client is in force.", location="client")
    emit({"client": client_id, "emergency": allow})


def _notice(name: str) -> str:
    return name if name in clients.NOTICES else f"notification-{name}"


@client.command("token")
def token_(
    client_id: Annotated[str, typer.Argument(help="Client id.", show_default=False)],
    key: Annotated[Path, typer.Option(help="Its private key (PEM or JWK).")],
    scope: Annotated[str, typer.Option(help="Scopes, separated by spaces.")] = "system/*.rs",
    purpose: Annotated[str | None, typer.Option(help="Purpose of use; default: the registered one.")] = None,
    claim: Annotated[Path | None, typer.Option(help="An emergency: extensions of the assertion (JSON).")] = None,
    base: Annotated[str | None, typer.Option(help="Base URL of the FHIR API.")] = None,
) -> None:
    """Print an access token, for curl. Example: fhirgw client token elm --key elm.jwk --scope system/hl7v2"""
    credentials = Credentials(
        client_id, key.read_text("utf-8"), purpose=purpose, scope=scope, extensions=_extensions(claim)
    )
    print(token(base or Settings().base, credentials, now=int(time.time()), jti=new_id()))


@client.command("call")
def call_(
    client_id: Annotated[str, typer.Argument(help="Client id.", show_default=False)],
    key: Annotated[Path, typer.Option(help="Its private key (PEM or JWK).")],
    method: Annotated[str, typer.Argument(help="GET, POST or PUT.")],
    path: Annotated[str, typer.Argument(help="Path under the base with its query, or a next link.")],
    form: Annotated[
        list[str] | None, typer.Option(help="name=value of a form body (POST _search); repeat.")
    ] = None,
    body: Annotated[Path | None, typer.Option(help="A JSON body.")] = None,
    purpose: Annotated[str | None, typer.Option(help="Purpose of use; default: the registered one.")] = None,
    claim: Annotated[Path | None, typer.Option(help="An emergency: extensions of the assertion (JSON).")] = None,
    if_match: Annotated[str | None, typer.Option(help="If-Match, for an update.")] = None,
    base: Annotated[str | None, typer.Option(help="Base URL of the FHIR API.")] = None,
) -> None:
    """Ask the API as this client would: get a token with its key, make one request, print the answer.

    Example: fhirgw client call pcmh-elm --key elm.jwk GET 'CarePlan?patient=…&_include=CarePlan:goal'
    """
    content, media_type = None, "application/fhir+json"
    if form:
        if not all("=" in one for one in form):
            raise InvalidElement("A form field is written name=value.", location="--form")
        pairs = [(name, value) for name, _, value in (one.partition("=") for one in form)]
        content, media_type = urlencode(pairs).encode(), "application/x-www-form-urlencoded"
    elif body:
        content = orjson.dumps(read_json(body))
    reply = call(
        base or Settings().base,
        Credentials(client_id, key.read_text("utf-8"), purpose=purpose, extensions=_extensions(claim)),
        method.upper(),
        path,
        now=int(time.time()),
        jti=new_id(),
        content=content,
        media_type=media_type,
        headers={"If-Match": if_match} if if_match else {},
    )
    shown = {name: value for name, value in reply.headers.items() if name.lower() in SHOWN}
    people.print(f"HTTP {reply.status}", *(f"{name}: {value}" for name, value in shown.items()), sep="\n")
    typer.echo(reply.body)  # a printed document is no text
    raise typer.Exit(code=int(reply.status >= 400))


def _extensions(claim: Path | None) -> Mapping[str, Mapping[str, str]]:
    stated = read_json(claim) if claim else {}
    if not isinstance(stated, dict) or not all(isinstance(one, dict) for one in stated.values()):
        raise InvalidElement("A claim is a JSON object of the extensions hl7-b2b and fhirgw-emergency.")
    return stated


SHOWN = frozenset({"etag", "last-modified", "x-request-id", "x-42cfr-part-2", "location"})
