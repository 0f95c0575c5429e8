"""Waiting for what has to come: as long as the busiest machine takes, as only what never comes takes it whole."""

import asyncio
import select
import time

PATIENCE = 120
"""Seconds after which a test says that what it waits for does not come."""


async def comes(event):
    """Wait for an event of this loop."""
    async with asyncio.timeout(PATIENCE):
        await event.wait()


async def until(true):
    """Let this loop work until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0)


def wait_until(true, missing, seconds=PATIENCE):
    """Look at what another process does until it is so; ``missing`` says what did not come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, missing
        select.select([], [], [], 0.02)
