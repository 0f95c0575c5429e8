"""What an answer that is remembered is found by: the JSON that was asked about; and what is not worth it."""

from typing import Any

import orjson


def key_of(value: Any) -> str | None:
    """The value as compact JSON, in as much memory as it needs; None: JSON that orjson does not take.

    Bytes of orjson keep for life the buffer that they were written into, 4 KiB at least (ijl/orjson, 3.12 on):
    tens of thousands of short keys were most of what a process held. What it does not take are integers over 64
    bits and deep nesting.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return None


def is_lone_reference(value: Any) -> bool:
    """Whether an element is a literal reference and nothing beside: seldom said twice, and soon read."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("reference"), str)
