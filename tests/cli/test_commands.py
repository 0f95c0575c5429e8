"""What the commands owe whoever types them, beyond what the documents' tests and the tour show."""

from pathlib import Path

import orjson
import pytest
from typed_command import typed

from fhirgw.cli.feeds import error_told
from fhirgw.v2.codec import parse

ROOT = Path(__file__).parent.parent.parent
MEMBER = (ROOT / "fixtures/v2/A01/member.hl7").read_bytes()


def add_client(data, key, purpose):
    partner = ("clinic", "--organization", "http://hl7.org/fhir/sid/us-npi|1669999999", "--name", "Clinic")
    return typed("client", "add", *partner, "--purpose", purpose, "--generate", str(key), data=data)


def test_a_refused_client_leaves_no_key_and_a_key_is_never_overwritten(tmp_path):
    data, key = tmp_path / "data", tmp_path / "clinic.jwk"
    refused = add_client(data, key, "treat")
    assert (refused.returncode, key.exists()) == (1, False)
    assert add_client(data, key, "TREAT").returncode == 0
    kept = key.read_bytes()
    again = add_client(data, key, "TREAT")
    assert again.returncode == 1
    assert key.read_bytes() == kept


def test_what_the_commands_write_is_its_owners_alone_to_read(tmp_path):
    data = tmp_path / "data"
    assert typed("migrate", data=data).returncode == 0
    written = [data, *data.rglob("*")]
    assert any(path.suffix == ".db" for path in written)
    assert [path.name for path in written if path.stat().st_mode & 0o077] == []


def test_map_adt_reads_a_message_in_its_senders_character_set(tmp_path):
    (tmp_path / "senders.toml").write_text('[senders.elm]\nfacility = "ELMHOSP"\ncharset = "windows-1252"\n')
    message = MEMBER.replace(b"TESTPERSON^ALMA", "TESTPERSÖN^ALMA".encode("cp1252"))
    done = typed("map", "adt", "-", data=tmp_path, stdin=message)
    assert done.returncode == 0, done.stderr
    patient = orjson.loads(done.stdout)["entry"][0]["resource"]
    assert patient["name"][0]["family"] == "TESTPERSÖN"


@pytest.mark.parametrize(
    ("err", "location"),
    [
        ("ERR||PV1^1^2|103^Table value not found^HL70357|E||||Text", "PV1-2"),
        ("ERR||MSH^1^9^1^2|201^Unsupported event code^HL70357|E||||Text", "MSH-9.2"),
        ("ERR||PID^1|100^Segment sequence error^HL70357|E||||Text", "PID"),
        ("ERR|||207^Application internal error^HL70357|E||||Text", None),
    ],
)
def test_send_says_where_an_error_is(err, location):
    ack = parse(f"MSH|^~\\&|A|B|C|D|20260101||ACK|1|P|2.5.1\rMSA|AE|1\r{err}\r".encode())
    told = error_told(ack.all("ERR")[0])
    assert told["location"] == location
    assert told["text"] == "Text"
