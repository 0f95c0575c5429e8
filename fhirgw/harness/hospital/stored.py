"""What is on the FHIR side of the gateway, held against the hospital's books: in words, visit by visit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from fhirgw.harness.comparison import Json
from fhirgw.harness.hospital.census import Person, Visit
from fhirgw.harness.hospital.expected import CLASSES, TOOK_PLACE, case, stays, work
from fhirgw.harness.hospital.messages import FACILITY
from fhirgw.harness.result import Unmet
from fhirgw.harness.session import Session

OPEN = frozenset({"requested", "received", "accepted", "in-progress"})
Check = Callable[[], list[str]]


class Stored:
    """The FHIR side."""

    def __init__(self, session: Session, people: Sequence[Person], visits: Sequence[Visit]) -> None:
        """Ask nothing yet.

        Args:
            session: Reads it.
            people: Of the hospital.
            visits: Theirs.
        """
        self._session = session
        self._people = people
        self._visits = visits
        self._patients: dict[Person, str] = {}
        self._locations: dict[str, str] = {}

    def state_cases(self) -> int:
        """State the members and candidates as cases; how many.

        Raises:
            Unmet: They are not taken.
        """
        known = [one for one in self._people if one.medicaid]
        for person in known:
            # Beside the FHIR base URL.
            answer = self._session.target.request(
                "POST", "../icm/cases", case(person), headers={"Content-Type": "application/json"}
            )
            answer.require(200)
            found = self._search(f"Patient?identifier={person.medicaid}")
            if len(found) != 1:
                raise Unmet(
                    f"After the case of {person.medicaid} was stated, {len(found)} Patients have that number."
                )
            self._patients[person] = found[0]["id"]
        return len(known)

    def checks(self) -> dict[tuple[str, str], Check]:
        """What is held against the books, by what it is called; each gives what is wrong, a sentence each."""
        held: dict[tuple[str, str], Check] = {}
        for person in self._people:
            known = person in self._patients
            held["person", person.mrn] = partial(self._known if known else self._unknown, person)
        for visit in self._visits:
            known = visit.person.now in self._patients
            held["visit", visit.number] = partial(self._visit if known else self._no_visit, visit)
        return held

    # --- people ---------------------------------------------------------------------------------------------------

    def _known(self, person: Person) -> list[str]:
        patient = self._read(f"Patient/{self._patients[person]}")
        return list(self._person(person, patient))

    def _person(self, person: Person, patient: Json) -> Iterator[str]:
        has = {one.get("value") for one in patient.get("identifier", [])}
        for what, number in (("Medicaid number", person.medicaid), ("record number", person.mrn)):
            if number not in has and (what == "Medicaid number" or (person.seen and person.now is person)):
                yield f"the Patient has not the {what} {number}"
        found = {(one["type"], one["other"]["reference"]) for one in patient.get("link", [])}
        links = set(self._links(person))
        for kind, whom in sorted(links - found):
            yield f"the Patient has no link {kind} to {whom}"
        for kind, whom in sorted(found - links):
            yield f"the Patient has a link {kind} to {whom} that should not be"

    def _links(self, person: Person) -> Iterator[tuple[str, str]]:
        if person.merged_into:
            yield "replaced-by", f"Patient/{self._patients[person.now]}"
        for other, patient in self._patients.items():
            if other.merged_into and other.now is person:
                yield "replaces", f"Patient/{patient}"
        if person.linked and person.linked in self._patients:
            yield "seealso", f"Patient/{self._patients[person.linked]}"

    def _unknown(self, person: Person) -> list[str]:
        found = self._search(f"Patient?identifier={person.mrn}")
        home = self._patients.get(person.now)
        return [
            f"the record is nobody's here, and Patient/{one['id']} has it" for one in found if one["id"] != home
        ]

    # --- visits ---------------------------------------------------------------------------------------------------

    def _no_visit(self, visit: Visit) -> list[str]:
        found = self._search(f"Encounter?identifier={visit.number}")
        return ["the visit of somebody who is nobody's here is kept"] if found else []

    def _visit(self, visit: Visit) -> list[str]:
        found = self._search(f"Encounter?identifier={visit.number}")
        if len(found) != 1:
            return [f"there should be one Encounter of the visit, and there are {len(found)}"]
        encounter = found[0]
        problems = [*_said(visit, encounter), *self._subject(visit, encounter), *self._work(visit, encounter)]
        if visit.status in TOOK_PLACE:
            problems += [
                *_times(visit, encounter),
                *self._places(visit, encounter),
                *self._diagnoses(visit, encounter),
            ]
        return problems

    def _subject(self, visit: Visit, encounter: Json) -> Iterator[str]:
        should = f"Patient/{self._patients[visit.person.now]}"
        if encounter["subject"]["reference"] != should:
            yield f"it is filed under {encounter['subject']['reference']}, and should be under {should}"

    def _places(self, visit: Visit, encounter: Json) -> Iterator[str]:
        was = [one for one in encounter.get("location", []) if one.get("status") != "planned"]
        found = [(self._place(one), _instant(one, "start"), _instant(one, "end")) for one in was]
        for one in stays(visit):
            if one not in found:
                yield f"it does not say that the patient was in {_stay(one)}"
        for one in found:
            if one not in stays(visit):
                yield f"it says that the patient was in {_stay(one)}, which is not so"

    def _place(self, entry: Json) -> str:
        names, reference = [], entry["location"].get("reference")
        if reference in self._locations:
            return self._locations[reference]
        at = reference
        while at:
            location = self._read(at)
            names.append(location.get("name", "?"))
            at = location.get("partOf", {}).get("reference")
        self._locations[reference] = "/".join(one for one in reversed(names) if one != FACILITY)
        return self._locations[reference]

    def _diagnoses(self, visit: Visit, encounter: Json) -> Iterator[str]:
        conditions = self._search(f"Condition?encounter=Encounter/{encounter['id']}")
        found = {coding["code"] for one in conditions for coding in one.get("code", {}).get("coding", [])}
        should = {one.code for one in visit.diagnoses}
        if found != should:
            yield f"its diagnoses are {_listed(found)}, and should be {_listed(should)}"

    def _work(self, visit: Visit, encounter: Json) -> Iterator[str]:
        patient = self._patients[visit.person.now]
        tasks = self._search(f"Task?patient=Patient/{patient}&encounter=Encounter/{encounter['id']}")
        found = {one["code"]["coding"][0]["code"]: one["status"] for one in tasks}
        for what, status in work(visit).items():
            if found.get(what) != status:
                yield f"its Task {what} is {found.get(what, 'missing')}, and should be {status}"
        for what, status in found.items():
            if what not in work(visit) and status in OPEN:
                yield f"there is a Task {what} that it does not call for"

    # --- asking ---------------------------------------------------------------------------------------------------

    def _search(self, asked: str) -> list[Json]:
        pages = self._session.pages(asked)
        return [one["resource"] for page in pages for one in page.get("entry", [])]

    def _read(self, reference: str) -> Json:
        return self._session.target.request("GET", reference).require(200)


def _said(visit: Visit, encounter: Json) -> Iterator[str]:
    """Status, class, disposition."""
    if encounter["status"] != visit.status:
        yield f"its status is {encounter['status']}, and should be {visit.status}"
    should = CLASSES[visit.patient_class]
    if visit.status != "entered-in-error" and encounter["class"].get("code") != should:
        yield f"its class is {encounter['class'].get('code')}, and should be {should}"
    disposition = encounter.get("hospitalization", {}).get("dischargeDisposition", {})
    codes = {one.get("code") for one in disposition.get("coding", [])}
    if visit.disposition and visit.status == "finished" and visit.disposition not in codes:
        yield f"its discharge disposition is {_listed(codes)}, and should be {visit.disposition}"
    if codes and visit.status != "finished":
        yield f"it has a discharge disposition, and is {visit.status}"


def _times(visit: Visit, encounter: Json) -> Iterator[str]:
    for name, should in (("start", visit.start), ("end", visit.end)):
        found = _instant(encounter, name)
        if found != should:
            yield f"its {name} is {_told(found)}, and should be {_told(should)}"


def _instant(holder: Mapping[str, Json], name: str) -> datetime | None:
    moment = holder.get("period", {}).get(name)
    return datetime.fromisoformat(moment) if moment else None


def _stay(one: tuple[str, datetime | None, datetime | None]) -> str:
    place, since, until = one
    return f"{place} from {_told(since)} to {_told(until)}"


def _told(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S") if at else "nothing"


def _listed(values: set[str | None] | set[str]) -> str:
    return ", ".join(sorted(filter(None, values))) or "nothing"
