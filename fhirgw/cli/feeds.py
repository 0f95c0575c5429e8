"""Commands that move HL7 v2 messages: send them to a gateway, or import files of them into the local store."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLContext
from typing import Annotated, BinaryIO
from urllib.parse import urlsplit

import structlog
import typer
from rich.progress import Progress, track

from fhirgw.admission import Peer
from fhirgw.app import Gateway, new_id
from fhirgw.batches import Batch
from fhirgw.cli.terminal import emit, local, people, read
from fhirgw.consent.model import Json
from fhirgw.errors import InvalidElement
from fhirgw.keeping import Received
from fhirgw.store import inspection
from fhirgw.v2.batch import Cut, Splitter, is_batch, read_header
from fhirgw.v2.client import MllpClient
from fhirgw.v2.codec import Segment, parse
from fhirgw.v2.tls import client_context

READ_BYTES = 1 << 20
LARGE = 8 * READ_BYTES
"""Files from this size on have a progress bar."""

Messages = Annotated[
    list[Path], typer.Argument(help="Files of messages or batches; - is stdin.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(send)


def send(
    files: Messages,
    to: Annotated[str, typer.Option(help="Where to: mllp://host:port, or mllps:// for TLS.", show_default=False)],
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an ACK.")] = 30.0,
    ca: Annotated[Path | None, typer.Option(help="CA of the server (PEM); default: the system's.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Our certificate (PEM), for mutual TLS.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
) -> None:
    """Send HL7 v2 files over MLLP, each in a frame of its own, and print the ACKs; of a batch, one line for each.

    Example: fhirgw send fixtures/v2/A01/member.hl7 --to mllp://127.0.0.1:2575
    """
    url = urlsplit(to)
    if url.scheme not in ("mllp", "mllps") or not url.hostname or not url.port:
        raise InvalidElement("Where to send is written mllp://host:port", location="--to")
    tls = client_context(ca, certificate, key) if url.scheme == "mllps" else None
    codes = asyncio.run(_send(files, url.hostname, url.port, timeout, tls))
    raise typer.Exit(code=int(any(code not in ("AA", "CA") for code in codes)))


async def _send(
    files: list[Path],
    host: str,
    port: int,
    timeout: float,  # noqa: ASYNC109 - per ACK
    tls: SSLContext | None,
) -> list[str]:
    codes = []
    try:
        async with MllpClient(host, port, timeout=timeout, tls=tls) as client:
            for path in track(files, console=people, disable=len(files) < 10, description="sending"):
                answer = await client.send(read(path))
                for told in _acks(answer):
                    codes.append(told["ack"])
                    emit({"file": str(path), **told})
                if is_batch(answer):
                    emit({"file": str(path), **_trailer(answer)})
    except OSError as error:
        raise InvalidElement(f"{host}:{port}: {error.strerror or error}", location="--to") from None
    return codes


def _cuts(answer: bytes) -> list[Cut]:
    splitter = Splitter(len(answer) + 1)
    return [*splitter.feed(answer), *splitter.finish()]


def _acks(answer: bytes) -> Iterator[Json]:
    """What an answer says: one ACK, or a batch of them, each with the control id it is about."""
    batch = is_batch(answer)
    for cut in _cuts(answer) if batch else [Cut("MSH", answer)]:
        if cut.name != "MSH":
            continue
        message = parse(cut.raw)
        msa = message.first("MSA")
        told: Json = {"control_id": msa.get(2) if msa else None} if batch else {}
        code = (msa.get(1) if msa else None) or ""
        yield {**told, "ack": code, "errors": [error_told(err) for err in message.all("ERR")]}


def _trailer(answer: bytes) -> Json:
    """BTS of a batch answer: how many ACKs, and what is to be said."""
    line = next((cut.raw for cut in _cuts(answer) if cut.name == "BTS"), b"BTS").decode("latin-1").strip()
    _, count, remark = (*line.split(line[3:4] or "|"), "", "")[:3]
    return {"acks": count, "remark": remark}


def error_told(err: Segment) -> Json:
    """What an ERR segment says: ERR-2 as ``PID-3.1``, ERR-3, ERR-8."""
    segment, _, field, _, component, _ = (err.get(2, part) for part in range(1, 7))
    location = f"{segment}-{field}" if segment and field else segment
    if location and component:
        location = f"{location}.{component}"
    return {"location": location, "code": err.get(3), "text": err.get(8) or err.get(3, 2)}


def import_v2(files: list[Path], answer: Path | None) -> None:
    """Take files of HL7 v2 messages or batches into the local store, of any size, a line for each message.

    Args:
        files: Files; ``-`` is stdin.
        answer: Where the batch answers are written; None: nowhere.
    """
    with local() as gateway, ExitStack() as stack:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # not a line each
        answers = stack.enter_context(answer.open("wb")) if answer else None
        failed = [asyncio.run(_import(gateway, path, answers)) for path in files]
    raise typer.Exit(code=int(any(failed)))


async def _import(gateway: Gateway, path: Path, answers: BinaryIO | None) -> bool:
    """Import one file; whether anything of it was refused or does not agree."""
    count, rows = 0, list[int]()

    def told(cut: Cut, one: Received) -> None:
        nonlocal count
        count += 1
        message = read_header(cut)
        errors = [error_told(err) for err in parse(one.answer.body).all("ERR")] if one.answer else []
        control_id = message.header.get(10) if message else None
        rows.extend([one.row] if one.answer and one.row is not None else [])
        emit({"file": str(path), "message": count, "control_id": control_id, "ack": one.code, "id": one.row,
              "errors": errors})  # fmt: skip

    batch = Batch(
        gateway.intake,
        "file",
        Peer(str(path), local=True),
        max_message_bytes=gateway.settings.max_message_bytes,
        max_batch_bytes=None,
        clock=lambda: datetime.now(UTC),
        new_id=new_id,
        told=told,
        write=answers.write if answers else len,
    )

    async def settle() -> None:
        while await gateway.ingest.messages.process_due():
            pass
        if answers and rows:
            await gateway.intake.delivered(rows, sent=True)
        elif rows:  # given to nobody; those of messages that came before may have been
            with gateway.database.read() as connection:
                owed = set(inspection.keys(connection, ack_state="owed"))
            await gateway.intake.delivered([row for row in rows if row in owed], sent=False)
        rows.clear()

    for piece in _pieces(path):
        await batch.feed(piece)
        await settle()
    result = await batch.finish()
    await settle()
    emit({"file": str(path), "messages": count, "taken": result.taken, "refused": result.refused,
          "remarks": result.remarks})  # fmt: skip
    return bool(result.refused or result.remarks)


def _pieces(path: Path) -> Iterator[bytes]:
    """A file, piece by piece, with progress where it takes long."""
    try:
        size = 0 if str(path) == "-" else path.stat().st_size
        with (
            Progress(console=people, disable=size < LARGE) as progress,
            sys.stdin.buffer if str(path) == "-" else path.open("rb") as file,
        ):
            task = progress.add_task(f"importing {path.name}", total=size or None)
            while piece := file.read(READ_BYTES):
                progress.advance(task, len(piece))
                yield piece
    except OSError as error:
        raise InvalidElement(f"{path}: {error.strerror}") from None
