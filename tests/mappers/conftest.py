"""The sender that every fixture comes from, and golden files.

``FHIRGW_ACCEPT=1 pytest tests/mappers`` rewrites the goldens; review the difference by eye before committing it.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from fhirgw.mappers.event import MapContext
from fhirgw.settings import Sender

SID = "http://fhirgw.org/fhir/sid/"


@pytest.fixture
def context() -> MapContext:
    """Elm Hospital as the demo registers it, and the test key."""
    authorities = {
        "CTMEDICAID": SID + "ct-medicaid",
        "NEMEDICAID": SID + "ne-medicaid",
        "PAMEDICAID": SID + "pa-medicaid",
        "BCPHN": SID + "bc-phn",
    }
    return MapContext("elm", Sender(facility="ELMHOSP", authorities=authorities), b"test")


@pytest.fixture
def golden() -> Callable[[Path, dict[str, Any]], None]:
    """Compare with a golden file, or rewrite it."""

    def compare(path: Path, actual: dict[str, Any]) -> None:
        if os.environ.get("FHIRGW_ACCEPT"):
            path.write_bytes(orjson.dumps(actual, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        assert orjson.loads(path.read_bytes()) == actual

    return compare
