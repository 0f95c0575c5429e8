"""What remembered answers are found by."""

import tracemalloc

from fhirgw.remembered import key_of

MANY = 1000


def test_a_key_takes_the_memory_that_it_needs():
    """Most of the memory of an import was once what keys were written into."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        keys = [key_of({"reference": f"Patient/{number}"}) for number in range(MANY)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(set(keys)) == MANY
    assert (after - before) / MANY < 200


def test_what_orjson_does_not_take_has_no_key():
    nested = []
    for _ in range(300):
        nested = [nested]

    assert key_of(2**64) is None
    assert key_of(nested) is None
