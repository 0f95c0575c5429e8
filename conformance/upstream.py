"""The mirror against a real HAPI server: what it holds in the end is, element by element, what it may have.

    python conformance/upstream.py [--target http://127.0.0.1:8899/fhir]

The demo's members, after every message of the fixtures. First the server is a recipient outside the programme: what
is released to it, then a revocation. Then it is the programme's own, behind a proxy that refuses, says 429, hangs
up before and after passing on; somebody else edits there. Then ``fhirgw import`` reads it back. Run by
``conformance/run.py``.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
from breaks import UNHEARD, Proxy, proxied
from demo import fill, gateway_in
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import select

from fhirgw.app import Gateway, new_id, now
from fhirgw.asks import Read, Requester
from fhirgw.errors import NotFound
from fhirgw.harness.comparison import Difference, compare, read_json
from fhirgw.ingest import register_organization
from fhirgw.mirror import Access, Mirror, Server
from fhirgw.mirror.comparison import differences
from fhirgw.replica import UNKNOWN
from fhirgw.store import clients, copies, mirror, parties, policy, repository
from fhirgw.store.clients import Client
from fhirgw.store.database import Transaction
from fhirgw.store.schema import resource

NPI = "http://hl7.org/fhir/sid/us-npi"
ELM = "1234567893"
NOT_KEPT = frozenset({"AllergyIntolerance._category"})
"""HAPI drops a list of codes of which none has a value but an extension."""
Counts = dict[str, int]


def main() -> None:
    """Run alone, against a server that runs already."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="http://127.0.0.1:8899/fhir")
    counts = run(parser.parse_args().target)
    print(orjson.dumps(counts).decode())
    sys.exit(int(counts["different"] > 0))


def run(base: str) -> Counts:
    """Keep the server in step, count what it holds, and leave it without what was sent."""
    with tempfile.TemporaryDirectory() as folder:
        gateway = gateway_in(Path(folder))
        try:
            asyncio.run(fill(gateway))
            return asyncio.run(_all(gateway, base))
        finally:
            gateway.database.close()


async def _all(gateway: Gateway, base: str) -> Counts:
    counts: Counts = {"members": 0, "resources": 0, "equal": 0, "different": 0, "foreign_edits": 0}
    outside = _mirror(gateway, base, "outside", None)
    await _in_step(gateway, outside)
    await _count(gateway, outside, base, counts)
    await _revoke(gateway, outside)
    await _in_step(gateway, outside)
    counts["left_after_revocation"] = await _left(gateway, outside, base)
    counts["different"] += counts["left_after_revocation"]
    with proxied() as proxy:
        inside = _mirror(gateway, proxy.base, "inside", frozenset({"*"}))
        proxy.fault = _faults(proxy)
        await _in_step(gateway, inside)
        proxy.fault = lambda _number, _method: None
        await _count(gateway, inside, base, counts)
        await _edited_by_others(gateway, base)
        await _in_step(gateway, inside)
        await _count(gateway, inside, base, counts)
        with gateway.database.read() as connection:
            counts["foreign_edits"] = copies.counts(connection, inside.client)["foreign_edits"]
        counts["different"] += sum([len(some) async for some in differences(gateway.database, inside)])
        gateway.database.write_sync(lambda tx: clients.revoke(tx, "inside"))
        counts["own"] = _import(str(gateway.settings.data_dir), proxy.base)["own"]  # left alone: no loop
    await _pulled(gateway, base, counts)
    return counts


async def _pulled(gateway: Gateway, base: str, counts: Counts) -> None:
    """Another gateway imports all of it, then nothing, then what changed."""
    with gateway.database.read() as connection:
        sent = copies.copies(connection, "inside")
    there = sum(one.digest is not None for one in sent.values())
    with tempfile.TemporaryDirectory() as folder:
        first, again = _import(folder, base), _import(folder, base)
        (goal,) = [logical for (kind, logical), one in sent.items() if kind == "Goal" and one.digest][:1]
        async with httpx.AsyncClient(trust_env=False, timeout=120) as http:
            url = f"{base}/Goal/{goal}"
            body = (await http.get(url)).raise_for_status().json()
            (await http.put(url, json={**body, "statusDate": "2026-01-02"})).raise_for_status()
            changed = _import(folder, base)
    counts |= {"imported": first["stored"], "import_refused": first["refused"]}
    lacking = max(0, there - first["stored"])  # somebody else may have left more there
    counts["different"] += abs(counts["own"] - there) + first["refused"] + lacking
    counts["different"] += again["stored"] + abs(changed["stored"] - 1)


def _import(folder: str, base: str) -> Counter[str]:
    """What ``fhirgw import --fhir`` says that it did."""
    command = [str(Path(sys.executable).parent / "fhirgw"), "import", "--fhir", base]
    environment = os.environ | {"FHIRGW_DATA_DIR": folder}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)  # noqa: S603 - a constant command
    counts: Counter[str] = Counter()
    for line in done.stdout.splitlines():
        counts.update({name: count for name, count in orjson.loads(line).items() if isinstance(count, int)})
    print(dict(counts), file=sys.stderr)
    return counts


def _mirror(gateway: Gateway, base: str, name: str, inside: frozenset[str] | None) -> Mirror:
    jwks = orjson.dumps(KeySet([ECKey.generate_key("P-384", auto_kid=True)]).as_dict(private=False)).decode()

    def unit(tx: Transaction) -> None:
        logical = register_organization(tx, gateway.keys.ids, NPI, ELM, "Elm Street Family Practice")
        clients.register(tx, Client(name, name, logical, jwks, ("system/*.rs",), ("TREAT",), inside))

    gateway.database.write_sync(unit)
    server = Server(base, Access())
    return Mirror(gateway.database, gateway.share, server, client=name, new_id=new_id, clock=now)


def _faults(proxy: Proxy) -> Callable[[int, str], int | None]:
    """Of the requests: some are refused, lost on the way, or done and their answer lost."""
    first = proxy.asked
    faults = {2: 429, 4: 0, 7: 503, 9: 500, 11: UNHEARD, 13: UNHEARD}
    return lambda number, _method: faults.get(number - first)


async def _in_step(gateway: Gateway, of: Mirror) -> None:
    """Deliver until nothing waits, without waiting for as long as a gateway would."""
    for _ in range(200):
        while await of.deliver_due():
            pass
        with gateway.database.read() as connection:
            waits = mirror.waiting(connection, of.client)
            stuck = mirror.stuck(connection, of.client)
        if not waits:
            return
        print(*(f"{one.attempts}: {one.error}" for one in stuck), file=sys.stderr)
        await asyncio.sleep(0.5)
        gateway.database.write_sync(lambda tx: mirror.retry(tx, of.client))
        gateway.database.write_sync(lambda tx: mirror.pause(tx, of.client, 0, "conformance"))


async def _count(gateway: Gateway, of: Mirror, base: str, counts: Counts) -> None:
    """Of every resource of every member: whether the server holds it, as a read of the gateway shows it."""
    with gateway.database.read() as connection:
        sent = copies.copies(connection, of.client)
        keys = connection.execute(select(resource.c.type, resource.c.id).where(resource.c.deleted.is_(False))).all()
    counts["members"] += sum(kind == "Patient" and one.digest is not None for (kind, _), one in sent.items())
    async with httpx.AsyncClient(trust_env=False, timeout=120) as http:
        for kind, logical in keys:
            there = await http.get(f"{base}/{kind}/{logical}", headers={"Cache-Control": "no-cache"})
            known = sent.get((kind, logical))
            expected = await _expected(gateway, of, kind, logical)
            if expected is None or known is None:  # of what is about nobody, what no member's record refers to
                counts["different"] += int(
                    there.status_code == 200 and known is not None and known.digest is not None
                )
                counts["different"] += int(expected is not None and _is_about_somebody(gateway, kind, logical))
                continue
            counts["resources"] += 1
            is_equal = there.status_code == 200 and _same(expected, there.content, base)
            counts["equal" if is_equal else "different"] += 1
            if not is_equal:
                print(f"different: {kind}/{logical} HTTP {there.status_code}", file=sys.stderr)


async def _expected(gateway: Gateway, of: Mirror, kind: str, logical: str) -> bytes | None:
    try:
        return (await gateway.share.release(_asker(of), Read(kind, logical))).body
    except NotFound:
        return None


def _asker(of: Mirror) -> Requester:
    found = of.requester()
    if found is None:
        raise NotFound("The server is not registered.")
    return found


def _is_about_somebody(gateway: Gateway, kind: str, logical: str) -> bool:
    with gateway.database.read() as connection:
        stored = repository.current(connection, kind, logical)
    return stored is not None and stored.patient is not None


def _same(expected: bytes, there: bytes, base: str) -> bool:
    """But for references to what the server does not get (docs/decisions/0231), and what HAPI cannot keep."""
    found = [one for one in compare(read_json(expected), read_json(there), base) if one.reason is None]
    left = [one for one in found if not (one.path in NOT_KEPT or _is_cut(one))]
    for one in left:
        print(f"  {one.path} {one.kind}", file=sys.stderr)
    return not left


def _is_cut(one: Difference) -> bool:
    """Whether it is a reference that leads nowhere there: it is left out, or said to be unknown."""
    return (one.path.endswith(".reference") and one.kind == "lost") or (
        one.kind == "added" and one.path.endswith(".extension") and one.returned == [UNKNOWN]
    )


async def _revoke(gateway: Gateway, of: Mirror) -> None:
    """Everybody revokes what was released to the server's organization."""
    with gateway.database.read() as connection:
        tokens = parties.organization_tokens(connection, _asker(of).organization)
        people = policy.candidates(connection, tokens, policy.members(connection))
    for patient in sorted(people):
        await gateway.ingest.resources.revoke(patient, tokens, written=False)


async def _left(gateway: Gateway, of: Mirror, base: str) -> int:
    """How much of what was sent the server still shows."""
    with gateway.database.read() as connection:
        sent = copies.copies(connection, of.client)
    async with httpx.AsyncClient(trust_env=False, timeout=120) as http:
        answers = [await http.get(f"{base}/{kind}/{logical}") for kind, logical in sent]
    return sum(answer.status_code == 200 for answer in answers)


async def _edited_by_others(gateway: Gateway, base: str) -> None:
    """Somebody edits a Patient there; then it changes here."""
    found = select(resource.c.id).where(resource.c.type == "Patient", resource.c.deleted.is_(False))
    with gateway.database.read() as connection:
        patient = connection.scalars(found.order_by(resource.c.id)).first() or ""
    async with httpx.AsyncClient(trust_env=False, timeout=120) as http:
        url = f"{base}/Patient/{patient}"
        there = (await http.get(url)).raise_for_status().json()
        (await http.put(url, json={**there, "birthDate": "1900-01-01"})).raise_for_status()

    def unit(tx: Transaction) -> None:
        stored = repository.current(tx.connection, "Patient", patient)
        body = stored.body if stored else {}
        repository.put(tx, {**body, "multipleBirthBoolean": False})

    gateway.database.write_sync(unit)


if __name__ == "__main__":
    main()
