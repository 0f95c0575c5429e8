"""Non-interference of the mirror: what reaches an upstream server tells of nothing that it may not see.

The twins' worlds are played step by step into both stores; after every few steps each keeps a server of its own in
step, on a real socket. The requests of both, in their order, are the same bytes. Some servers refuse things, or are
away for a while.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import count, zip_longest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twin_histories import worlds
from twin_stores import JWKS, MINUTE, SCOPES, START, Gateway
from twin_trials import thrifty
from twin_worlds import World, twin, whole
from upstream_server import DEAF, HANG_UP, upstream_server

from fhirgw.mirror import Access, Mirror, Server
from fhirgw.store import clients
from fhirgw.store.clients import Client

PAUSES = st.lists(st.sampled_from([1, 1, 30, 3000]), min_size=1, max_size=3)
"""Minutes that pass before a delivery."""
FAULTS = st.sampled_from(
    [None, None, (b'"resourceType":"Goal"', 422), (b'"Condition/', 412), (b'"DELETE"', 409), (b"", 503),
     (b"E11.9", 500), (b'"Encounter/', DEAF), (b'"CarePlan/', HANG_UP)]
)  # fmt: skip
seen = Counter()


@dataclass(frozen=True, repr=False)
class Trial:
    """A world, the minutes before deliveries, and how the servers misbehave."""

    world: World
    pauses: list[int]
    faults: list[Any]

    def __repr__(self) -> str:
        return "Trial"  # hypothesis would print pages


class Mirrored:
    """A store, its mirror, and the server that is kept in step."""

    def __init__(self, world, script, path, template, upstream):
        self.gateway, self.upstream = Gateway(path, template), upstream
        self.gateway.set_up(world)
        known = Client("mirror", "mirror", "org-elm", JWKS, SCOPES, ("TREAT",))
        self.gateway.database.write_sync(lambda tx: clients.register(tx, known))
        self.script = list(script)
        self.mirror = Mirror(
            self.gateway.database, self.gateway.share, Server(upstream.base, Access()), client="mirror",
            new_id=lambda: "one-id", clock=lambda: self.gateway.now,
        )  # fmt: skip

    def play(self, until):
        """What happens up to a step."""
        now = [one for one in self.script if one[0] < until]
        self.script = self.script[len(now) :]
        self.gateway.play(now)

    async def deliver(self, at, fault):
        self.upstream.fault = lambda _method, _path, body: fault[1] if fault and fault[0] in body else None
        self.gateway.now = START + at * MINUTE
        for _ in range(20):
            if not await self.mirror.deliver_due():
                return

    def requests(self):
        base = self.upstream.base.encode()
        own = ("Host", "User-Agent")
        headers = [{name: value for name, value in one.items() if name not in own} for one in self.upstream.headers]
        asked = [(method, path, body.replace(base, b"")) for method, path, body in self.upstream.asked]
        return list(zip(asked, headers, strict=True))


def require_same(ours, theirs):
    for at, (one, other) in enumerate(zip_longest(ours.requests(), theirs.requests())):
        if one != other:
            pytest.fail(f"request {at}:\n{one}\n{other}", pytrace=False)


async def through(ours, theirs, steps, pauses, faults):
    """Step by step, and after each delivery the requests of both."""
    at = 0
    for step in range(3, steps + 6, 3):
        for one in (ours, theirs):
            one.play(step)
        at = max(at, step + 1) + pauses[step % len(pauses)]
        fault = faults[step % len(faults)]
        for one in (ours, theirs):
            await one.deliver(at, fault)
        require_same(ours, theirs)
    at += 20_000  # whatever was refused, or away, has its time
    for _ in range(12):
        at += 2000
        for one in (ours, theirs):
            await one.deliver(at, None)
        require_same(ours, theirs)


def hold(tmp_path, template, trial, number):
    world = trial.world
    with upstream_server() as first, upstream_server() as second:
        ours = Mirrored(world, whole(world), tmp_path / f"whole-{number}.db", template, first)
        theirs = Mirrored(world, twin(world), tmp_path / f"twin-{number}.db", template, second)
        try:
            asyncio.run(through(ours, theirs, len(world.steps), trial.pauses, trial.faults))
        finally:
            ours.gateway.database.close()
            theirs.gateway.database.close()
        seen.update(method for (method, _, _), _ in ours.requests())
        seen.update("DELETE" for (_, _, body), _ in ours.requests() if b'"DELETE"' in body)


@pytest.mark.parametrize("examples", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_a_hidden_thing_changes_no_request_upstream(tmp_path, template, examples):
    numbers = count()

    @thrifty(examples)
    @given(st.builds(Trial, worlds(), PAUSES, st.lists(FAULTS, min_size=1, max_size=5)))
    def holds(trial):
        hold(tmp_path, template, trial, next(numbers))

    holds()
    assert seen["POST"] > examples
    assert seen["DELETE"]
