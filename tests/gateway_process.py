"""A real gateway process on real sockets, with the demo loaded."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson
from patience import PATIENCE, wait_until
from typed_command import typed

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
from ports import held

from fhirgw.send import Credentials, assertion

ROOT = Path(__file__).parent.parent
FHIRGW = Path(sys.executable).parent / "fhirgw"
ALMA = "http://fhirgw.org/fhir/sid/ct-medicaid|CT-TEST-0001"
BRUNO = "http://fhirgw.org/fhir/sid/ct-medicaid|CT-TEST-0002"


@dataclass
class Gateway:
    """A gateway process and what its partners know of it."""

    data: Path
    process: subprocess.Popen[bytes] | None = None
    jti: int = 0
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.http, self.mllp = held(self), held(self)
        self.settings |= {"FHIRGW_HTTP_PORT": str(self.http), "FHIRGW_MLLP_PORT": str(self.mllp)}

    @property
    def log(self):
        return self.data.parent / "log"

    @property
    def base(self):
        return f"http://127.0.0.1:{self.http}/fhir"

    def start(self, command="demo"):
        self.launch(command)
        self.wait_until_up()

    def launch(self, command):
        """Start it, and wait for nothing."""
        # What is compiled is kept: each process would compile the package anew.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "FHIRGW_DATA_DIR": str(self.data)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(FHIRGW), command],
                cwd=ROOT,
                env=environment | self.settings,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def wait_until_up(self):
        def up():
            assert self.process.poll() is None, self.log.read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{self.http}/health", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(up, "the gateway did not come up")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=PATIENCE)

    def command(self, *arguments, code=0):
        """Run a CLI command beside the running gateway, in this process; its stdout lines as JSON."""
        done = typed(*arguments, data=self.data, folder=ROOT, **self.settings)
        assert done.returncode == code, done.stderr.decode() + done.stdout.decode()
        return [orjson.loads(line) for line in done.stdout.splitlines()]

    def token(self, client, purpose=None, scope="system/*.rs"):
        self.jti += 1
        endpoint = httpx.get(
            f"{self.base}/.well-known/smart-configuration", trust_env=False, timeout=PATIENCE
        ).json()["token_endpoint"]
        key = (self.data / "demo" / f"{client}.jwk").read_text()
        signed = assertion(
            Credentials(client, key, purpose=purpose), endpoint, now=int(time.time()), jti=f"{client}-{self.jti}"
        )
        reply = httpx.post(
            endpoint,
            data={
                "grant_type": "client_credentials",
                "scope": scope,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": signed,
            },
            trust_env=False,
            timeout=PATIENCE,
        )
        assert reply.status_code == 200, reply.text
        return reply.json()["access_token"]

    def partner(self, client, purpose=None, scope="system/*.rs"):
        """An httpx client that is signed in."""
        return httpx.Client(
            base_url=self.base,
            headers={"Authorization": f"Bearer {self.token(client, purpose, scope)}"},
            trust_env=False,
            timeout=PATIENCE,
        )

    def patient(self, identifier):
        """The logical id, as the programme's own system finds it."""
        with self.partner("icm-system") as icm:
            found = icm.post("/Patient/_search", data={"identifier": identifier}).json()
        assert found["total"] == 1
        return found["entry"][0]["resource"]["id"]

    def processed(self):
        """Wait until nothing that was acknowledged is still due, then count by state."""
        counts = {}

        def done():
            text = httpx.get(f"http://127.0.0.1:{self.http}/metrics", trust_env=False, timeout=PATIENCE).text
            rows = re.findall(r'fhirgw_journal_rows\{state="(\w+)"\} ([\d.]+)', text)
            counts.update({state: int(float(count)) for state, count in rows})
            return not counts.get("received", 0)

        wait_until(done, "messages are still due")
        return counts


@contextmanager
def gateway_running(folder, **settings):
    """A process with the demo's data, until its tests are through."""
    made = Gateway(folder / "data", settings=settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()
