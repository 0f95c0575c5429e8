"""Random requests, policies and settings, drawn from a ``random.Random``; the hypothesis strategies of the same.

A million of them are drawn for ``bench/agree.py``, where hypothesis would spend all the time on choosing; the tests
give the same draws a ``Random`` of hypothesis, which shrinks them.
"""

from consent_cases import (
    ACT,
    AUDIT,
    CLAIM,
    ICD,
    LEAST,
    LOINC,
    NETWORKS,
    ORGANIZATION_A,
    PERSONNEL,
    PROFILE,
    SUPERSEDES,
    action,
    actor,
    concept,
    consent,
    datum,
    in_networks,
    policy,
    purpose,
    refusal,
    request,
    roi,
    security,
    types,
)
from hypothesis import strategies as st

from fhirgw.consent.model import ConsentSettings, Enrolment, Recipient

CODES = ("SUD", "ETH", "OPIOIDUD", "BH", "MH", "PSY", "PSYTHPN", "HIV", "STD", "SDV", "VIO", "N", "R", "R", "V")
ACTORS = (
    *["Organization/a"] * 6, "Organization/b", "Organization/unknown", "Practitioner/bob", "Practitioner/unknown",
    "CareTeam/t", "CareTeam/over", "CareTeam/suspended", "CareTeam/inactive", "CareTeam/loop", "Group/g",
    "Group/unknown", "Organization/owner", *(f"Organization/{one}" for one in NETWORKS),
)  # fmt: skip
RELEASED_TO = (*["Organization/a"] * 9, "Organization/net", "Organization/hie", "Organization/coded")
CODINGS = (
    concept(ICD, "E11.9"), concept(ICD, "e119"), concept("http://loinc.org/", "4548-4"), concept(LOINC, "1-1"),
    concept("http://example.org/local", "X"), concept(ICD, "E11"), concept(ICD, "E11.91"),
)  # fmt: skip
CLASSES = (
    types("Condition"), types("Goal"), types("Condition", "Observation"),
    [*types("Goal"), {"system": "urn:ietf:rfc:3986", "code": PROFILE}],
    [{"system": "urn:ietf:bcp:13", "code": "Application/PDF"}], [{"system": LOINC, "code": "34133-9"}],
    [{"system": "urn:ietf:rfc:3986", "code": f"{PROFILE}|6.1.0"}],
)  # fmt: skip
INSTANCES = ("Condition/x", "Condition/y", "Encounter/e", "Condition/unknown")
IDENTIFIERS = (("npi", "A"), ("npi", "B"), ("npi", "bob"), ("npi", "NET"), ("npi", "Z"), ("ein", "1"))
KINDS = ("", "Organization", "Practitioner")
AUTHORS = ("Practitioner/bob", "Organization/a", "Organization/b", "Practitioner/unknown")
DATA_PERIODS = (
    {"start": "2026-01-01"}, {"start": "2026-01-01", "end": "2026-04-01"}, {"end": "2026-02-28"},
    {"start": "2026-03-01", "end": "2026-03-01"}, {"start": "2020-01-01", "end": "2030-01-01"},
    {"end": "2026-04-30"}, {"start": "2026-05-01", "end": "2026-04-01"}, {"start": "2026-05-01T03:30:00Z"},
)  # fmt: skip
PERIODS = (
    {"start": "2026-01-01", "end": "2026-12-31"}, {"end": "2027-01-01"}, {"end": "2026-06-15"},
    {"end": "2026-06-14"}, {"start": "2026-06-16"}, {"start": "2026-01-01"}, {},
    {"start": "2026-06"}, {"end": "2026"}, {"end": "2026-06-15T12:00:00Z"},
    {"end": "2026-06-15T20:59:59+09:00"}, {"start": "2026-06-15T08:00:00-04:00"},
    {"start": "2026-12-01", "end": "2026-01-01"},
)  # fmt: skip
SIGNED = (
    "2026-01-01",
    "2026-02-01",
    "2026-02-01T09:00:00-12:00",
    "2026-03-01T09:00:00+14:00",
    "2026-01-01T00:00:00Z",
)
ZONES = ("UTC", "UTC", "America/New_York", "Pacific/Kiritimati")
PURPOSES = ("TREAT", "COC", "BTG", "HPAYMT", "HMARKT", "HRESCH", "CLINTRCH", "PurposeOfUse", "HLEGAL")
ACTIONS = (action("disclose"), action("collect"), action("access", "use"))
UNKNOWN_LABEL = [{"system": "http://example.org/local", "code": "X"}]
CHANGES = {
    "status": ("active", "active", "inactive", "draft", "rejected", "entered-in-error"),
    "sourceReference": (None,),
    "organization": (None,),
    "dateTime": ("2026-01-01", "2026-07-01"),
    "verification": ([{"verified": False}],),
    "performer": ([{"reference": "RelatedPerson/x"}], None),
    "patient": ({"reference": "Patient/p"}, {"reference": "Patient/q"}),
    "policyRule": tuple({"coding": [{"system": ACT, "code": code}]} for code in ("OPTIN", "OPTOUT")),
}
STATES = ("active", "active", "candidate", "opted-out")
REFUSALS = ("named-person-refusal", "dv-safety-list")
AFFILIATIONS = (
    {}, {"Practitioner/bob": ORGANIZATION_A}, {"Practitioner/bob": frozenset({"Organization/b"})},
)  # fmt: skip

BOB, ALICE = ORGANIZATION_A | {"Practitioner/bob"}, ORGANIZATION_A | {"Practitioner/alice"}
RECIPIENTS = tuple(map(in_networks, (
    *[Recipient(ORGANIZATION_A)] * 4, Recipient(frozenset()), Recipient(BOB, person=True),
    Recipient(ALICE, person=True), Recipient(frozenset({"npi|B"})), Recipient(ORGANIZATION_A, frozenset({"payer"})),
    Recipient(ORGANIZATION_A, frozenset({"payer", "agency"})),
)))  # fmt: skip
IN_EMERGENCY = tuple(map(in_networks, (
    *[Recipient(ORGANIZATION_A, PERSONNEL)] * 2, Recipient(ORGANIZATION_A), Recipient(BOB, PERSONNEL, person=True),
    Recipient(ALICE, PERSONNEL, person=True), Recipient(ORGANIZATION_A, PERSONNEL | {"agency"}),
)))  # fmt: skip
ASKED_FOR = (*["TREAT"] * 6, "COC", "ETREAT", "BTG", "HPAYMT", "HMARKT", "HRESCH", "HLEGAL", "?")
CLAIMS = (
    *[CLAIM] * 3, CLAIM | {"since": "2026-06-15T11:30:00+00:00"}, CLAIM | {"since": "2026-06-15T11:00:00+00:00"},
    CLAIM | {"patient": "Patient/q"}, CLAIM | {"reason": " "}, {},
)  # fmt: skip


def some(random, choices, least, most):
    """A few of them, none twice."""
    return random.sample(choices, random.randint(least, most))


def any_label(random):
    if random.random() < 0.15:
        return UNKNOWN_LABEL
    return security(*dict.fromkeys(some(random, CODES, 1, 3)))


def any_actor(random):
    """Named literally, or by an identifier: of a resource that the Consent contains, or of nobody it shows."""
    if random.random() < 0.8:
        return actor(random.choice(ACTORS))
    system, value = random.choice(IDENTIFIERS)
    kind = random.choice(KINDS)
    if kind and random.random() < 0.5:
        return actor(f"#{kind}-{system}-{value}")
    reference = {"identifier": {"system": system, "value": value}} | ({"type": kind} if kind else {})
    return actor("") | {"reference": reference}


CONTAINED = [
    {"resourceType": kind, "id": f"{kind}-{system}-{value}", "identifier": [{"system": system, "value": value}]}
    for kind in KINDS
    if kind
    for system, value in IDENTIFIERS
]


def with_contained(made):
    """With the resources that it refers to within itself."""
    named = [one for one in CONTAINED if f"'#{one['id']}'" in str(made)]
    return made | ({"contained": named} if named else {})


def any_datum(random):
    if random.random() < 0.5:
        return datum("authoredby", random.choice(AUTHORS))
    return datum(random.choice(("instance", "related", "dependents")), random.choice(INSTANCES))


def any_dimensions(random, effects):
    """A provision with some of its dimensions, seldom those about content."""
    stated = {
        "actor": lambda: [any_actor(random) for _ in range(random.randint(1, 2))],
        "purpose": lambda: purpose(*some(random, PURPOSES, 1, 2)),
        "securityLabel": lambda: any_label(random),
        "action": lambda: random.choice(ACTIONS),
        "period": lambda: random.choice(PERIODS),
    }
    drawn = {name: draw() for name, draw in stated.items() if random.random() < 0.5}
    return {"type": random.choice(effects)} | drawn


def any_content(random):
    """What a rule asks of content: most ask nothing."""
    return random.choice((
        dict, dict, dict,
        lambda: {"class": random.choice(CLASSES)},
        lambda: {"code": [random.choice(CODINGS) for _ in range(random.randint(1, 2))]},
        lambda: {"data": [any_datum(random) for _ in range(random.randint(1, 2))]},
        lambda: {"dataPeriod": random.choice(DATA_PERIODS)},
        lambda: {"code": [random.choice(CODINGS)], "dataPeriod": random.choice(DATA_PERIODS)},
    ))()  # fmt: skip


def any_provision(random, depth=3, *, root=True):
    node = any_dimensions(random, ("permit", "permit", "permit", "deny") if root else ("permit", "deny"))
    node |= any_content(random)
    if depth and random.random() < 0.5 and (children := exceptions(random, depth - 1)):
        node["provision"] = children
    if root and "period" not in node and random.random() < 0.5:
        node["period"] = {"start": "2026-01-01", "end": "2026-12-31"}
    return node


def exceptions(random, depth):
    return [any_provision(random, depth, root=False) for _ in range(random.randint(0, 2))]


def any_consent(random, name="c"):
    provision = any_provision(random)
    if random.randint(0, 2):  # an ROI that means something, with whatever exceptions came up
        to = random.choice(RELEASED_TO)
        provision = roi(*some(random, CODES, 1, 4), to=to, **any_content(random))["provision"]
        provision["provision"] = exceptions(random, 1)
        if random.randint(0, 3) == 2:  # "nothing, except": the same as an exception below a deny
            provision = {"type": "deny", "period": {"end": "2026-12-31"}, "provision": [provision]}
    changes = {key: random.choice(values) for key, values in CHANGES.items() if random.random() < 0.06}
    if random.random() < 0.3:
        changes["dateTime"] = random.choice(SIGNED)
    return with_contained(consent(provision, name=name, **changes))


def superseding(random, made, other):
    """The same, with a link that says it takes the place of the other; signed later or not."""
    link = {"url": SUPERSEDES, "valueReference": {"reference": f"Consent/{other['id']}"}}
    return made | {"extension": [link], "dateTime": random.choice(SIGNED)}


def any_policy(random):
    made = [any_consent(random, f"c{number}") for number in range(random.randint(1, 3))]
    if random.random() < 0.1:
        status = random.choice(("active", "inactive", "proposed"))
        made.append(refusal(random.choice(REFUSALS), random.choice(ACTORS), status=status))
    if len(made) > 1 and random.random() < 0.3:
        at, over = random.sample(range(len(made)), 2)
        made[at] = superseding(random, made[at], made[over])
        if random.random() < 0.3:
            made[over] |= {"status": "inactive"}
    if random.random() < 0.4:  # what is about two is seen where both let it be seen
        theirs = {"patient": {"reference": "Patient/q"}, "performer": [{"reference": "Patient/q"}]}
        made += [one | theirs | {"id": f"{one['id']}-q"} for one in made if random.random() < 0.8]
    states = random.choice((
        lambda: None,
        lambda: ["active"],
        lambda: [random.choice(STATES) for _ in range(random.randint(0, 2))],
    ))()  # fmt: skip
    enrolments = None if states is None else tuple(Enrolment("ICM", state) for state in states)
    return policy(*made, enrolments=enrolments, affiliations=random.choice(AFFILIATIONS))


def any_joined_policy(random):
    """What two records of one person say, that were merged or linked: of one, a release that is in force."""
    code, signer = random.choice(CODES), random.choice(("Patient/p", "Patient/q"))
    there = random.choice((
        lambda: any_consent(random, "there"),
        lambda: consent(roi(code)["provision"] | {"type": "deny"}, name="there"),
        lambda: roi(code) | {"id": "there", "performer": [{"reference": signer}]},
        lambda: refusal(random.choice(REFUSALS), random.choice(ACTORS)),
    ))()  # fmt: skip
    here = [roi(*some(random, CODES, 1, 4))] if random.random() < 0.5 else []
    joined = there | {"patient": {"reference": "Patient/q"}}
    return policy(*here, joined, affiliations=random.choice(AFFILIATIONS), others=frozenset({"q"}))


EDGES = ("2026-06-14", "2026-06-15", "2026-06-16", "2026-06", "2026-06-15T12:00:00Z", "2026-06-15T20:59:59+09:00")


def any_succession(random):
    """A release with exceptions that has ended or not, one that takes its place or not, and their last days."""
    codes = some(random, CODES, 1, 3)
    first = roi("R", *codes) | {"id": "first", "status": random.choice(("active", "inactive"))}
    first["provision"]["provision"] = [{"type": "deny", "securityLabel": security(random.choice(codes))}]
    second = roi("R", *codes) | {"id": "second", "status": random.choice(("active", "active", "inactive", "draft"))}
    if random.random() < 0.6:
        second = superseding(random, second, first)
    for one in (first, second):
        if random.random() < 0.5:
            one["provision"]["period"] = {random.choice(("start", "end")): random.choice(EDGES)}
            one["dateTime"] = random.choice(SIGNED)
    return policy(first, second)


def any_request(random):
    return request(
        recipient=random.choice(RECIPIENTS),
        purpose=random.choice(ASKED_FOR),
        action=random.choice(("disclose", "disclose", "access", "collect")),
    )


def ordinary_request(random):
    asking = random.choice((Recipient(ORGANIZATION_A), Recipient(frozenset({"npi|B"}))))
    return request(recipient=in_networks(asking))


def emergency_request(random):
    return request(
        recipient=random.choice(IN_EMERGENCY),
        purpose=random.choice(("ETREAT", "BTG", "TREAT")),
        channel=random.choice(("api", "api", "api", "push")),
        emergency=random.choice(CLAIMS),
    )


def any_settings(random):
    return ConsentSettings(
        agreements=random.choice(((), (), (AUDIT,))),
        minimum=random.choice(((), LEAST)),
        require_explicit_sensitive=random.random() < 0.5,
        require_signature=random.random() < 0.5,
        require_complete=random.random() < 0.5,
        zone=random.choice(ZONES),
    )


def any_case(random):
    """A request, a policy and settings, of any of these kinds."""
    asked = random.choice((any_request, ordinary_request, emergency_request))(random)
    held = random.choices((any_policy, any_joined_policy, any_succession), (5, 3, 2))[0](random)
    return asked, held, any_settings(random)


def _drawn(draw):
    return st.randoms(use_true_random=False).map(draw)


requests, ordinary, emergencies = _drawn(any_request), _drawn(ordinary_request), _drawn(emergency_request)
policies, joined_policies, settings = _drawn(any_policy), _drawn(any_joined_policy), _drawn(any_settings)
successions = _drawn(any_succession)
