"""Makers of Consents and of hypothesis strategies, for the tests of consent."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from fhirgw.consent.closure import Supporting, members_of
from fhirgw.consent.content import Content
from fhirgw.consent.criteria import Surroundings
from fhirgw.consent.labels import Labels
from fhirgw.consent.marks import marks_of, of_consents
from fhirgw.consent.model import Agreement, ConsentSettings, Enrolment, PatientPolicy, Profile, Recipient, Request
from fhirgw.consent.vocabulary import BITS

AT = datetime(2026, 6, 15, 12, tzinfo=UTC)
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CATEGORY = "http://fhirgw.org/fhir/CodeSystem/icm-consent-category"

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
PROFILE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-careplan"

ORGANIZATION_A = frozenset({"Organization/a", "npi|A"})


def actor(reference, role="IRCP"):
    return {"role": {"coding": [{"system": PARTICIPATION, "code": role}]}, "reference": {"reference": reference}}


def ref(reference):
    return {"reference": reference}


def concept(system, code):
    return {"coding": [{"system": system, "code": code}]}


def datum(meaning, reference):
    return {"meaning": meaning, "reference": ref(reference)}


RECORD = (
    {"resourceType": "Condition", "id": "x", "code": concept(ICD, "E11.9"), "onsetDateTime": "2026-03-01",
     "recorder": ref("Practitioner/bob"), "encounter": ref("Encounter/e")},
    {"resourceType": "Condition", "id": "y", "code": concept("http://hl7.org/fhir/sid/icd-10", "e119 "),
     "recordedDate": "2025-06-01", "asserter": ref("PractitionerRole/r")},
    {"resourceType": "Observation", "id": "o", "code": concept(LOINC, "4548-4"),
     "effectivePeriod": {"start": "2026-02-01", "end": "2026-05-01"},
     "performer": [{"identifier": {"system": "npi", "value": "bob"}}]},
    {"resourceType": "CarePlan", "id": "k", "meta": {"profile": [PROFILE]}, "addresses": [ref("Condition/x")],
     "author": ref("Practitioner/alice")},
    {"resourceType": "DocumentReference", "id": "d", "type": concept(LOINC, "34133-9"), "date": "2026-06-01",
     "content": [{"attachment": {"contentType": "application/pdf"}}], "author": [ref("Organization/a")]},
    {"resourceType": "Encounter", "id": "e", "period": {"start": "2026-01-10"},
     "diagnosis": [{"condition": ref("Condition/y")}]},
    {"resourceType": "Goal", "id": "g", "description": {"text": "walk"}},
    {"resourceType": "Consent", "id": "c"},
)  # fmt: skip
"""Resources that differ in what rules about content ask."""
PARTIES = (
    {"resourceType": "Organization", "id": "a", "identifier": [{"system": "npi", "value": "A"}]},
    {"resourceType": "Organization", "id": "b", "identifier": [{"system": "npi", "value": "B"}]},
    {"resourceType": "Practitioner", "id": "bob", "identifier": [{"system": "npi", "value": "bob"}]},
    {"resourceType": "PractitionerRole", "id": "r", "practitioner": ref("Practitioner/bob"),
     "organization": ref("Organization/b")},
    {"resourceType": "CareTeam", "id": "t", "participant": [{"member": ref("Practitioner/bob")}, {
        "member": ref("Organization/a"), "period": {"start": "2026-01-01", "end": "2026-06-15"}}]},
    {"resourceType": "CareTeam", "id": "over", "status": "active", "period": {"end": "2026-06-14"},
     "participant": [{"member": ref("Organization/a")}]},
    {"resourceType": "CareTeam", "id": "suspended", "status": "suspended",
     "participant": [{"member": ref("Organization/a")}]},
    {"resourceType": "CareTeam", "id": "inactive", "status": "inactive",
     "participant": [{"member": ref("Organization/a")}]},
    {"resourceType": "CareTeam", "id": "loop", "participant": [{"member": ref("CareTeam/loop")},
     {"member": ref("Group/g")}]},
    {"resourceType": "Group", "id": "g", "actual": True, "member": [
        {"entity": ref("Organization/b"), "inactive": True}, {"entity": ref("Practitioner/bob")},
        {"entity": ref("CareTeam/t")}]},
)  # fmt: skip
WORLD = {f"{one['resourceType']}/{one['id']}": one for one in (*RECORD, *PARTIES)}
SUPPORTING = Supporting(WORLD.values())
KNOWN = Surroundings(SUPPORTING.references_of, SUPPORTING.tokens_of)


def purpose(*codes):
    return [{"system": REASON, "code": code} for code in codes]


def security(*codes):
    return [{"system": CONF if code in set("ULMNRV") else ACT, "code": code} for code in codes]


def types(*codes):
    return [{"system": "http://hl7.org/fhir/resource-types", "code": code} for code in codes]


def action(*codes):
    system = "http://terminology.hl7.org/CodeSystem/consentaction"
    return [{"coding": [{"system": system, "code": code}]} for code in codes]


def consent(provision, *, name="c1", **changes):
    """A complete, signed ROI; a change to None takes the element out."""
    made = {
        "resourceType": "Consent",
        "id": name,
        "meta": {"versionId": "1"},
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}]}],
        "patient": {"reference": "Patient/p"},
        "dateTime": "2026-01-01",
        "performer": [{"reference": "Patient/p"}],
        "organization": [{"reference": "Organization/icm"}],
        "sourceReference": {"reference": "DocumentReference/d"},
        "provision": provision,
    } | changes
    return {name: value for name, value in made.items() if value is not None}


def roi(*codes, to="Organization/a", **provision):
    """An ordinary ROI for treatment, to one organization, for the labels named."""
    return consent(
        {
            "type": "permit",
            "period": {"start": "2026-01-01", "end": "2026-12-31"},
            "actor": [actor(to)],
            "purpose": purpose("TREAT"),
            "securityLabel": security(*(codes or ("N",))),
        }
        | provision
    )


def refusal(kind, reference, **changes):
    return consent(
        {"type": "deny", "actor": [actor(reference)]},
        name="refusal",
        **({"category": [{"coding": [{"system": CATEGORY, "code": kind}]}], "sourceReference": None} | changes),
    )


def request(**changes):
    made = {
        "recipient": Recipient(ORGANIZATION_A),
        "purpose": "TREAT",
        "action": "disclose",
        "channel": "api",
        "at": AT,
    } | changes
    return Request(**made)


def policy(*consents, **changes):
    made = {
        "actors": {
            "Organization/a": ORGANIZATION_A,
            "Organization/b": frozenset({"Organization/b", "npi|B"}),
            "Practitioner/bob": frozenset({"Practitioner/bob", "npi|bob"}),
        },
        "members": {name: members_of(one) for name, one in WORLD.items() if "Team" in name or "Group" in name},
    } | changes
    return PatientPolicy("p", tuple(consents), made.pop("enrolments", None), **made)


def labels(*codes, conf=None, of=None, held=None):
    """Labels as stated; of a resource under a policy also the marks that its rules give it."""
    mask = sum(BITS[code] for code in codes)
    conf = conf if conf is not None else 4 if mask else 3
    if held is not None:
        content = Content(of, cleared=True)
        mask |= marks_of(of_consents(held.consents), content, content, KNOWN)
    return Labels(mask, conf)


# -- strategies

_codes = st.sampled_from(
    ["SUD", "ETH", "OPIOIDUD", "BH", "MH", "PSY", "PSYTHPN", "HIV", "STD", "SDV", "VIO", "N", "R", "R", "V"]
)
_actors = st.sampled_from(
    ["Organization/a"] * 4
    + ["Organization/b", "Organization/unknown", "Practitioner/bob", "Practitioner/unknown", "CareTeam/t"]
    + ["CareTeam/over", "CareTeam/suspended", "CareTeam/inactive", "CareTeam/loop", "Group/g", "Group/unknown"]
)
_codings = st.sampled_from(
    [concept(ICD, "E11.9"), concept(ICD, "e119"), concept("http://loinc.org/", "4548-4"), concept(LOINC, "1-1"),
     concept("http://example.org/local", "X")]
)  # fmt: skip
_classes = st.sampled_from(
    [types("Condition"), types("Goal"), types("Condition", "Observation"),
     [*types("Goal"), {"system": "urn:ietf:rfc:3986", "code": PROFILE}],
     [{"system": "urn:ietf:bcp:13", "code": "application/pdf"}], [{"system": LOINC, "code": "34133-9"}]]
)  # fmt: skip
_data = st.builds(
    datum,
    st.sampled_from(["instance", "related", "dependents"]),
    st.sampled_from(["Condition/x", "Condition/y", "Encounter/e", "Condition/unknown"]),
) | st.builds(
    datum,
    st.just("authoredby"),
    st.sampled_from(["Practitioner/bob", "Organization/a", "Organization/b", "Practitioner/unknown"]),
)
_data_periods = st.sampled_from(
    [{"start": "2026-01-01"}, {"start": "2026-01-01", "end": "2026-04-01"}, {"end": "2026-02-28"},
     {"start": "2026-03-01", "end": "2026-03-01"}, {"start": "2020-01-01", "end": "2030-01-01"}]
)  # fmt: skip
_periods = st.sampled_from(
    [
        {"start": "2026-01-01", "end": "2026-12-31"},
        {"end": "2027-01-01"},
        {"end": "2026-06-15"},
        {"end": "2026-06-14"},
        {"start": "2026-06-16"},
        {"start": "2026-01-01"},
        {},
    ]
)
_purposes = st.sampled_from(
    ["TREAT", "COC", "BTG", "HPAYMT", "HMARKT", "HRESCH", "CLINTRCH", "PurposeOfUse", "HLEGAL"]
)


def _dimensions(effects):
    """A provision with some of its dimensions, seldom those about content."""
    return st.fixed_dictionaries(
        {"type": effects},
        optional={
            "actor": st.lists(_actors.map(actor), min_size=1, max_size=2),
            "purpose": st.lists(_purposes, min_size=1, max_size=2, unique=True).map(lambda codes: purpose(*codes)),
            "securityLabel": st.lists(_codes, min_size=1, max_size=3, unique=True).map(
                lambda codes: security(*codes)
            )
            | st.just([{"system": "http://example.org/local", "code": "X"}]),
            "action": st.sampled_from([action("disclose"), action("collect"), action("access", "use")]),
            "period": _periods,
        },
    )


_about_content = st.one_of(
    st.just({}), st.just({}), st.just({}),
    st.fixed_dictionaries({"class": _classes}),
    st.fixed_dictionaries({"code": st.lists(_codings, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"data": st.lists(_data, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"dataPeriod": _data_periods}),
    st.fixed_dictionaries({"code": st.lists(_codings, min_size=1, max_size=1), "dataPeriod": _data_periods}),
)  # fmt: skip


@st.composite
def provisions(draw, depth=3, root=True):
    node = draw(
        _dimensions(st.sampled_from(["permit", "permit", "permit", "deny"] if root else ["permit", "deny"]))
    )
    node |= draw(_about_content)
    if depth and draw(st.booleans()):
        children = draw(st.lists(provisions(depth=depth - 1, root=False), max_size=2))
        if children:
            node["provision"] = children
    if root and "period" not in node and draw(st.booleans()):
        node["period"] = {"start": "2026-01-01", "end": "2026-12-31"}
    return node


@st.composite
def consents(draw, name="c"):
    provision = draw(provisions())
    if draw(st.integers(0, 2)):  # an ROI that means something, with whatever exceptions came up
        told = draw(st.lists(_codes, min_size=1, max_size=4, unique=True))
        provision = roi(*told, **draw(_about_content))["provision"] | {
            "provision": draw(st.lists(provisions(depth=1, root=False), max_size=2))
        }
        if draw(st.integers(0, 3)) == 2:  # "nothing, except": the same as an exception below a deny
            provision = {"type": "deny", "period": {"end": "2026-12-31"}, "provision": [provision]}
    made = consent(provision, name=name)
    changes = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "status": st.sampled_from(
                    ["active", "active", "inactive", "draft", "rejected", "entered-in-error"]
                ),
                "sourceReference": st.none(),
                "organization": st.none(),
                "dateTime": st.sampled_from(["2026-01-01", "2026-07-01"]),
                "verification": st.sampled_from([[{"verified": False}]]),
                "performer": st.sampled_from([[{"reference": "RelatedPerson/x"}], None]),
                "patient": st.sampled_from([{"reference": "Patient/p"}, {"reference": "Patient/q"}]),
                "policyRule": st.sampled_from(["OPTIN", "OPTOUT"]).map(
                    lambda code: {"coding": [{"system": ACT, "code": code}]}
                ),
            },
        )
    )
    kept = {key: value for key, value in changes.items() if draw(st.integers(0, 9)) == 7}
    return {key: value for key, value in (made | kept).items() if value is not None}


ordinary = st.builds(
    request, recipient=st.sampled_from([Recipient(ORGANIZATION_A), Recipient(frozenset({"npi|B"}))])
)
requests = st.builds(
    request,
    recipient=st.sampled_from(
        [
            Recipient(ORGANIZATION_A),
            Recipient(ORGANIZATION_A),
            Recipient(ORGANIZATION_A),
            Recipient(ORGANIZATION_A),
            Recipient(frozenset()),
            Recipient(ORGANIZATION_A | {"Practitioner/bob"}, person=True),
            Recipient(ORGANIZATION_A | {"Practitioner/alice"}, person=True),
            Recipient(frozenset({"npi|B"})),
            Recipient(ORGANIZATION_A, frozenset({"payer"})),
            Recipient(ORGANIZATION_A, frozenset({"payer", "agency"})),
        ]
    ),
    purpose=st.sampled_from(["TREAT"] * 6 + ["COC", "ETREAT", "BTG", "HPAYMT", "HMARKT", "HRESCH", "HLEGAL", "?"]),
    action=st.sampled_from(["disclose", "disclose", "access", "collect"]),
)
CLAIM = {"patient": "Patient/p", "person": "Dr. Ada Moss", "affiliation": "Elm", "reason": "unconscious"}
PERSONNEL = frozenset({"medical-personnel"})
_claims = st.sampled_from(
    [CLAIM, CLAIM, CLAIM, CLAIM | {"since": "2026-06-15T11:30:00+00:00"},
     CLAIM | {"since": "2026-06-15T11:00:00+00:00"}, CLAIM | {"patient": "Patient/q"}, CLAIM | {"reason": " "}, {}]
)  # fmt: skip
emergencies = st.builds(
    request,
    recipient=st.sampled_from(
        [Recipient(ORGANIZATION_A, PERSONNEL), Recipient(ORGANIZATION_A, PERSONNEL), Recipient(ORGANIZATION_A),
         Recipient(ORGANIZATION_A | {"Practitioner/bob"}, PERSONNEL, person=True),
         Recipient(ORGANIZATION_A | {"Practitioner/alice"}, PERSONNEL, person=True),
         Recipient(ORGANIZATION_A, PERSONNEL | {"agency"})]
    ),
    purpose=st.sampled_from(["ETREAT", "BTG", "TREAT"]),
    channel=st.sampled_from(["api", "api", "api", "push"]),
    emergency=_claims,
)  # fmt: skip
AUDIT = Agreement(
    "audit", frozenset({"npi|A"}), frozenset({"HOPERAT", "HPAYMT"}), frozenset({"Condition", "CarePlan"}),
    BITS["SUD"] | BITS["BH"], 4, (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)),
)  # fmt: skip
LEAST = (
    Profile("a", frozenset({"payer"}), frozenset({"TREAT", "HPAYMT"}),
            (("Condition", frozenset({"subject", "code"})), ("Encounter", None), ("Goal", None))),
    Profile("b", frozenset({"agency"}), frozenset({"PurposeOfUse"}),
            (("Condition", frozenset({"subject", "onset"})), ("CarePlan", None), ("Encounter", None))),
)  # fmt: skip
settings = st.builds(
    ConsentSettings,
    agreements=st.sampled_from([(), (), (AUDIT,)]),
    minimum=st.sampled_from([(), LEAST]),
    require_explicit_sensitive=st.booleans(),
    require_signature=st.booleans(),
    require_complete=st.booleans(),
)
sensitivities = st.sets(
    st.sampled_from(
        ["SUD", "ETHUD", "OPIOIDUD", "BH", "MH", "PSY", "PSYTHPN", "EMOTDIS", "HIV", "STD", "SDV", "VIO"]
    ),
    max_size=3,
)
resource_types = st.sampled_from(["Condition", "Goal", "CarePlan", "Consent"])
affiliations = st.sampled_from(
    [{}, {"Practitioner/bob": ORGANIZATION_A}, {"Practitioner/bob": frozenset({"Organization/b"})}]
)


@st.composite
def policies(draw, most=3):
    count = draw(st.integers(1, most))
    made = [draw(consents(name=f"c{number}")) for number in range(count)]
    if draw(st.integers(0, 9)) == 7:
        kind = draw(st.sampled_from(["named-person-refusal", "dv-safety-list"]))
        status = draw(st.sampled_from(["active", "inactive", "proposed"]))
        made.append(refusal(kind, draw(_actors), status=status))
    states = draw(
        st.none()
        | st.just(["active"])
        | st.lists(st.sampled_from(["active", "active", "candidate", "opted-out"]), max_size=2)
    )
    enrolments = None if states is None else tuple(Enrolment("ICM", state) for state in states)
    return policy(*made, enrolments=enrolments, affiliations=draw(affiliations))


@st.composite
def joined_policies(draw):
    """What two records of one person say, that were merged or linked: of one, a release that is in force."""
    code, signer = draw(_codes), draw(st.sampled_from(["Patient/p", "Patient/q"]))
    kind = draw(st.sampled_from(["named-person-refusal", "dv-safety-list"]))
    there = draw(
        consents(name="there")
        | st.just(consent(roi(code)["provision"] | {"type": "deny"}, name="there"))
        | st.just(roi(code) | {"id": "there", "performer": [{"reference": signer}]})
        | _actors.map(lambda reference: refusal(kind, reference))
    )
    here = [roi(*draw(st.lists(_codes, min_size=1, max_size=4, unique=True)))] if draw(st.booleans()) else []
    joined = there | {"patient": {"reference": "Patient/q"}}
    return policy(*here, joined, affiliations=draw(affiliations), others=frozenset({"q"}))
