"""``kill -9`` of a gateway process while it mirrors: started again, it ends where it would have ended."""

import signal

import orjson
import pytest
from composed_gateway import case
from gateway_process import Gateway
from mirrored_gateway import mirrored, require_in_step, state
from patience import wait_until
from sqlalchemy import update
from upstream_server import DEAF, HANG_UP

from fhirgw.demo import CASES
from fhirgw.store import copies
from fhirgw.store import mirror as store
from fhirgw.store.schema import mirror as mirror_table

MEMBERS = 12
KILLS = ("answered", "arriving", "arrived", "answered", "arriving", "arrived")
"""When in the second transaction after its start the process is killed: after the server has taken it and before
that is heard; when a part of it has been sent; when all of it has, and the server does not take it."""


class Executioner:
    """Kills the gateway process at a moment of the server's choice.

    Attributes:
        cut: The transactions that were whole on the server when the process was killed.
    """

    def __init__(self, upstream, gateway):
        self.upstream, self.gateway, self.cut = upstream, gateway, []

    def arm(self, moment):
        """At the second transaction from now."""
        seen = []

        def fault(method, path, body):
            if (method, path) != ("POST", "/fhir"):
                return None
            seen.append(path)
            if len(seen) != 2:
                return None
            self.cut.append(body)
            if moment == "arriving":
                return None  # the rest of it was on its way already
            self.kill()
            return DEAF if moment == "answered" else HANG_UP

        def on_piece(_received):
            if moment == "arriving" and len(seen) == 1:
                self.kill()

        self.upstream.fault, self.upstream.on_piece = fault, on_piece

    def disarm(self):
        self.upstream.fault, self.upstream.on_piece = (lambda *_: None), (lambda _received: None)

    def kill(self):
        self.gateway.process.send_signal(signal.SIGKILL)


def numbered(number):
    """The case of somebody who is nobody else."""

    def another(body):
        body["key"] = f"{body['key']}-{number}"
        for identifier in body["member"]["identifiers"]:
            identifier["value"] += f"-{number}"

    return case("ct-bhp.json", another)


def wait_until_in_step(whole, gateway):
    def in_step():
        assert gateway.process.poll() is None, gateway.log.read_text()
        return state(whole, store.find) is not None and not state(whole, store.waiting)

    wait_until(in_step, "it never came into step", seconds=300)


def the_lease_ends(whole):
    """What a successor waits two and a half minutes for."""
    whole.gateway.database.write_sync(
        lambda tx: tx.direct.execute(update(mirror_table).values(held_until=0)) and None
    )


@pytest.mark.slow
async def test_a_process_that_is_killed_while_it_mirrors_loses_nothing_and_sends_nothing_twice(
    whole, upstream, tmp_path
):
    for number in range(MEMBERS):
        await whole.gateway.ingest.cases.store(numbered(number))
    mirror = mirrored(whole, upstream, inside=frozenset({"*"}))
    settings = {"FHIRGW_UPSTREAM": upstream.base, "FHIRGW_UPSTREAM_CLIENT": mirror.client}
    gateway = Gateway(whole.gateway.settings.data_dir, settings=settings)
    executioner = Executioner(upstream, gateway)
    try:
        for moment in KILLS:
            executioner.arm(moment)
            gateway.launch("serve")
            assert gateway.process.wait(timeout=300) == -signal.SIGKILL
            the_lease_ends(whole)
        executioner.disarm()
        gateway.launch("serve")
        wait_until_in_step(whole, gateway)
    finally:
        gateway.stop()
    assert await require_in_step(whole, mirror, upstream) > MEMBERS * 20
    assert len(upstream.references("Patient")) == MEMBERS + len(CASES)
    assert state(whole, copies.counts)["foreign_edits"] == 0
    assert upstream.broken_off.qsize() + len(executioner.cut) == len(KILLS)
    sent = [entry(one) for bundle in upstream.transactions() for one in bundle["entry"]]
    cut = [entry(one) for body in executioner.cut for one in orjson.loads(body)["entry"]]
    for one in cut:
        sent.remove(one)
    assert len(sent) == len(set(sent))


def entry(one):
    """What is done to which resource: the same again has the same."""
    return one["request"]["method"], one["request"]["url"], orjson.dumps(one.get("resource"))
