"""What one sender's messages say of a person apart from any visit: relatives, cover, accounts, care team, death.

A segment's set in a later message replaces the one before (v2.5.1 ch. 2.10.4, snapshot); an action code adds or
takes out one. What no longer stands stays, as ended: ``active`` false, ``cancelled``, ``inactive``.
See: ``docs/decisions/0095-coverage.md`` to ``0099``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fhirgw.mappers.beside import Beside
from fhirgw.mappers.clinical import fold_chart
from fhirgw.mappers.datatypes import Json
from fhirgw.mappers.event import AdtEvent, in_order
from fhirgw.mappers.ids import resource_id
from fhirgw.mappers.person import fold_person
from fhirgw.mappers.provenance import PERFORMER, agents, recorded, sources
from fhirgw.mappers.segments.occurrence import concept_key
from fhirgw.mappers.standing import keyed, standing
from fhirgw.terminology import CASE_MANAGER, LOINC, unknown

_CAUSE_OF_DEATH = {"coding": [{"system": LOINC, "code": "69453-9", "display": "Cause of death"}]}
_AUTOPSY = {"coding": [{"system": LOINC, "code": "85699-7", "display": "Autopsy was performed"}]}
_LIVING_WILL = {"coding": [{"system": LOINC, "code": "75320-2", "display": "Advance directive"}]}


def fold_record(
    events: Sequence[AdtEvent], patient_id: str, id_key: bytes, *, apart: str = "", security: Sequence[Json] = ()
) -> list[Json]:
    """Patient-level resources of one sender's events, no reference before what it refers to.

    Args:
        events: Events of one person from one sender, in any order, any number of times.
        patient_id: Logical id of the Patient.
        id_key: Key of the logical ids.
        apart: Names a record that is kept apart from the open one: its ids are its own.
        security: Labels that all of it carries.
    """
    ordered = in_order(events)
    if not ordered:
        return []
    source = f"{ordered[0].sender} {apart}".rstrip()
    resources = fold_chart(ordered, patient_id, id_key, source)
    if not all(RECORDED.isdisjoint(event.repeated) for event in ordered):
        resources += _Record(ordered, patient_id, id_key, source, Beside(id_key)).resources()
    if resources and any(name[:8] == "security" for event in ordered for name in event.person):
        security = [*security, *fold_person(ordered).get("meta", {}).get("security", ())]
    once = {(resource["resourceType"], resource["id"]): resource for resource in resources}
    return [_restricted(resource, security) if security else resource for resource in once.values()]


def _restricted(resource: Json, security: Sequence[Json]) -> Json:
    """With what restricts all of it; what is about nobody stays as it is."""
    if resource["resourceType"] in ABOUT_NOBODY:
        return resource
    meta = resource.get("meta", {})
    labels = list(meta.get("security", ()))
    for one in security:
        labels += [one] if one not in labels else []
    return resource | {"meta": meta | {"security": labels}}


_NAMING = frozenset({"guarantor", "managingOrganization", "participant", "payor", "policyHolder"})
"""Elements in which an Organization or a PractitionerRole may stand where a Reference belongs."""
RECORDED = frozenset({"GT1", "IN1", "NK1", "PD1", "PDA", "PID", "PRT", "ROL"})
"""Segments that say something of a person apart from any visit; AL1 and IAM are ``clinical``'s."""
ABOUT_NOBODY = frozenset({"Location", "Organization", "Practitioner", "PractitionerRole"})
"""Types that are made by content, for everybody: a restriction of one person is none of theirs."""


@dataclass(slots=True)
class _Record:
    """One fold at work; ``made`` gathers the person's own resources, by reference, with ids of the ``source``."""

    events: list[AdtEvent]
    patient_id: str
    id_key: bytes
    source: str
    beside: Beside
    made: dict[str, Json] = field(default_factory=dict)

    def resources(self) -> list[Json]:
        self._relatives()
        self._coverages()
        self._accounts()
        self._care_team()
        self._observations()
        provenance = self._provenance()
        return [*self.beside.resources.values(), *self.made.values(), *provenance]

    @property
    def subject(self) -> Json:
        return {"reference": f"Patient/{self.patient_id}"}

    def _id(self, kind: str, *key: str) -> str:
        return resource_id(self.id_key, kind, self.patient_id, self.source, *key)

    def _reference(self, kind: str, *key: str) -> Json:
        return {"reference": f"{kind}/{self._id(kind, *key)}"}

    def _make(self, kind: str, key: tuple[str, ...], elements: Json) -> None:
        name = self._id(kind, *key)
        made: Json = {"resourceType": kind, "id": name}
        for element, value in elements.items():
            if value or value is False:
                made[element] = self.beside.placed(value) if element in _NAMING else value
        self.made[f"{kind}/{name}"] = made

    def _relatives(self) -> None:
        """RelatedPersons: whoever NK1, GT1, IN1 and PID-21 name; the same name is the same person."""
        people: dict[str, Json] = {}
        active: set[str] = set()
        for name, part in (("NK1", None), ("GT1", None), ("IN1", "insured"), ("PID", "mother")):
            stands = standing(self.events, name)
            for key, whole in stands.ever.items():
                fact = whole.get(part) if part else whole
                if not fact or "relative" not in fact or whole.get("self"):
                    continue
                people[fact["key"]] = _joined(people.get(fact["key"], {}), fact["relative"])
                active |= {fact["key"]} if key in stands.now else set()
        for key, relative in people.items():
            self._make("RelatedPerson", (key,), {"active": key in active, "patient": self.subject, **relative})

    def _coverages(self) -> None:
        stands = standing(self.events, "IN1")
        for key, fact in stands.ever.items():
            status = "active" if key in stands.now else "cancelled"
            subscriber = self.subject if fact["self"] else None
            if "insured" in fact:
                subscriber = self._reference("RelatedPerson", fact["insured"]["key"])
            told = {"status": status, "beneficiary": self.subject, "subscriber": subscriber}
            self._make("Coverage", (key,), told | fact["coverage"])
            if "manager" in fact:
                member = {"type": "Practitioner", "display": fact["manager"]}
                participant = {"role": [CASE_MANAGER], "member": member}
                team = {"status": "active" if key in stands.now else "inactive", "subject": self.subject}
                self._make("CareTeam", ("IN3", key), team | {"participant": [participant]})

    def _accounts(self) -> None:
        """Accounts (PID-18), each with the guarantors and the cover that the last message about it names."""
        merged = {earlier for event in self.events for earlier, _ in event.succeeds}
        accounts: dict[tuple[str, str], Json] = {}
        for event in self.events:
            for fact in event.repeated.get("PID", ()):
                if "account" not in fact:
                    continue
                number = fact["account"]
                account = accounts.setdefault((number["system"], number["value"]), {})
                account["identifier"] = [number]
                if "GT1" in event.repeated:
                    account["guarantor"] = [self._guarantor(one) for one in event.repeated["GT1"]]
                if "IN1" in event.repeated:
                    account["coverage"] = [
                        self._covered(key, one)
                        for key, one in keyed(event.repeated["IN1"]).items()
                        if one.get("action") != "D"
                    ]
        for (system, value), account in accounts.items():
            status = "inactive" if (system, f"account {value}") in merged else "active"
            told = {"status": status, "subject": [self.subject], **account}
            self._make("Account", (system, value), told)

    def _guarantor(self, fact: Json) -> Json:
        if fact.get("self"):
            party = self.subject
        else:
            party = fact.get("organization") or self._reference("RelatedPerson", fact["key"])
        return {"party": party} | ({"period": fact["period"]} if "period" in fact else {})

    def _covered(self, key: str, fact: Json) -> Json:
        order = fact["coverage"].get("order")
        return {"coverage": self._reference("Coverage", key)} | ({"priority": order} if order else {})

    def _care_team(self) -> None:
        """The people of ROL and PRT that follow PID; those of PV1 are the Encounter's."""
        told: dict[str, Json] = {}
        now: set[str] = set()
        for name in ("ROL", "PRT"):
            stands = standing(self.events, name)
            told |= {key: fact for key, fact in stands.ever.items() if fact["of"] == "PID"}
            now |= stands.now
        if not told:
            return
        present = [fact for key, fact in told.items() if key in now]
        team = {
            "status": "active" if present else "inactive",
            "subject": self.subject,
            "participant": [_participant(fact) for fact in present],
            "managingOrganization": [self.events[-1].organization],
        }
        self._make("CareTeam", ("roles",), team)

    def _observations(self) -> None:
        wills = [fact["will"] for event in self.events for fact in event.repeated.get("PD1", ())]
        if wills:
            self._observe(("PD1-7",), _LIVING_WILL, {"valueCodeableConcept": wills[-1]})
        deaths = [fact for event in self.events for fact in event.repeated.get("PDA", ())]
        if not deaths:
            return
        died = fold_person(self.events).get("deceasedDateTime")
        standing_causes = {concept_key(cause) for cause in deaths[-1].get("cause", ())}
        for death in deaths:
            about = {"effectiveDateTime": died, "performer": [death["certifier"]] if "certifier" in death else None}
            for cause in death.get("cause", ()):
                key = concept_key(cause)
                status = {} if key in standing_causes else {"status": "entered-in-error"}
                self._observe(("PDA-1", *key), _CAUSE_OF_DEATH, about | {"valueCodeableConcept": cause} | status)
        autopsies = [death["autopsy"] for death in deaths if "autopsy" in death]
        if autopsies:
            last = autopsies[-1]
            performer = [last["performer"]] if "performer" in last else None
            said = {
                "valueBoolean": last["performed"],
                "effectivePeriod": last.get("period"),
                "performer": performer,
            }
            self._observe(("PDA-6",), _AUTOPSY, said)

    def _observe(self, key: tuple[str, ...], code: Json, said: Json) -> None:
        self._make("Observation", key, {"status": "final", "code": code, "subject": self.subject} | said)

    def _provenance(self) -> list[Json]:
        """Who says all this; see v2-to-FHIR, MSH[Provenance-Source], PID[Provenance-Patient]."""
        updates = [fact for event in self.events for fact in event.repeated.get("PID", ()) if _update(fact)]
        targets = [*([self.subject] if updates else []), *({"reference": name} for name in self.made)]
        if not targets:
            return []
        told = agents(self.events, self.beside)
        if updates and "updater" in updates[-1]:
            told.append({"type": PERFORMER, "who": self.beside.party(updates[-1]["updater"])})
        provenance = {
            "resourceType": "Provenance",
            "id": self._id("Provenance", "record"),
            "target": targets,
            "occurredDateTime": updates[-1].get("updated") if updates else None,
            "recorded": recorded(self.events),
            "agent": told,
            "entity": sources(self.events),
        }
        return [{element: value for element, value in provenance.items() if value}]


def _update(fact: Json) -> bool:
    return "updated" in fact or "updater" in fact


def _joined(relative: Json, more: Json) -> Json:
    """Two pictures of one person: lists united, of anything else the first."""
    if not relative:
        return dict(more)
    joined = dict(relative)
    for element, value in more.items():
        known = joined.get(element)
        if known is None:
            joined[element] = value
        elif isinstance(value, list):
            joined[element] = [*known, *(one for one in value if one not in known)]
    return joined


def _participant(fact: Json) -> Json:
    participant = {"role": [fact.get("role") or unknown()], "member": fact["member"]}
    return participant | ({"period": fact["period"]} if "period" in fact else {})
