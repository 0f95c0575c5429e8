"""How a bench tells of what it measured, and on which machine."""

import os
import platform
from collections.abc import Iterable


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def p50_p99(times: Iterable[float]) -> tuple[float, float]:
    """The median, and what 99 of 100 are within."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
