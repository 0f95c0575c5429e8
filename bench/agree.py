"""Whether ``decide``, the compiled predicate and the second implementation say the same of very many policies.

    python bench/agree.py --policies 1000000 --seed 1

Policies are drawn as the tests draw them (``tests/consent/drawn_consents.py``), each asked about some resources,
every one with a part of its own labels. Told in the end: how often each dimension of the specification (2.3 to
2.8) was there, what was decided and why, and each difference with the block and the number to draw it again.
Progress is kept in ``--state`` after every block, and the same command goes on from there.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "consent"))
from drawn_consents import any_case
from three_readings import FACTS, PARTS, readings

BLOCK = 1000
Json = dict[str, Any]


def provisions(node: Json, depth: int = 0) -> Iterator[tuple[int, Json]]:
    """Every provision of a Consent with its depth."""
    yield depth, node
    for child in node.get("provision", ()):
        yield from provisions(child, depth + 1)


def named(reference: Json) -> str:
    """How an actor is named."""
    literal = reference.get("reference", "")
    if literal.startswith("#"):
        return "contained"
    return literal.split("/")[0] if literal else f"by identifier alone, {reference.get('type', 'of no type')}"


def of_consent(consent: Json) -> Iterator[str]:
    """What of 2.4 and 2.5 a Consent states."""
    yield f"2.4 status {consent['status']}"
    root = consent["provision"]
    tests = {
        "unsigned": "sourceReference" not in consent,
        "of another record or patient": consent["patient"]["reference"] != "Patient/p",
        "signed by a substitute": "RelatedPerson" in str(consent.get("performer")),
        "no performer": "performer" not in consent,
        "not verified": "verification" in consent,
        "signed in the future": consent["dateTime"] > "2026-06-15",
        "no discloser": "organization" not in consent,
        "supersedes another": "extension" in consent,
        "with a zone": "T" in consent["dateTime"],
        "refusal": "icm-consent-category" in str(consent["category"]),
        "no end": "end" not in root.get("period", {}),
    }
    yield from (f"2.4 {name}" for name, holds in tests.items() if holds)
    if "policyRule" in consent:
        opted = {"OPTIN": "permit", "OPTOUT": "deny"}[consent["policyRule"]["coding"][0]["code"]]
        yield "2.5 policyRule" + (" against the root" if opted != root["type"] else "")
    for depth, node in provisions(root):
        yield f"2.5 {node['type']} at depth {depth}"
        yield from (f"2.5 dimension {name}" for name in node if name not in ("type", "provision"))
        yield from (f"2.5 data {one['meaning']}" for one in node.get("data", ()))
        yield from (f"2.5 actor {named(one['reference'])}" for one in node.get("actor", ()))
        if "example.org/local" in str({name: value for name, value in node.items() if name != "provision"}):
            yield "2.4 unenforceable"


def dimensions(request: Any, policy: Any, settings: Any) -> Iterator[str]:
    """What of the specification a case has."""
    yield f"2.3 purpose {request.purpose}"
    yield f"2.3 action {request.action}"
    recipient = request.recipient
    yield "2.3 recipient " + ("unknown" if not recipient.tokens else "person" if recipient.person else "system")
    for consent in policy.consents:
        yield from of_consent(consent)
    yield f"2.6 consents {len(policy.consents)}"
    yield f"2.4 zone of the gateway {settings.zone}"
    if any(consent["patient"] == {"reference": "Patient/q"} for consent in policy.consents) and not policy.others:
        yield "2.6 two patients"
    states = policy.enrolments
    rows = {
        "4 emergency claimed": request.emergency is not None,
        "4 not interactive": request.channel == "push",
        "5 agreement on file": bool(settings.agreements),
        "6 enrolment": states is not None,
        "6 opted out": any(one.status == "opted-out" for one in states or ()),
        "8 minimum necessary": bool(settings.minimum),
    }
    yield from (f"2.7 row {name}" for name, holds in rows.items() if holds)
    if policy.others:
        yield "4 row 49: a merged or linked record"


def block(seed: int, number: int, size: int, facts: int, told: Counter[str]) -> Iterator[str]:
    """Judge a block of policies; gives its differences."""
    draw = random.Random(f"{seed}:{number}")
    for at in range(size):
        case = any_case(draw)
        told.update(set(dimensions(*case)))
        asked = [(*draw.choice(FACTS), draw.choice(PARTS)) for _ in range(facts)]
        for said in readings(*case, asked):
            told[f"decided {said.decided}"] += 1
            told[f"stage {said.stage} {said.reason}"] += 1
            if not said.agree:
                yield f"block {number}, policy {at}: {said.asked}"


def report(state: Json) -> None:
    """The tables."""
    counts, policies = state["counts"], state["policies"]
    decisions = sum(count for name, count in counts.items() if name.startswith("decided "))
    each = state["seconds"] / policies * 1e3
    print(
        f"{policies} policies, {decisions} decisions, seed {state['seed']}: {len(state['differences'])} differences"
    )
    print(f"{state['seconds']:.0f} s of CPU, {each:.2f} ms each")
    for name, count in sorted(counts.items()):
        print(f"{count:10}  {name}")
    for difference in state["differences"]:
        print(difference)


def main() -> None:
    """Judge block after block, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", type=int, default=10_000)
    parser.add_argument("--facts", type=int, default=3, help="resources each policy is asked about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, help="file that keeps what was done; gone on from where it is there")
    asked = parser.parse_args()
    state: Json = {"seed": asked.seed, "policies": 0, "seconds": 0.0, "counts": {}, "differences": []}
    if asked.state and asked.state.exists():
        state = orjson.loads(asked.state.read_bytes())
    counts: Counter[str] = Counter(state["counts"])
    while state["policies"] < asked.policies:
        begun, size = time.process_time(), min(BLOCK, asked.policies - state["policies"])
        state["differences"] += block(state["seed"], state["policies"] // BLOCK, size, asked.facts, counts)
        state["policies"] += size
        state["seconds"] += time.process_time() - begun
        state["counts"] = dict(counts)
        if asked.state:
            asked.state.write_bytes(orjson.dumps(state))
        print(f"{state['policies']} policies, {len(state['differences'])} differences", file=sys.stderr)
    report(state)


if __name__ == "__main__":
    main()
