"""How many ICM cases a second are mapped and imported, and whether memory stays flat: ``python bench/cases.py``.

The cases of ``fixtures/icm`` with other keys and numbers. They are mapped in this process, and imported by ``fhirgw
import`` as one NDJSON file, whose memory is looked at after every tenth of it; then once more, when nothing is new.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import orjson

from fhirgw.configuration import load_programs
from fhirgw.icm.statements import read_case
from fhirgw.mappers.icm import case_bundle

ROOT = Path(__file__).parent.parent
CASES = sorted(path for path in (ROOT / "fixtures" / "icm").glob("*.json") if ".fhir" not in path.name)


def numbered(number: int) -> bytes:
    """The case of this number: another person's."""
    body = orjson.loads(CASES[number % len(CASES)].read_bytes())
    body["key"] = f"{body['key']}-{number}"
    for identifier in body["member"]["identifiers"]:
        identifier["value"] += f"-{number}"
    return orjson.dumps(body)


def mapped(amount: int) -> dict[str, float]:
    programs = load_programs(None)
    raws = [numbered(number) for number in range(amount)]
    started, resources = time.process_time(), 0
    for raw in raws:
        case = read_case(raw)
        resources += len(case_bundle(case, programs[case.program], b"bench")["entry"])
    return {
        "mapped, cases a second of CPU": round(amount / (time.process_time() - started)),
        "resources a case": round(resources / amount, 1),
    }


def imported(path: Path, amount: int, environment: Mapping[str, str]) -> dict[str, float | list[int]]:
    """Import the file; its rate, and the resident memory after each tenth."""
    command = [sys.executable, "-c", "from fhirgw.cli import main; main()", "import", str(path)]
    started, stored = time.perf_counter(), 0
    memory: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout
        for count, line in enumerate(process.stdout, 1):
            stored += orjson.loads(line)["stored"]
            if count % max(1, amount // 10) == 0:
                status = Path(f"/proc/{process.pid}/status").read_text()
                memory.append(round(int(status.split("VmRSS:")[1].split()[0]) / 1024))
                print(f"{count} cases, {memory[-1]} MB", file=sys.stderr, flush=True)
    return {
        "stored": stored,
        "cases a second": round(amount / (time.perf_counter() - started), 1),
        "resident MB after each tenth": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    amount = parser.parse_args().cases
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.ndjson"
        with path.open("wb") as file:
            for number in range(amount):
                file.write(numbered(number) + b"\n")
        environment = os.environ | {"FHIRGW_DATA_DIR": str(Path(folder) / "data")}
        answer = {"cases": amount, **mapped(min(amount, 500))}
        answer["import"] = imported(path, amount, environment)
        answer["import again"] = imported(path, amount, environment)
        answer["load average"] = os.getloadavg()[0]
    print(orjson.dumps(answer).decode())


if __name__ == "__main__":
    main()
