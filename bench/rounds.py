"""What ``bench/map.py`` and the two mappers it compares say to one another, each in a process of its own.

A mapper reads the messages from the file that it is given, then for each line on stdin says a line on stdout: of
``map`` and ``validate`` the seconds for all messages (wall clock, CPU), of ``count`` what it makes of them, of
``takes`` which messages it maps without an error.
"""

import gc
import json
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Mapper = Callable[[bytes], Json]
Validator = Callable[[Json], object]


def write(path: Path, messages: Sequence[bytes]) -> None:
    """Keep the messages for both sides."""
    path.write_text("\n".join(b64encode(raw).decode() for raw in messages))


def read(path: str) -> list[bytes]:
    """The messages."""
    return [b64decode(line) for line in Path(path).read_text().splitlines()]


def answer(bundle: Mapper, validate: Validator, fields: Callable[[bytes], int]) -> None:
    """Serve until stdin ends.

    Args:
        bundle: Maps the bytes of a message to a Bundle.
        validate: Raises what is wrong with a Bundle.
        fields: How many fields of a message are mapped.
    """
    asks: dict[str, Callable[[list[bytes]], object]] = {
        "map": lambda messages: timed(lambda: [len(bundle(raw)["entry"]) for raw in messages]),
        "validate": lambda messages: timed(lambda: [validate(bundle(raw)) for raw in messages]),
        "count": lambda messages: counted(bundle, fields, messages),
        "takes": lambda messages: [takes(bundle, validate, raw) for raw in messages],
    }
    for line in sys.stdin:
        ask, path = line.split()
        print(json.dumps(asks[ask](read(path))), flush=True)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def takes(bundle: Mapper, validate: Validator, raw: bytes) -> bool:
    try:
        validate(bundle(raw))
    except Exception:  # noqa: BLE001 - whatever it is, this side does not map the message
        return False
    return True


def counted(bundle: Mapper, fields: Callable[[bytes], int], messages: Sequence[bytes]) -> dict[str, float]:
    made = [bundle(raw) for raw in messages]
    return {
        "resources": sum(len(one["entry"]) for one in made) / len(made),
        "values in them": sum(leaves([entry["resource"] for entry in one["entry"]]) for one in made) / len(made),
        "fields": sum(map(fields, messages)) / len(messages),
    }


def leaves(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    return sum(map(leaves, value)) if isinstance(value, list) else 1
