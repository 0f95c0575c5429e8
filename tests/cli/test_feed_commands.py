"""fhirgw send and fhirgw import --v2: what a person, and a script, is told."""

import asyncio
import threading

import orjson
import pytest
from typer.testing import CliRunner

from fhirgw.cli import app
from fhirgw.v2.framing import frame


def adt(control, pid="PID|1||S-1^^^ELMHOSP^MR||DOE^NOBODY\r"):
    return (
        f"MSH|^~\\&|ADTSYS|ELMHOSP|GW|ICM|20260921101500||ADT^A01|{control}|P|2.5.1\r"
        f"EVN|A01|20260921101500\r{pid}PV1|1|I|||||||||||||||||V1^^^ELMHOSP^VN\r"
    ).encode()


BATCH = b"BHS|^~\\&|ADTSYS|ELMHOSP|GW|ICM|2026||b||B1\r" + adt("1") + adt("2", "") + adt("3") + b"BTS|4\r"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("FHIRGW_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "senders.toml").write_text(
        '[senders.elm]\nfacility = "ELMHOSP"\nauthorities = {ELMHOSP = "http://example.org/elm"}\nack = "message"\n'
    )

    def command(*arguments, code=0):
        done = CliRunner().invoke(app, [str(one) for one in arguments])
        assert done.exit_code == code, done.output
        return [orjson.loads(line) for line in done.stdout.splitlines()]

    return command


def test_a_file_is_taken_message_by_message_and_its_batch_answered(run, tmp_path):
    file, answer = tmp_path / "batch.hl7", tmp_path / "answer.hl7"
    file.write_bytes(BATCH)
    *messages, summary = run("import", "--v2", file, "--answer", answer, code=1)
    assert [(one["control_id"], one["ack"], len(one["errors"])) for one in messages] == [
        ("1", "AA", 0),
        ("2", "AE", 1),
        ("3", "AA", 0),
    ]
    assert summary == {
        "file": str(file),
        "messages": 3,
        "taken": 2,
        "refused": 1,
        "remarks": ["BTS-1 says 4; there are 3 messages."],
    }
    assert answer.read_bytes().startswith(b"BHS|^~\\&|GW|ICM|ADTSYS|ELMHOSP|")
    listed = run("journal", "list")
    assert [(one["control_id"], one["channel"], one["state"], one["ack_state"]) for one in listed] == [
        ("3", "file", "processed", "sent"),
        ("2", "file", "rejected", "sent"),
        ("1", "file", "processed", "sent"),
    ]
    again, *_ = run("import", "--v2", file, code=1)
    assert again["id"] == messages[0]["id"]
    assert run("journal", "list") == listed


def test_nobody_is_owed_an_ack_where_the_answers_go_nowhere(run, tmp_path):
    file = tmp_path / "one.hl7"
    file.write_bytes(adt("1"))
    run("import", "--v2", file)
    assert [one["ack_state"] for one in run("journal", "list")] == ["unsent"]


def test_a_file_that_is_not_there_is_told(run, tmp_path):
    run("import", "--v2", tmp_path / "none.hl7", code=1)


@pytest.fixture
def peer():
    """A server that answers everything with a batch of two ACKs."""
    said = b"BHS|^~\\&|A\r" + b"".join(
        f"MSH|^~\\&|A|||||||ACK|{n}|P|2.5\rMSA|{code}|{n}\r".encode() for n, code in enumerate(("AA", "AE"))
    )
    loop, ready, port = asyncio.new_event_loop(), threading.Event(), []

    async def answer(reader, writer):
        await reader.readuntil(b"\x1c\r")
        writer.write(frame(said + b"BTS|2|1 taken, 1 refused.\r"))
        await writer.drain()
        await reader.read()
        writer.close()

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])
        ready.set()
        return server

    server = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield port[0]
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def test_send_prints_every_ack_of_a_batch_and_what_was_said_of_it(run, tmp_path, peer):
    file = tmp_path / "batch.hl7"
    file.write_bytes(BATCH)
    said = run("send", file, "--to", f"mllp://127.0.0.1:{peer}", code=1)
    assert [(one.get("control_id"), one.get("ack")) for one in said] == [("0", "AA"), ("1", "AE"), (None, None)]
    assert said[-1] == {"file": str(file), "acks": "2", "remark": "1 taken, 1 refused."}


@pytest.mark.parametrize("to", ["http://x", "mllp://", "mllps://host"])
def test_send_says_how_an_address_is_written(run, tmp_path, to):
    file = tmp_path / "one.hl7"
    file.write_bytes(adt("1"))
    run("send", file, "--to", to, code=1)
