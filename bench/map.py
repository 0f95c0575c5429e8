"""``fhirgw map adt`` beside PyPI's hl7v2-fhir-bridge: ``python bench/map.py``.

Both map the same messages, those of the fixtures and of ``feed`` that both take without an error, each message with
numbers and names of its own. Rounds alternate, one side at a time: first the mapping alone, in one process each, to
Bundles in memory; then both commands as a user runs them on one file, to JSON. The other package is installed by
name into ``build/bridge``, and is a dependency of nothing else.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import rounds
from feed import ROOT, SENDERS, hospital, visits
from figures import machine

from fhirgw.cli.map_adt import freeze
from fhirgw.mappers.adt import map_message, read
from fhirgw.mappers.report import report
from fhirgw.profiles.validation import require_valid
from fhirgw.settings import Senders
from fhirgw.v2.codec import Message, Segment, encode, parse
from fhirgw.v2.encoding import Delimiters

BENCH = ROOT / "bench"
BRIDGE = ROOT / "build" / "bridge"
PACKAGE = "hl7v2-fhir-bridge==0.1.0"
GENERATED = 60
OWN = (("PID", 3), ("PID", 5), ("PID", 18), ("PV1", 19), ("MRG", 1), ("MSH", 10))
"""What differs from one repetition of a message to the next: numbers and the name."""
SIDES = ("fhirgw", "bridge")
Seconds = list[tuple[float, float]]
"""Wall clock and CPU of each round."""
REGISTERED = Senders.model_validate(tomllib.loads(SENDERS))


def bundle(raw: bytes) -> rounds.Json:
    """What a message becomes."""
    return map_message(*read(raw, REGISTERED, b"bench"))


def fields(raw: bytes) -> int:
    """How many of its fields are mapped."""
    _, told, _ = report(*read(raw, REGISTERED, b"bench"))
    return sum(len(segment["mapped"]) for segment in told["segments"])


def corpus() -> list[bytes]:
    """Messages of the fixtures and of the feed."""
    found = [path.read_bytes() for path in sorted((ROOT / "fixtures" / "v2").rglob("*.hl7"))]
    return [*found, *hospital(GENERATED, GENERATED), *visits(GENERATED, GENERATED)]


def varied(raw: bytes, number: str) -> bytes:
    """The message with numbers and a name of its own."""
    message = parse(raw)
    segments = [_own(segment, message.delimiters, number) for segment in message.segments]
    terminators = message.terminators
    return encode(Message(segments, message.delimiters, message.codec, terminators, message.mark, message.lead))


def _own(segment: Segment, delimiters: Delimiters, number: str) -> Segment:
    for name, field in OWN:
        if segment.name == name and segment.field(field):
            first, mark, rest = segment.field(field).partition(delimiters.component)
            segment = segment.with_field(field, f"{first}{number}{mark}{rest}")
    return segment


class Side:
    """One mapper in a process of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin
        assert self._process.stdout
        self._asks, self._says = self._process.stdin, self._process.stdout

    def ask(self, what: str, path: Path) -> Any:
        self._asks.write(f"{what} {path}\n")
        self._asks.flush()
        return json.loads(self._says.readline())

    def close(self) -> None:
        self._asks.close()
        self._process.wait()


@contextlib.contextmanager
def both_sides() -> Iterator[dict[str, Side]]:
    """The two mappers, started."""
    python = BRIDGE / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", BRIDGE], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE], check=True)
    sides = {"fhirgw": Side(sys.executable, __file__, "--side"), "bridge": Side(python, BENCH / "bridge.py")}
    try:
        yield sides
    finally:
        for side in sides.values():
            side.close()


def command(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds of a command, and of the CPU by it and its children."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, env=environment, check=False)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-2000:]
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(path: Path, folder: Path) -> dict[tuple[str, str], list[str | Path]]:
    """Both commands as their help has them; side and whether it validates to arguments."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "senders.toml").write_text(SENDERS)
    ours: list[str | Path] = [Path(sys.executable).with_name("fhirgw"), "map", "adt", path]
    theirs: list[str | Path] = [BRIDGE / "bin" / "python", "-m", "v2fhir", "convert", path]
    return {
        ("fhirgw", "map"): ours,
        ("fhirgw", "validate"): [*ours, "--validate"],
        ("bridge", "map"): [*theirs, "--no-validate"],
        ("bridge", "validate"): theirs,
    }


def figures(seconds: Seconds, messages: int) -> dict[str, int]:
    """Messages per second of the best round and of the middle one, and CPU time a message."""
    walls, cpus = zip(*seconds, strict=True)
    return {
        "messages/s": round(messages / min(walls)),
        "messages/s, median": round(messages / statistics.median(walls)),
        "CPU µs a message": round(min(cpus) / messages * 1e6),
    }


def measured(times: int, repetitions: int) -> rounds.Json:
    """Everything, in one run."""
    told: rounds.Json = {"machine": machine()}
    told["load before"] = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name, both_sides() as sides:
        folder = Path(name)
        every = corpus()
        rounds.write(folder / "every", every)
        both = zip(every, *(sides[side].ask("takes", folder / "every") for side in SIDES), strict=True)
        common = [raw for raw, *takes in both if all(takes)]
        messages = [varied(raw, f"{n:03d}") for n in range(repetitions) for raw in common]
        rounds.write(folder / "messages", messages)
        rounds.write(folder / "common", common)
        told |= {"messages of both": len(common), "a round": len(messages)}
        told["bytes a message"] = round(sum(map(len, common)) / len(common))
        told["each makes of a message"] = {side: sides[side].ask("count", folder / "common") for side in SIDES}
        taken: dict[tuple[str, str], Seconds] = {(side, what): [] for what in ("map", "validate") for side in SIDES}
        for _ in range(times):
            for (side, what), seconds in taken.items():
                seconds.append(sides[side].ask(what, folder / "messages"))
        told["one process"] = {" ".join(ask): figures(taken[ask], len(messages)) for ask in taken}
        told["the command"] = run_commands(folder, messages, times)
    told["load after"] = os.getloadavg()[0]
    return told


def run_commands(folder: Path, messages: Sequence[bytes], times: int) -> rounds.Json:
    """Both commands on one file of all the messages that stand in a batch for both (no UTF-16)."""
    file = folder / "batch.hl7"
    plain = [raw for raw in messages if raw.startswith(b"MSH") and raw.endswith((b"\r", b"\n"))]
    file.write_bytes(b"".join(plain))
    environment = os.environ | {"FHIRGW_DATA_DIR": str(folder / "data")}
    taken: dict[tuple[str, str], Seconds] = {ask: [] for ask in commands(file, folder)}
    for _ in range(times):
        for ask, arguments in commands(file, folder).items():
            taken[ask].append(command(arguments, environment))
    return {"messages": len(plain)} | {" ".join(ask): figures(taken[ask], len(plain)) for ask in taken}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--repetitions", type=int, default=10, help="of each message, with other numbers")
    arguments.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.side:
        freeze()  # as the command does
        rounds.answer(bundle, require_valid, fields)
        return
    print(json.dumps(measured(asked.rounds, asked.repetitions), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
