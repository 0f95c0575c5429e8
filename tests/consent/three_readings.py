"""``decide``, the compiled predicate and the naive reference, asked the same."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import reference
from consent_cases import KNOWN, RECORD, WORLD, ref

from fhirgw.consent.compile import compile_case
from fhirgw.consent.content import Content
from fhirgw.consent.decide import Case, decide_by, element_visible
from fhirgw.consent.labels import ElementLabel, Labels
from fhirgw.consent.marks import marks_of, of_consents
from fhirgw.consent.predicate import Facts, both, holds
from fhirgw.consent.vocabulary import BITS

LABELLED = (
    ((), 3), ((), 4), ((), 5), (("SUD",), 4), (("OPIOIDUD",), 5), (("BH",), 4), (("MH",), 4), (("PSY",), 4),
    (("PSYTHPN",), 4), (("HIV",), 4), (("STD",), 4), (("SDV",), 4), (("VIO",), 4), (("EMOTDIS", "HIV"), 5),
)  # fmt: skip
FACTS = [(RECORD[0], *one) for one in LABELLED] + [(one, (), 3) for one in RECORD[1:]]
"""One resource with every combination of labels, and every resource with none."""


class Part(NamedTuple):
    """An element with labels of its own, or that refers to another resource."""

    codes: tuple[str, ...]
    conf: int
    target: dict | None = None


PARTS = (
    Part(("SUD",), 4), Part(("HIV",), 4), Part((), 5), Part((), 3, RECORD[5]), Part(("MH",), 4, RECORD[1]),
    Part(("STD",), 4, RECORD[2]),
)  # fmt: skip
ASKED = [(*fact, PARTS[at % len(PARTS)]) for at, fact in enumerate(FACTS)]


class Said(NamedTuple):
    """What the three say of one resource and a part of it."""

    asked: tuple
    decided: str
    reason: str
    stage: int
    agree: bool


def patients(resource):
    """Whom a resource is about: one of them is about two."""
    return ("p", "q") if resource["id"] == "both" else ("p",)


def readings(request, policy, switches, asked=ASKED) -> Iterator[Said]:
    """What is said of each resource asked about, and whether all say it."""
    held = {"p": policy, "q": replace(policy, patient="q", others=frozenset())}
    cases = {who: Case(request, one, switches) for who, one in held.items()}
    predicates = {who: compile_case(case) for who, case in cases.items()}
    marks = of_consents(policy.consents, switches.zone)
    known = {}

    def labels_of(resource, codes, conf):
        if resource["id"] not in known:
            content = Content(resource, cleared=True)
            known[resource["id"]] = marks_of(marks, content, content, KNOWN)
        return Labels(mask(codes) | known[resource["id"]], conf)

    def mask(codes):
        return sum(BITS[code] for code in codes)

    def expected(resource, codes, conf, about=()):
        asked = (switches, resource, set(codes), conf, WORLD)
        return all(
            reference.effect_of(request, held[who], *asked) == "PERMIT" for who in about or patients(resource)
        )

    for resource, codes, conf, part in asked:
        whole, element = labels_of(resource, codes, conf), ElementLabel(("part",), mask(part.codes), part.conf)
        if part.target:
            own = labels_of(part.target, part.codes, part.conf)
            element = ElementLabel(("part",), own.labels, own.conf, part.target["resourceType"])
        about = patients(resource)
        body = resource if len(about) > 1 else {**resource, "subject": ref("Patient/p")}
        decision = decide_by(cases.get, body, Labels(whole.labels, whole.conf, (element,)), request.at)
        facts = Facts(resource["resourceType"], whole.labels, whole.conf)
        compiled = both(predicates[who] for who in about)
        permitted = expected(resource, codes, conf)
        effect = decision.effect == "PERMIT"
        same = effect == permitted == holds(compiled, facts)
        if permitted:
            with_part = expected(resource, {*codes, *part.codes}, max(conf, part.conf))
            shown = with_part and (part.target is None or expected(part.target, part.codes, part.conf, about))
            same &= (not decision.redactions) == shown == element_visible(partial(holds, compiled), facts, element)
        decided = "REDACT" if effect and decision.redactions else decision.effect
        yield Said((resource["id"], codes, conf, part), decided, decision.reason, decision.stage, same)
