"""Frozen settings: the only reader of the environment, of the senders file and of the deployment key."""

import hashlib
import hmac
import os
import secrets
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

ZONE: Final = "America/New_York"
"""Where nobody says otherwise, times without an offset are meant there. Never silently UTC."""


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (KeyError, OSError, ValueError):
        raise ValueError("there is no such time zone") from None


Zone = Annotated[str, AfterValidator(_known_zone)]
"""The name of a zone in the IANA database."""
ZField = Annotated[str, StringConstraints(pattern=r"^Z[A-Z0-9]{2}-[1-9]\d{0,2}(\.[1-9]\d{0,2})?$")]
"""A field, or a component of it, of a segment that is not the standard's: ``ZPV-3``, ``ZPV-3.2``."""
_Z_TARGET = r"^(([A-LN-Y][A-Z0-9]|M[A-RT-Z])[A-Z0-9]-[1-9]\d{0,2}|(Patient|Encounter) [a-z]+:\S+)$"
ZTarget = Annotated[str, StringConstraints(pattern=_Z_TARGET)]
"""What it stands for: a standard field, not of MSH (``PV1-44``), or the URL of an extension of one resource."""


class Sender(BaseModel):
    """One hospital system that sends ADT.

    Attributes:
        facility: MSH-4.1 by which it is known.
        zone: IANA zone for times that carry no offset.
        charset: Overrides MSH-18; None believes it.
        part2: Whether all of its records are those of a 42 CFR Part 2 programme.
        default_authority: System for identifiers without CX-4; None refuses them.
        authorities: CX-4.1 namespace to identifier system (URI).
        codes: HL7 table number to (local code to table code), e.g. ``{"0004": {"XI": "I"}}``.
        organization: Logical id of the Organization it speaks for; None derives one.
        z: Its own fields to what they mean: a standard field (``{"ZPV-3": "PV1-44"}``) or an extension
            (``{"ZPD-2": "Patient https://…"}``).
        ack: Who decides which ACKs it gets: ``message`` (MSH-15/16), ``original`` (AA, AE, AR at once), ``aa-only``
            (AA for everything that is on disk), or a pair of table 0155 instead of MSH-15/16, such as ``AL/NE``.
        certificates: What its client certificates may be called: a subject (RFC 4514) or ``DNS:…``, ``URI:…``,
            ``email:…`` of the subject alternative names. A sender that has some is believed by them alone.
        clients: Ids of the registered clients that may send for it over HTTP.
        addresses: Addresses and networks it sends from; empty: any.
        max_connections: MLLP connections at once; None: as many as the gateway has.
        max_message_bytes: Cap of a message; None: the gateway's.
        messages_per_second: More than this are made to wait; None: no cap.
        idle_timeout_seconds: Silence after which its connection is closed; None: the gateway's.
        return_to: Where application ACKs go, ``mllp://host:port`` or ``mllps://…``; None: the message's connection.
        return_timeout_seconds: How long that address may take.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    facility: str = ""
    zone: Zone = ZONE
    charset: str | None = None
    part2: bool = False
    default_authority: str | None = None
    authorities: dict[str, str] = Field(default_factory=dict)
    codes: dict[str, dict[str, str]] = Field(default_factory=dict)
    organization: str | None = None
    z: dict[ZField, ZTarget] = Field(default_factory=dict)
    ack: Annotated[str, StringConstraints(pattern=r"^(message|original|aa-only|(AL|NE|ER|SU)/(AL|NE|ER|SU))$")] = (
        "message"
    )
    certificates: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    max_connections: Annotated[int, Field(gt=0)] | None = None
    max_message_bytes: Annotated[int, Field(gt=0)] | None = None
    messages_per_second: Annotated[float, Field(gt=0)] | None = None
    idle_timeout_seconds: Annotated[float, Field(gt=0)] | None = None
    return_to: Annotated[str, StringConstraints(pattern=r"^mllps?://[^/@\s]+:\d+$")] | None = None
    return_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0

    @property
    def tz(self) -> ZoneInfo:
        """The zone as an object."""
        return ZoneInfo(self.zone)


class Senders(BaseModel):
    """The senders file (TOML): ``[default]`` and ``[senders.NAME]`` tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Sender = Sender()
    senders: dict[str, Sender] = Field(default_factory=dict)

    def named(self, name: str) -> Sender:
        """The sender of this name; the default when it is registered no more."""
        return self.senders.get(name, self.default)

    def by_facility(self, facility: str) -> tuple[str, Sender]:
        """The sender of this MSH-4.1, with its name; the default when none is registered."""
        for name, sender in self.senders.items():
            if sender.facility == facility:
                return name, sender
        return "default", self.default

    def each(self) -> Iterator[tuple[str, Sender]]:
        """Every sender with its name, the default last."""
        yield from self.senders.items()
        yield "default", self.default


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Keys derived from the deployment key; each serves one purpose."""

    ids: bytes
    cursor: bytes
    audit: bytes
    token: bytes

    @classmethod
    def derive(cls, deployment: bytes) -> "Keys":
        """HMAC-SHA512 of the purpose's name under the deployment key: 64 bytes each."""
        return cls(
            *(hmac.digest(deployment, name, hashlib.sha512) for name in (b"ids", b"cursor", b"audit", b"token"))
        )


class Settings(BaseSettings):
    """All settings, from ``FHIRGW_*``; every one has a default that works on a laptop."""

    model_config = SettingsConfigDict(env_prefix="FHIRGW_", frozen=True)

    data_dir: Path = Path("fhirgw-data")
    database_url: str | None = None
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    base_url: str | None = None
    mllp_host: str = "127.0.0.1"
    mllp_port: int = 2575
    mllp_tls_certificate: Path | None = None
    mllp_tls_key: Path | None = None
    mllp_tls_client_ca: Path | None = None
    unknown_senders: Literal["default", "refuse"] = "default"
    behind_tls_proxy: bool = False
    disk_encrypted: bool = False
    senders_file: Path | None = None
    programs_dir: Path | None = None
    matching_file: Path | None = None
    agreements_file: Path | None = None
    minimum_file: Path | None = None
    organization: str | None = None
    zone: Zone = ZONE
    break_glass_minutes: Annotated[int, Field(ge=1)] = 60
    deployment_key: str | None = None
    max_message_bytes: int = 10 * 1024 * 1024
    max_batch_bytes: int = 64 * 1024 * 1024
    idle_timeout_seconds: float = 300.0
    max_connections: int = 256
    duplicate_window_days: int = 7
    journal_stranger_days: Annotated[int, Field(ge=0)] = 14
    journal_member_days: Annotated[int, Field(ge=0)] = 90
    journal_parked_days: Annotated[int, Field(ge=0)] = 90
    journal_rejected_days: Annotated[int, Field(ge=0)] = 30
    return_days: Annotated[int, Field(ge=0)] = 90
    alert_days: int | None = None
    token_seconds: int = 300
    cursor_seconds: int = 900
    upstream: str | None = None
    upstream_client: str | None = None
    upstream_token: SecretStr | None = None
    upstream_key: Path | None = None
    import_token: SecretStr | None = None

    @property
    def database(self) -> str:
        """SQLAlchemy URL; the embedded default is a SQLite file in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'fhirgw.db'}"

    @property
    def base(self) -> str:
        """Base URL of the FHIR API, without a trailing slash."""
        return (self.base_url or f"http://{self.http_host}:{self.http_port}").rstrip("/") + "/fhir"

    def senders(self) -> Senders:
        """The senders file, read anew: an edit counts from the next message or replay."""
        path = self.senders_file or self.data_dir / "senders.toml"
        return Senders.model_validate(tomllib.loads(path.read_text("utf-8"))) if path.exists() else Senders()

    def keys(self) -> Keys:
        """The deployment's keys; made at first use, readable by the owner only."""
        if self.deployment_key:
            return Keys.derive(self.deployment_key.encode())
        path = self.data_dir / "deployment.key"
        if not path.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))
        return Keys.derive(path.read_text().strip().encode())
