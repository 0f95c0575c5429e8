"""What happens in the worlds of the twin test: steps about three patients, drawn."""

from dataclasses import replace

from hypothesis import strategies as st
from twin_surroundings import ACT, CODES, MRN, Json, concept, ref
from twin_worlds import CLOSURES, NEVER, NOTHING, PATIENTS, SCENARIOS, Delete, Part, Put, Version, World

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
