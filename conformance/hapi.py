"""A real HAPI FHIR R4 JPA server on this machine, for conformance runs: started, waited for, stopped by its pid.

    python conformance/hapi.py start [--port 8899]
    python conformance/hapi.py status
    python conformance/hapi.py stop

Built at first use, with dependencies from Maven Central (Java 17, Maven). The database is in memory: a stop forgets
everything. The log is ``build/hapi/server.log``.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import orjson

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "conformance" / "hapi"
BUILT = ROOT / "build" / "hapi"
JAR = BUILT / "hapi.jar"
PID = BUILT / "server.pid"
LOG = BUILT / "server.log"
PORT = 8899
HEAP = "-Xmx2g"
UP_SECONDS = 600
"""A loaded machine of two cores took two minutes."""
STOP_SECONDS = 60


def main() -> None:
    """Start, stop or ask for the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("start", "stop", "status"))
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    if options.action == "start":
        print(start(options.port))
    elif options.action == "stop":
        stop()
    else:
        name = software(base(options.port))
        print(name or "not running")
        sys.exit(int(name is None))


def missing() -> str | None:
    """What this machine lacks for it, in a sentence; None: nothing."""
    absent = [command for command in ("java", "mvn") if shutil.which(command) is None]
    if not absent:
        return None
    return f"HAPI needs Java 17 and Maven; not found here: {', '.join(absent)}."


def base(port: int) -> str:
    """The base URL of its FHIR API."""
    return f"http://127.0.0.1:{port}/fhir"


def start(port: int = PORT) -> str:
    """Build it where that is due, start it, and wait until it answers; its base URL."""
    if lacking := missing():
        sys.exit(lacking)
    if software(base(port)):
        return base(port)
    build()
    java = ["java", HEAP, "-cp", f"{JAR}:{BUILT / 'lib'}/*", "org.fhirgw.conformance.HapiServer", str(port)]
    with LOG.open("wb") as log:
        process = subprocess.Popen(java, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - a constant command
    PID.write_text(str(process.pid))
    deadline = time.monotonic() + UP_SECONDS
    while software(base(port)) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            stop()
            sys.exit(f"HAPI did not start; its log is {LOG.relative_to(ROOT)}.")
        time.sleep(1)
    return base(port)


def stop() -> None:
    """Stop the server that was started here, by its pid, and wait until it is gone."""
    if not PID.exists():
        return
    process = int(PID.read_text())
    deadline = time.monotonic() + STOP_SECONDS
    try:
        os.kill(process, signal.SIGTERM)
        while not _gone(process):
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
            time.sleep(0.2)
    except ProcessLookupError:
        pass  # it had stopped by itself
    PID.unlink()


def software(url: str) -> str | None:
    """Name and version of the FHIR server at this base URL, as its CapabilityStatement says; None: no answer."""
    try:
        with urllib.request.urlopen(f"{url}/metadata", timeout=30) as reply:  # noqa: S310 - a constant scheme
            found = orjson.loads(reply.read())["software"]
    except (urllib.error.URLError, OSError):
        return None
    return f"{found['name']} {found['version']}"


def build() -> None:
    """Build the server where its sources are newer than what was built."""
    sources = [PROJECT / "pom.xml", *PROJECT.rglob("*.java")]
    if not JAR.exists() or JAR.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        subprocess.run(["mvn", "-q", "-B", "package"], cwd=PROJECT, check=True)


def _gone(process: int) -> bool:
    """Whether a process has ended; one of our own is also reaped."""
    try:
        return os.waitpid(process, os.WNOHANG)[0] == process
    except ChildProcessError:
        os.kill(process, 0)
        return False


if __name__ == "__main__":
    main()
