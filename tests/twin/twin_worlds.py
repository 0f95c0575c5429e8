"""Worlds for the twin test: what happens to a few patients, and what of it the recipient may see.

Every resource states the sensitivity it carries in plain words (``tags``), and every part of it likewise. From
that, and from what each patient allows, ``twin`` writes the second script: the same events without what is hidden.
It knows nothing of labels, guards or predicates: it is the specification's idea of the visible projection.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CATEGORY = "http://fhirgw.org/fhir/CodeSystem/icm-consent-category"
CLEARED = {"system": "http://fhirgw.org/fhir/CodeSystem/icm-text-review", "code": "cleared"}
MRN = "http://hospital.example.org/mrn"
NPI = "http://hl7.org/fhir/sid/us-npi"

CODES = {"": ("E11.9", "I10"), "SUD": ("F11.20", "F10.10"), "PSY": ("F33.1", "F20.9"), "HIV": ("B20", "Z21")}
PATIENTS = ("p1", "p2", "p3")
NOTHING: frozenset[str] = frozenset()
NEVER = frozenset({"?"})
"""The tag of what no permit covers: text nobody reviewed, references to somebody else's record."""


@dataclass(frozen=True)
class Allowed:
    """What one patient lets the recipient see: these types (None: all), with no tags but these.

    Nothing that has this code anywhere, none of these resources (``Condition/c1``, whosever it is).
    """

    name: str
    tags: frozenset[str] | None
    types: frozenset[str] | None = None
    code: str = ""
    instances: frozenset[str] = NOTHING

    def singles_out(self, version: "Version") -> bool:
        """Whether a rule about content hides it."""
        named = version.reference.removesuffix(version.patient) in self.instances
        return named or (bool(self.code) and f"'code': '{self.code}'" in str(version.body(version.parts)))

    def see(self, kind: str, tags: Iterable[str]) -> bool:
        permitted = self.types is None or kind in self.types
        return self.tags is not None and permitted and frozenset(tags) <= self.tags


NARROW = frozenset({"Patient", "CarePlan", "Goal", "Task", "Provenance"})
INSTANCES = frozenset({"Condition/c1", "Goal/g1", "Encounter/e1", "CarePlan/k1", "ServiceRequest/s1"})
SCENARIOS = (
    Allowed("normal", NOTHING),
    Allowed("sud", frozenset({"SUD"})),
    Allowed("class", NOTHING, NARROW),
    Allowed("except", frozenset({"SUD", "PSY"})),
    Allowed("several", frozenset({"SUD", "PSY", "HIV"})),
    Allowed("code", frozenset({"SUD", "PSY", "HIV"}), code="F20.9"),
    Allowed("instance", frozenset({"SUD", "PSY", "HIV"}), instances=INSTANCES),
    Allowed("network", NOTHING),
    Allowed("none", None),
    Allowed("revoked", None),
    Allowed("other", None),
    Allowed("partner", None),
    Allowed("refusal", None),
    Allowed("dv", None),
    Allowed("opted-out", None),
    Allowed("expired", None),
)


@dataclass(frozen=True)
class Part:
    """An element that can be hidden alone: an item of a list, or a single element.

    ``derived`` comes with it, unless it is there; ``behind`` is hidden from everybody, and comes in the one store.
    """

    name: str
    value: Any
    tags: frozenset[str] = NOTHING
    target: str | None = None
    derived: tuple[str, ...] = ()
    item: bool = True
    behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Version:
    """One state of a resource. ``mandatory``: without this part it is withheld."""

    kind: str
    id: str
    patient: str
    base: Json
    tags: frozenset[str] = NOTHING
    carried: frozenset[str] = NOTHING
    cleared: bool = True
    parts: tuple[Part, ...] = ()
    mandatory: str | None = None

    @property
    def reference(self) -> str:
        return f"{self.kind}/{self.id}"

    @property
    def own(self) -> frozenset[str]:
        return self.tags | self.carried

    def body(self, parts: Iterable[Part]) -> Json:
        meta: Json = {"tag": [CLEARED]} if self.cleared else {}
        if self.carried:
            meta["security"] = [{"system": ACT, "code": code} for code in sorted(self.carried)]
        body: Json = {"resourceType": self.kind, "id": self.id} | ({"meta": meta} if meta else {}) | self.base
        for part in parts:
            if part.item:
                body[part.name] = [*body.get(part.name, []), part.value]
            else:
                body[part.name] = part.value
        return body


@dataclass(frozen=True)
class Put:
    version: Version


@dataclass(frozen=True)
class Delete:
    reference: str


Step = Put | Delete


@dataclass(frozen=True)
class World:
    """What happened, in order, and what each patient allows."""

    steps: tuple[Step, ...]
    allowed: dict[str, Allowed] = field(hash=False)

    def settled(self) -> "World":
        """Without deletions of nothing, and without closures over what is not there yet."""
        there: set[str] = set()
        kept: list[Step] = []
        for step in self.steps:
            if isinstance(step, Delete):
                if step.reference in there:
                    kept.append(step)
                there.discard(step.reference)
                continue
            mandatory = [part for part in step.version.parts if part.name == step.version.mandatory]
            closures = [part for part in step.version.parts if part.name in CLOSURES.get(step.version.kind, ())]
            if any(part.target not in there for part in (*mandatory, *closures)):
                continue
            there.add(step.version.reference)
            kept.append(step)
        return replace(self, steps=tuple(kept))


CLOSURES = {"Task": ("focus",), "Provenance": ("target",), "Observation": ("hasMember",)}


# -- the visible projection, as the specification says it ----------------------------------------------------------


def whole(world: World) -> Iterator[tuple[int, list[Json], str | None]]:
    """The script of the store with everything: (step, resources to put, reference to delete)."""
    for at, step in enumerate(world.steps):
        if isinstance(step, Delete):
            yield at, [], step.reference
        else:
            parts = step.version.parts
            behind = [DERIVED[name] for part in parts for name in part.behind]
            yield at, [*behind, *_beside(parts), step.version.body(parts)], None


def twin(world: World) -> Iterator[tuple[int, list[Json], str | None]]:
    """The script of the store without what is hidden.

    What becomes hidden is deleted, what was never visible never comes; a reference stays if what it refers to was
    ever visible.
    """
    ever = _ever_visible(world)
    present: set[str] = set()
    for at, step in enumerate(world.steps):
        reference = step.reference if isinstance(step, Delete) else step.version.reference
        if isinstance(step, Put) and visible(world, step.version):
            parts = [part for part in step.version.parts if _kept(world, step.version, part, ever)]
            present.add(reference)
            yield at, [*_beside(parts), step.version.body(parts)], None
        elif reference in present:
            present.discard(reference)
            yield at, [], reference


def visible(world: World, version: Version) -> bool:
    """Also of what must be about something: that is, or was, visible."""
    allowed = world.allowed[version.patient]
    if not allowed.see(version.kind, version.own) or allowed.singles_out(version):
        return False
    return all(
        allowed.see(str(part.target).split("/", maxsplit=1)[0], part.tags) and _was_visible(world, part.target)
        for part in version.parts
        if part.name == version.mandatory
    )


def _was_visible(world: World, reference: str | None) -> bool:
    return any(
        step.version.reference == reference and visible(world, step.version)
        for step in world.steps
        if isinstance(step, Put)
    )


def left(world: World) -> dict[str, Version]:
    """What is there at the end, by reference."""
    there: dict[str, Version] = {}
    for step in world.steps:
        if isinstance(step, Put):
            there[step.version.reference] = step.version
        else:
            there.pop(step.reference, None)
    return there


def _ever_visible(world: World) -> set[str]:
    return {
        step.version.reference for step in world.steps if isinstance(step, Put) and visible(world, step.version)
    }


def _kept(world: World, version: Version, part: Part, ever: set[str]) -> bool:
    see = world.allowed[version.patient].see
    return see(version.kind, version.own | part.tags) and (part.target is None or part.target in ever)


def _beside(parts: Iterable[Part]) -> list[Json]:
    return [DERIVED[name] for part in parts for name in part.derived]


# -- what there is besides the patients ----------------------------------------------------------------------------


def _practitioner(logical: str, family: str) -> Json:
    return {
        "resourceType": "Practitioner", "id": logical, "name": [{"family": family}],
        "identifier": [{"system": NPI, "value": f"npi-{logical}"}],
    }  # fmt: skip


DERIVED: dict[str, Json] = {
    "Practitioner/d0": _practitioner("d0", "Adler"),
    "Practitioner/d1": _practitioner("d1", "Brandt"),
    "Practitioner/d2": _practitioner("d2", "Cohen"),
    "Location/l0": {"resourceType": "Location", "id": "l0", "name": "Ward 3 East"},
    "Location/l1": {"resourceType": "Location", "id": "l1", "name": "Emergency"},
    "Organization/o0": {"resourceType": "Organization", "id": "o0", "name": "General Hospital"},
    "Organization/o1": {
        "resourceType": "Organization", "id": "o1", "name": "Riverside Recovery",
        "meta": {"security": [{"system": ACT, "code": "SUD"}]},
    },
    "PractitionerRole/r1": {
        "resourceType": "PractitionerRole", "id": "r1", "active": True,
        "practitioner": {"reference": "Practitioner/d1"}, "organization": {"reference": "Organization/o1"},
    },
    "PractitionerRole/r0": {
        "resourceType": "PractitionerRole", "id": "r0", "active": True,
        "practitioner": {"reference": "Practitioner/d2"}, "organization": {"reference": "Organization/o0"},
    },
}  # fmt: skip
REGISTRY: tuple[Json, ...] = (
    {
        "resourceType": "Organization",
        "id": "org-elm",
        "name": "Elm",
        "identifier": [{"system": NPI, "value": "elm"}],
    },
    {
        "resourceType": "Organization",
        "id": "org-oak",
        "name": "Oak",
        "identifier": [{"system": NPI, "value": "oak"}],
    },
    {"resourceType": "Organization", "id": "org-pine", "name": "Pine"},
    {"resourceType": "Organization", "id": "org-net", "name": "Net"},
    {"resourceType": "Organization", "id": "org-partner", "name": "Partner"},
    {"resourceType": "PlanDefinition", "id": "pd", "status": "active", "name": "Plan", "title": "A plan"},
)


def _affiliation(logical: str, whole: str, role: str) -> Json:
    """Elm in something else: a member of it, or not plainly."""
    code = {"coding": [{"system": "http://hl7.org/fhir/organization-role", "code": role}]}
    return {
        "resourceType": "OrganizationAffiliation", "id": logical, "code": [code],
        "participatingOrganization": {"reference": "Organization/org-elm"}, "organization": {"reference": whole},
    }  # fmt: skip


PEOPLE: tuple[Json, ...] = (
    _practitioner("bob", "Barker"),
    _affiliation("af-net", "Organization/org-net", "member"),
    _affiliation("af-partner", "Organization/org-partner", "supplier"),
)
"""Whom consents name: in both stores, and of no visible record."""


def concept(code: str) -> Json:
    return {"coding": [{"system": ICD, "code": code}]}


def ref(reference: str) -> Json:
    return {"reference": reference}


# -- consents ------------------------------------------------------------------------------------------------------


def consents(patient: str, allowed: Allowed) -> list[Json]:
    """The Consents behind a scenario."""
    wide, elm = ("R", "SUD", "BH", "HIV"), "Organization/org-elm"
    hiv = {"type": "deny", "securityLabel": security("HIV")}
    # An exception inherits the labels of the release, unless it states its own: from U up is everything.
    coded = {"type": "deny", "securityLabel": security("U"), "code": [concept("F20.9")]}
    named = [{"meaning": "instance", "reference": ref(f"{one}{patient}")} for one in sorted(INSTANCES)]
    types = [{"system": "http://hl7.org/fhir/resource-types", "code": one} for one in sorted(NARROW)]
    made = {
        "normal": [_roi(patient, elm, ("N",), period={"start": "2026-01-01", "end": "2026-07-15"})],
        "sud": [_roi(patient, elm, ("R", "SUD"))],
        "class": [_roi(patient, elm, ("N",), **{"class": types})],
        "except": [_roi(patient, elm, wide, provision=[hiv])],
        "code": [_roi(patient, elm, wide, provision=[coded])],
        "instance": [
            _roi(patient, elm, wide, provision=[{"type": "deny", "securityLabel": security("U"), "data": named}])
        ],
        "several": [_roi(patient, elm, ("R", "SUD"), name="a"), _roi(patient, elm, wide, name="b")],
        "network": [_roi(patient, "Organization/org-net", ("N",))],
        "partner": [
            _roi(patient, elm, wide),
            _refusal(patient, "named-person-refusal", "Organization/org-partner"),
        ],
        "revoked": [_roi(patient, elm, wide) | {"status": "inactive"}],
        "other": [_roi(patient, "Organization/org-pine", wide)],
        "refusal": [_roi(patient, elm, wide), _refusal(patient, "named-person-refusal")],
        "dv": [_roi(patient, elm, wide), _refusal(patient, "dv-safety-list")],
        "expired": [_roi(patient, elm, wide, period={"start": "2025-01-01", "end": "2026-01-01"})],
        "opted-out": [_roi(patient, elm, wide)],
    }
    return made.get(allowed.name, [])


def security(*codes: str) -> list[Json]:
    return [{"system": CONF if code in set("ULMNRV") else ACT, "code": code} for code in codes]


def _actor(reference: str) -> Json:
    return {"role": {"coding": [{"system": PARTICIPATION, "code": "IRCP"}]}, "reference": ref(reference)}


def _consent(patient: str, name: str, provision: Json, category: Json) -> Json:
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    return {
        "resourceType": "Consent", "id": f"{name}{patient}", "status": "active", "scope": {"coding": [scope]},
        "category": [{"coding": [category]}], "patient": ref(f"Patient/{patient}"), "dateTime": "2026-01-01",
        "performer": [ref(f"Patient/{patient}")], "organization": [ref("Organization/icm")],
        "sourceReference": ref("DocumentReference/form"), "provision": provision,
    }  # fmt: skip


def _roi(patient: str, to: str, codes: tuple[str, ...], *, name: str = "a", **more: Any) -> Json:
    provision = {
        "type": "permit", "period": {"start": "2026-01-01", "end": "2026-12-31"}, "actor": [_actor(to)],
        "purpose": [{"system": REASON, "code": "TREAT"}], "securityLabel": security(*codes),
    } | more  # fmt: skip
    return _consent(patient, name, provision, {"system": "http://loinc.org", "code": "64292-6"})


def _refusal(patient: str, kind: str, of: str = "Practitioner/bob") -> Json:
    provision = {"type": "deny", "actor": [_actor(of)]}
    made = _consent(patient, "x", provision, {"system": CATEGORY, "code": kind})
    return {name: value for name, value in made.items() if name != "sourceReference"}


# -- what happens: strategies --------------------------------------------------------------------------------------

_patients = st.sampled_from(PATIENTS)
_tags = st.sampled_from(["", "", "", "SUD", "PSY", "HIV"])
_days = st.sampled_from(["2026-05-01", "2026-06-02", "2026-07-03"])
_which = st.sampled_from("0112")
_FIXED = {"g": "SUD", "c": "", "o": "PSY", "e": "HIV", "t": "", "s": ""}
"""The first of each kind keeps its tag for ever and is never deleted: others may be about it (closures)."""


@st.composite
def _named(draw: st.DrawFn, letter: str) -> tuple[str, str, str]:
    """(patient, id, tag)"""
    patient, which = draw(_patients), draw(_which)
    fixed = {"p1": "", "p2": _FIXED.get(letter, ""), "p3": ""}[patient]
    return patient, f"{letter}{which}{patient}", draw(_tags) if which != "0" else fixed


def _code(tag: str, day: str) -> Json:
    return concept(CODES[tag][day == "2026-05-01"])


@st.composite
def _to(draw: st.DrawFn, name: str, kind: str, letter: str, patient: str, wrap: str | None = None) -> Part:
    """A reference to a member resource, now and then of somebody else."""
    other = draw(st.integers(0, 11)) == 7
    whose = draw(_patients) if other else patient
    target = f"{kind}/{letter}{draw(_which)}{whose}"
    value = {wrap: ref(target)} if wrap else ref(target)
    return Part(name, value, NOTHING if whose == patient else NEVER, target)


def _derived(name: str, reference: str, *, wrap: str | None = None, item: bool = True) -> Part:
    also = {
        "PractitionerRole/r0": ("Practitioner/d2", "Organization/o0"),
        "PractitionerRole/r1": ("Practitioner/d1",),
    }
    behind = ("Organization/o1",) if reference == "PractitionerRole/r1" else ()
    tags = frozenset({"SUD"}) if reference == "Organization/o1" else NOTHING
    value = {wrap: ref(reference)} if wrap else ref(reference)
    return Part(name, value, tags, None, (*also.get(reference, ()), reference), item, behind)


_persons = st.sampled_from(["Practitioner/d0", "Practitioner/d1", "PractitionerRole/r0", "PractitionerRole/r1"])
_places = st.sampled_from(["Location/l0", "Location/l1"])
_orgs = st.sampled_from(["Organization/o0", "Organization/o1"])


def _some(*strategies: st.SearchStrategy[Part]) -> st.SearchStrategy[tuple[Part, ...]]:
    """Any of these, in this order, each perhaps twice for lists."""
    return st.tuples(*(st.lists(one, max_size=2 if at % 2 == 0 else 1) for at, one in enumerate(strategies))).map(
        _assembled
    )


def _assembled(groups: tuple[list[Part], ...]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for part in (one for group in groups for one in group):
        same = [one for one in parts if one.name == part.name]
        if (part.item or not same) and part not in parts:
            parts.append(part)
    return tuple(parts)


def _note(cleared: bool) -> st.SearchStrategy[Part]:
    tags = NOTHING if cleared else NEVER
    return st.sampled_from(["Likes walking.", "Was seen at the clinic."]).map(
        lambda words: Part("note", {"text": words}, tags)
    )


def _reason(name: str) -> st.SearchStrategy[Part]:
    return st.tuples(_tags, _days).map(lambda pair: Part(name, _code(*pair), frozenset({pair[0]} - {""})))


@st.composite
def _version(draw: st.DrawFn, kind: str, letter: str) -> Version:
    patient, logical, tag = draw(_named(letter))
    cleared, day = draw(st.integers(0, 3)) > 0, draw(_days)
    base, parts, by_code = KINDS[kind](patient, tag, day, cleared)
    tags = frozenset({tag} - {""})
    whose = {"Task": "for", "RelatedPerson": "patient", "Coverage": "beneficiary"}.get(kind, "subject")
    subject = ref(f"Patient/{patient}")
    named = {whose: [subject] if kind == "Account" else subject} if kind != "Patient" else {}
    return Version(
        kind, logical, patient, base | named,
        tags=tags if by_code else NOTHING, carried=NOTHING if by_code else tags, cleared=cleared, parts=draw(parts),
    )  # fmt: skip


def _goal(patient: str, tag: str, day: str, cleared: bool):
    base = {"lifecycleStatus": "active", "description": _code(tag, day), "startDate": day}
    return base, _some(_to("addresses", "Condition", "c", patient), _note(cleared)), True


def _condition(patient: str, tag: str, day: str, cleared: bool):
    recorder = _persons.map(lambda who: _derived("recorder", who, item=False))
    encounter = _to("encounter", "Encounter", "e", patient).map(lambda part: replace(part, item=False))
    return (
        {"code": _code(tag, day), "onsetDateTime": day},
        _some(_note(cleared), recorder, _note(cleared), encounter),
        True,
    )


def _plan(patient: str, tag: str, day: str, cleared: bool):
    base = {"status": "active", "intent": "plan", "period": {"start": day}, "category": [_code(tag, day)]}
    author = _persons.map(lambda who: _derived("author", who, item=False))
    title = st.just(Part("title", "A plan", NOTHING if cleared else NEVER, item=False))
    parts = _some(
        _to("goal", "Goal", "g", patient), author, _to("addresses", "Condition", "c", patient), title,
        _to("activity", "ServiceRequest", "s", patient, wrap="reference"), _note(cleared),
    )  # fmt: skip
    return base, parts, True


def _encounter(patient: str, tag: str, day: str, cleared: bool):
    actclass = {"system": ACT, "code": "IMP"}
    base = {"status": "finished", "class": actclass, "type": [_code(tag, day)], "period": {"start": day}}
    place = _places.map(lambda where: _derived("location", where, wrap="location"))
    destination = _places.map(lambda where: _derived("hospitalization", where, wrap="destination", item=False))
    provider = _orgs.map(lambda where: _derived("serviceProvider", where, item=False))
    person = _persons.map(lambda who: _derived("participant", who, wrap="individual"))
    parts = _some(
        _to("diagnosis", "Condition", "c", patient, wrap="condition"), destination, place, provider, person,
        _reason("reasonCode"), _reason("reasonCode"),
    )  # fmt: skip
    return base, parts, True


def _observation(patient: str, tag: str, day: str, cleared: bool):
    performer = _persons.map(lambda who: _derived("performer", who))
    encounter = _to("encounter", "Encounter", "e", patient).map(lambda part: replace(part, item=False))
    base = {"status": "final", "code": _code(tag, day), "effectiveDateTime": day}
    return base, _some(performer, encounter, _note(cleared)), True


def _task(patient: str, tag: str, day: str, cleared: bool):
    owner = _orgs.map(lambda who: _derived("owner", who, item=False))
    base = {"status": "requested", "intent": "order", "authoredOn": day}
    focus = st.sampled_from([("Goal", "g", _FIXED["g"]), ("Encounter", "e", _FIXED["e"]), ("Condition", "c", "")])
    about = focus.map(lambda one: _closed("focus", one, patient))
    return base, _some(_to("basedOn", "CarePlan", "k", patient), owner, _note(cleared), about), False


def _closed(name: str, one: tuple[str, str, str], patient: str) -> Part:
    kind, letter, fixed = one
    tags = frozenset({fixed} - {""}) if patient == "p2" else NOTHING
    target = f"{kind}/{letter}0{patient}"
    return Part(name, ref(target), tags, target, item=False)


def _request(patient: str, tag: str, day: str, cleared: bool):
    base = {"status": "active", "intent": "order", "code": _code(tag, day), "authoredOn": day}
    requester = _persons.map(lambda who: _derived("requester", who, item=False))
    return base, _some(_to("reasonReference", "Condition", "c", patient), requester, _reason("reasonCode")), True


def _team(patient: str, tag: str, day: str, cleared: bool):
    person = _persons.map(lambda who: _derived("participant", who, wrap="member"))
    parts = _some(person, _note(cleared), _to("participant", "RelatedPerson", "f", patient, wrap="member"))
    return {"status": "active", "period": {"start": day}}, parts, False


def _relative(patient: str, tag: str, day: str, cleared: bool):
    return {"active": True, "name": [{"family": "Roe"}], "birthDate": day}, st.just(()), False


def _coverage(patient: str, tag: str, day: str, cleared: bool):
    payor = {"type": "Organization", "display": "Example Plan"}
    base = {"status": "active", "type": _code(tag, day), "period": {"start": day}, "payor": [payor]}
    subscriber = _to("subscriber", "RelatedPerson", "f", patient).map(lambda part: replace(part, item=False))
    holder = _orgs.map(lambda who: _derived("policyHolder", who, item=False))
    marks = _reason("extension").map(_stated)
    return base, _some(marks, subscriber, marks, holder), True


def _stated(part: Part) -> Part:
    """A concept as an extension."""
    return replace(part, value={"url": "http://example.org/stated", "valueCodeableConcept": part.value})


def _account(patient: str, tag: str, day: str, cleared: bool):
    base = {"status": "active", "type": _code(tag, day), "servicePeriod": {"start": day}}
    parts = _some(
        _to("guarantor", "RelatedPerson", "f", patient, wrap="party"),
        _orgs.map(lambda who: _derived("owner", who, item=False)),
        _to("coverage", "Coverage", "v", patient, wrap="coverage"),
    )
    return base, parts, True


KINDS = {
    "Goal": _goal, "Condition": _condition, "CarePlan": _plan, "Encounter": _encounter, "Observation": _observation,
    "Task": _task, "ServiceRequest": _request, "CareTeam": _team, "RelatedPerson": _relative,
    "Coverage": _coverage, "Account": _account,
}  # fmt: skip
LETTERS = {
    "Goal": "g", "Condition": "c", "CarePlan": "k", "Encounter": "e", "Observation": "o", "Task": "t",
    "ServiceRequest": "s", "CareTeam": "m", "RelatedPerson": "f", "Coverage": "v", "Account": "a",
}  # fmt: skip


@st.composite
def _person(draw: st.DrawFn) -> Version:
    patient, day, city = draw(_patients), draw(_days), draw(st.sampled_from(["Albany", "Troy"]))
    base = {"name": [{"family": f"Doe{patient}"}], "birthDate": day, "address": [{"city": city}],
            "identifier": [{"system": MRN, "value": patient}]}  # fmt: skip
    doctor = _persons.map(lambda who: _derived("generalPractitioner", who))
    carried = frozenset({"PSY"}) if draw(st.integers(0, 9)) == 7 else NOTHING
    return Version("Patient", patient, patient, base, carried=carried, parts=draw(_some(doctor)))


@st.composite
def _provenance(draw: st.DrawFn) -> Version:
    patient = draw(_patients)
    one = draw(st.sampled_from([("Goal", "g", "SUD"), ("Encounter", "e", "HIV"), ("Condition", "c", "")]))
    part = replace(_closed("target", one, patient), item=True)
    who = draw(_persons)
    agent = _derived("agent", who, wrap="who")
    base = {"recorded": f"{draw(_days)}T10:00:00Z"}
    whose = f"q{draw(_which)}{patient}"
    return Version("Provenance", whose, patient, base, parts=(part, agent), mandatory="target")


def _closed_tags(version: Version) -> Version:
    """Whatever is about a tagged thing is tagged."""
    names = CLOSURES.get(version.kind, ())
    tags = frozenset().union(*(part.tags for part in version.parts if part.name in names))
    return replace(version, tags=version.tags | tags) if tags else version


_versions = st.one_of(
    _person(), _provenance(), *(_version(kind, letter) for kind, letter in LETTERS.items()),
    _version("CarePlan", "k"), _version("Encounter", "e"),
).map(_closed_tags)  # fmt: skip
_gone = st.builds(
    lambda kind, which, patient: Delete(f"{kind}/{LETTERS[kind]}{which}{patient}"),
    st.sampled_from(sorted(LETTERS)), st.sampled_from("12"), _patients,
)  # fmt: skip
_steps = st.one_of(*[_versions.map(Put)] * 9, _gone)
_marks = st.sampled_from(["SUD", "PSY", "HIV", ""]).map(
    lambda tag: Part(
        "extension",
        {"url": "http://example.org/mark", "valueCodeableConcept": concept(CODES[tag][0])},
        frozenset({tag} - {""}),
    )
)
_speaking = st.sampled_from([one for one in SCENARIOS if one.tags is not None])


@st.composite
def worlds(draw: st.DrawFn, size: int = 30) -> World:
    """Some steps about three patients, of whom at least one lets the recipient see something."""
    allowed = {
        "p1": draw(_speaking),
        "p2": draw(st.sampled_from(SCENARIOS)),
        "p3": draw(st.sampled_from(SCENARIOS)),
    }
    first = [Put(draw(_person_of(patient))) for patient in PATIENTS]
    steps = [*first, *draw(st.lists(_steps, min_size=size // 2, max_size=size))]
    for at, part in draw(st.lists(st.tuples(st.integers(0, size), _marks), max_size=size // 3)):
        step = steps[at % len(steps)]
        if isinstance(step, Put):  # an edit of that, and of nothing else in it
            steps.append(Put(replace(step.version, parts=(*step.version.parts, part))))
    return World(tuple(steps), allowed).settled()


def _person_of(patient: str) -> st.SearchStrategy[Version]:
    return _person().map(
        lambda one: replace(
            one, id=patient, patient=patient,
            base=one.base
            | {"identifier": [{"system": MRN, "value": patient}], "name": [{"family": f"Doe{patient}"}]},
        )
    )  # fmt: skip
