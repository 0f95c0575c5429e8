"""What is asked of the twins: whatever a search can say, for each type, and what follows of an answer."""

from typing import Any

import orjson
from hypothesis import strategies as st
from twin_stores import requester
from twin_surroundings import MRN

from fhirgw.asks import History, NextPage, Notification, Read, Search, VRead
from fhirgw.consult import Consult
from fhirgw.document import Disclosures, Document, Presentation
from fhirgw.lookup import Match

MEMBER = ("Patient", "Goal", "Condition", "CarePlan", "Encounter", "Observation", "Task", "ServiceRequest",
          "CareTeam", "RelatedPerson", "Provenance", "Coverage", "Account")  # fmt: skip
OTHER = ("Practitioner", "PractitionerRole", "Location", "Organization", "PlanDefinition", "Consent", "AuditEvent")
LETTERS = dict(zip(MEMBER, "pgckeotsmfqva", strict=True))
DATES = ("2026-05-01", "2026-06-02", "2026-07", "2026", "2027", "2026-06-20T21:20:00Z", "2026-06-21")

IDS = {
    kind: [f"{letter}{which}{who}" for which in "0123" for who in ("p1", "p2", "p3")]
    for kind, letter in LETTERS.items() if kind != "Patient"
} | {
    "Patient": ["p1", "p2", "p3", "p4"], "Practitioner": ["d0", "d1", "d2", "bob", "nobody"],
    "PractitionerRole": ["r0", "r1", "r2"], "Location": ["l0", "l1", "l2"],
    "Organization": ["o0", "o1", "org-elm", "org-oak", "o2"], "PlanDefinition": ["pd"],
    "Consent": ["ap1", "xp2", "bp3", "ap2"], "AuditEvent": ["1"],
}  # fmt: skip

_busy = st.sampled_from(("CarePlan", "CarePlan", "Encounter", "Condition", "Goal", "Task", *MEMBER, *OTHER))


def _ids(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from(IDS[kind])


def _references(*kinds: str) -> st.SearchStrategy[str]:
    def one(kind: str) -> st.SearchStrategy[str]:
        return st.tuples(_ids(kind), st.booleans()).map(lambda pair: f"{kind}/{pair[0]}" if pair[1] else pair[0])

    return st.one_of(*(one(kind) for kind in kinds))


CODE = st.sampled_from(["E11.9", "I10", "F11.20", "F10.10", "F33.1", "F20.9", "B20", "Z21", "A00",
                        "http://hl7.org/fhir/sid/icd-10-cm|F11.20", "http://hl7.org/fhir/sid/icd-10-cm|",
                        "|F11.20", "F11.20,E11.9"])  # fmt: skip
DATE = st.builds(
    lambda prefix, day: prefix + day,
    st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]),
    st.sampled_from(DATES),
)
WHO = _references("Patient")
PERSON = _references("Practitioner", "PractitionerRole")
PARAMS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "Patient": {
        "family": st.sampled_from(["doe", "DOEP2", "x"]),
        "identifier": st.sampled_from(["p1", "http://hospital.example.org/mrn|p2", "p9"]),
        "birthdate": DATE,
        "general-practitioner": PERSON,
        "address-city": st.sampled_from(["alb", "Troy"]),
        "address": st.sampled_from(["a", "troy"]),
    },
    "Goal": {"patient": WHO, "start-date": DATE, "lifecycle-status": st.just("active")},
    "Condition": {
        "code": CODE,
        "patient": WHO,
        "subject": WHO,
        "encounter": _references("Encounter"),
        "asserter": PERSON,
        "onset-date": DATE,
    },
    "CarePlan": {
        "patient": WHO,
        "goal": _references("Goal"),
        "condition": _references("Condition"),
        "category": CODE,
        "activity-reference": _references("ServiceRequest"),
        "date": DATE,
        "performer": PERSON,
    },
    "Encounter": {
        "patient": WHO,
        "type": CODE,
        "reason-code": CODE,
        "diagnosis": _references("Condition"),
        "date": DATE,
        "location": _references("Location"),
        "participant": PERSON,
        "practitioner": PERSON,
        "service-provider": _references("Organization"),
        "class": st.sampled_from(["IMP", "AMB"]),
    },
    "Observation": {
        "code": CODE,
        "patient": WHO,
        "performer": PERSON,
        "encounter": _references("Encounter"),
        "date": DATE,
        "combo-code": CODE,
    },
    "Task": {
        "patient": WHO,
        "focus": _references("Goal", "Encounter", "Condition"),
        "based-on": _references("CarePlan"),
        "owner": _references("Organization"),
        "authored-on": DATE,
    },
    "ServiceRequest": {"patient": WHO, "code": CODE, "requester": PERSON, "authored": DATE},
    "CareTeam": {"patient": WHO, "participant": st.one_of(PERSON, _references("RelatedPerson")), "date": DATE},
    "RelatedPerson": {"patient": WHO, "name": st.sampled_from(["roe", "x"]), "birthdate": DATE},
    "Coverage": {
        "patient": WHO,
        "type": CODE,
        "subscriber": _references("RelatedPerson"),
        "policy-holder": _references("Organization"),
    },
    "Account": {"patient": WHO, "type": CODE, "owner": _references("Organization"), "period": DATE},
    "Provenance": {
        "patient": WHO,
        "target": _references("Goal", "Encounter", "Condition"),
        "agent": PERSON,
        "recorded": DATE,
    },
    "Practitioner": {
        "name": st.sampled_from(["a", "b", "c", "barker"]),
        "identifier": st.sampled_from(["npi-d0", "npi-bob"]),
    },
    "PractitionerRole": {"practitioner": _references("Practitioner"), "organization": _references("Organization")},
    "Location": {"name": st.sampled_from(["ward", "e"])},
    "Organization": {"name": st.sampled_from(["g", "r", "elm"]), "identifier": st.sampled_from(["elm", "x"])},
    "PlanDefinition": {"name": st.just("plan"), "status": st.just("active")},
    "Consent": {"patient": WHO, "status": st.just("active"), "actor": _references("Organization")},
    "AuditEvent": {"patient": WHO},
}
MODIFIERS = st.sampled_from(["", "", "", "", "", ":missing", ":not", ":exact", ":contains", ":Patient", ":odd"])
SORTABLE = {kind: (*names, "_lastUpdated", "_id") for kind, names in PARAMS.items()}
INCLUDES = {
    "CarePlan": ("goal", "condition", "activity-reference", "patient", "performer"),
    "Patient": ("general-practitioner",),
    "Encounter": ("diagnosis", "location", "participant", "service-provider", "patient"),
    "Task": ("focus", "based-on", "owner", "patient"),
    "Goal": ("patient", "subject"),
    "Condition": ("encounter", "asserter"),
    "Observation": ("performer", "encounter"),
    "Provenance": ("target", "agent"),
    "ServiceRequest": ("requester",),
    "CareTeam": ("participant",),
    "Coverage": ("subscriber", "policy-holder", "patient"),
    "Account": ("owner", "patient"),
    "PractitionerRole": ("practitioner", "organization"),
}
BAD = (
    ("_sort", "nothing"),
    ("_count", "-1"),
    ("_count", "x"),
    ("_include", "Goal:nothing"),
    ("_lastUpdated", "never"),
    ("_total", "all"),
    ("_security", "SUD"),
    ("_tag", "cleared"),
    ("nothing", "1"),
    ("_text", "x"),
    ("_filter", "x"),
    ("_has:Task:focus:code", "x"),
    ("subject:Patient.name", "x"),
    ("_id", ""),
    ("date", ""),
    ("_revinclude", "Task:focus"),
)


@st.composite
def searches(draw: st.DrawFn) -> Search:
    kind = draw(_busy)
    pairs: list[tuple[str, str]] = []
    for name in draw(st.lists(st.sampled_from(sorted(PARAMS[kind])), max_size=2)):
        modifier = draw(MODIFIERS)
        value = draw(st.sampled_from(["true", "false"])) if modifier == ":missing" else draw(PARAMS[kind][name])
        pairs.append((name + modifier, value))
    if draw(st.integers(0, 3)) == 0:
        pairs.append(("_lastUpdated", draw(DATE)))
    if draw(st.integers(0, 5)) == 0:
        pairs.append(("_id", draw(_ids(kind))))
    if draw(st.booleans()):
        pairs.append(("_count", str(draw(st.sampled_from([0, 1, 1, 2, 3, 50])))))
    if draw(st.booleans()):
        keys = draw(st.lists(st.sampled_from(SORTABLE[kind]), min_size=1, max_size=2, unique=True))
        pairs.append(("_sort", ",".join(draw(st.sampled_from(["", "-"])) + key for key in keys)))
    if kind in INCLUDES and draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(INCLUDES[kind]), min_size=1, max_size=2))
        pairs += [("_include", f"{kind}:{name}") for name in names]
    if draw(st.integers(0, 15)) == 0:
        pairs.append(draw(st.sampled_from(BAD)))
    if draw(st.integers(0, 9)) == 0:
        pairs.append(("_total", draw(st.sampled_from(["none", "accurate"]))))
    return Search(kind, tuple(pairs), strict=draw(st.booleans()), by_post=draw(st.integers(0, 3)) == 0)


_reads = _busy.flatmap(lambda kind: st.builds(Read, st.just(kind), _ids(kind)))
_histories = _busy.flatmap(lambda kind: st.builds(History, st.just(kind), st.one_of(st.none(), _ids(kind))))
_vreads = _busy.flatmap(lambda kind: st.builds(VRead, st.just(kind), _ids(kind), st.sampled_from("123")))
_pages = st.builds(NextPage, st.sampled_from(["", "x", "AAAA"]))
_notices = st.builds(
    Notification,
    _ids("Encounter").map("Encounter/{}".format),
    st.sampled_from(["notification-admit", "notification-discharge"]),
    st.just("https://x"),
)
_somebody = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "name": st.sampled_from([[{"family": "Doep1"}], [{"family": "doep2", "given": ["Ann"]}]]),
        "birthDate": st.sampled_from([day for day in DATES if len(day) == 10]),
        "address": st.sampled_from([[{"city": "Troy"}], [{"city": "Albany", "postalCode": "12201"}]]),
        "identifier": st.sampled_from(["p1", "p2", "p9"]).map(lambda value: [{"system": MRN, "value": value}]),
    },
)
_documents = st.builds(
    Document, _ids("CarePlan"), st.sampled_from(Presentation), st.sampled_from(["en", "es"]), st.booleans()
)
_accountings = st.builds(Disclosures, _ids("Patient"), st.sampled_from(Presentation))
_consults = st.builds(
    Consult,
    st.one_of(_ids("Patient").map("Patient/{}".format), st.sampled_from([f"{MRN}|p1", f"{MRN}|p9"])),
    kinds=st.lists(st.sampled_from(MEMBER + OTHER), max_size=2).map(tuple),
    resource=st.one_of(st.none(), _busy.flatmap(lambda kind: _ids(kind).map(f"{kind}/{{}}".format))),
    cards=st.booleans(),
)
_matches = st.builds(Match, _somebody, st.booleans(), st.sampled_from([1, 50]))
asks = st.one_of(
    searches(),
    searches(),
    searches(),
    searches(),
    _reads,
    _histories,
    _vreads,
    _notices,
    _pages,
    _matches,
    _documents,
    _consults,
    _accountings,
)
requesters = st.sampled_from(
    [requester()] * 8
    + [requester(purpose="HMARKT"), requester("oak"), requester(channel="notification"), requester("unknown"),
       requester(scopes=("system/CarePlan.rs", "system/Goal.r"))]
)  # fmt: skip


def sweep() -> list[Any]:
    """Every type and every id, asked plainly."""
    asks: list[Any] = []
    for kind in MEMBER + OTHER:
        asks += [Search(kind, (("_count", "2"),)), Search(kind, (("_sort", "-_lastUpdated"),)), History(kind, None)]
        asks += [ask for logical in IDS[kind] for ask in (Read(kind, logical), History(kind, logical))]
    asks += [Document(logical, form) for logical in IDS["CarePlan"] for form in Presentation]
    asks += [Disclosures(logical) for logical in IDS["Patient"]]
    return asks


def follow(body: bytes) -> str | None:
    """The token of the next page, if there is one."""
    bundle = orjson.loads(body)
    urls = [link["url"] for link in bundle.get("link", ()) if link["relation"] == "next"]
    return urls[0].partition("_page=")[2] if urls else None
