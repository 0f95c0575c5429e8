"""What time tells of what is hidden (leak 37): ``python bench/timing.py --hidden 20000``.

Two stores have the same visible resources; one has as many hidden ones as asked for, of the same members. The same
asks go to both by turns, so that both meet the same machine. Reported for each ask: median and 99th percentile of
both, and the difference of the medians, also with the hidden and the absent in one store. Nothing is asserted.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

from fhirgw.answer import PageSeal
from fhirgw.asks import Read, Requester, Search
from fhirgw.audit import Ledger
from fhirgw.consent.model import ConsentSettings
from fhirgw.errors import NotFound
from fhirgw.settings import Keys
from fhirgw.share import Share
from fhirgw.store import policy, repository
from fhirgw.store.database import Database, migrate

KEYS = Keys.derive(b"timing")
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ELM = Requester("elm", "elm", "TREAT", ("system/*.rs",), None, "bench")
CLEARED = {"tag": [{"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}]}


def condition(logical, member, code):
    about = {"reference": f"Patient/p{member}"}
    return {
        "resourceType": "Condition",
        "id": logical,
        "meta": CLEARED,
        "subject": about,
        "code": {"coding": [{"system": ICD, "code": code}]},
    }


def release(member):
    roles = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]
    provision = {
        "type": "permit",
        "period": {"start": "2020-01-01", "end": "2090-12-31"},
        "actor": [{"role": {"coding": roles}, "reference": {"reference": "Organization/elm"}}],
        "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
        "securityLabel": [{"system": CONF, "code": "N"}],
    }
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    return {
        "resourceType": "Consent",
        "id": f"c{member}",
        "status": "active",
        "scope": {"coding": [scope]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}],
        "patient": {"reference": f"Patient/p{member}"},
        "dateTime": "2020-01-01",
        "performer": [{"reference": f"Patient/p{member}"}],
        "organization": [{"reference": "Organization/icm"}],
        "sourceReference": {"reference": "DocumentReference/d"},
        "provision": provision,
    }


def stored(folder, name, members, visible, hidden):
    """A share over a store: visible conditions, then hidden ones, spread over the members."""
    url = f"sqlite:///{folder}/{name}.db"
    migrate(url)
    database = Database(url)

    def people(tx):
        for member in range(members):
            policy.enrol(tx, f"p{member}", "bench", "active")
            for one in ({"resourceType": "Patient", "id": f"p{member}"}, release(member)):
                repository.put(tx, one)

    database.write_sync(people)
    conditions = [condition(f"v{number}", number % members, "E11.9") for number in range(visible)]
    conditions += [condition(f"h{number}", number % members, "F11.20") for number in range(hidden)]
    for start in range(0, len(conditions), 500):
        database.write_sync(
            lambda tx, start=start: [repository.put(tx, one) for one in conditions[start : start + 500]]
        )
    return Share(
        database,
        Ledger(name, KEYS.audit),
        base="https://gw.example.org/fhir",
        pages=PageSeal(KEYS.cursor, 900),
        consent=ConsentSettings(),
        clock=lambda: time.time_ns() // 1000,
    )


ASKS = {
    "read of what is hidden, of what never was": (Read("Condition", "h7"), Read("Condition", "x7")),
    "search of a member": (Search("Condition", (("patient", "Patient/p1"), ("_count", "20"))),) * 2,
    "search by a hidden code": (Search("Condition", (("code", "F11.20"),)),) * 2,
    "search by a visible code": (Search("Condition", (("code", "E11.9"), ("_count", "20"))),) * 2,
    "all, by the last change": (Search("Condition", (("_sort", "-_lastUpdated"), ("_count", "20"))),) * 2,
}


async def milliseconds(share, ask):
    started = time.perf_counter()
    with contextlib.suppress(NotFound):
        await share.release(ELM, ask)
    return (time.perf_counter() - started) * 1000


async def measured(whole, twin, repeat):
    print(f"{'':45} with hidden      without          difference of medians")
    for name, (ours, theirs) in ASKS.items():
        times = {"whole": [], "twin": []}
        for _ in range(repeat):
            times["whole"].append(await milliseconds(whole, ours))
            times["twin"].append(await milliseconds(whole if ours != theirs else twin, theirs))
        (a, a99), (b, b99) = (_shares(sorted(times[which])) for which in ("whole", "twin"))
        print(f"{name:45} {a:6.2f} ({a99:6.2f})  {b:6.2f} ({b99:6.2f})  {a - b:+.2f} ms ({(a - b) / b:+.0%})")


def _shares(ordered):
    return (ordered[len(ordered) * share // 100] for share in (50, 99))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--visible", type=int, default=2_000, help="conditions that the practice may see")
    parser.add_argument("--hidden", type=int, default=20_000, help="conditions that it may not see, in one store")
    parser.add_argument("--repeat", type=int, default=300)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        whole = stored(path, "whole", asked.members, asked.visible, asked.hidden)
        twin = stored(path, "twin", asked.members, asked.visible, 0)
        asyncio.run(measured(whole, twin, asked.repeat))


if __name__ == "__main__":
    main()
