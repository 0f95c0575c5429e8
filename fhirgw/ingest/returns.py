"""What a written resource says of a case comes back to the case's own system, which alone changes the case."""

from collections.abc import Mapping

from fhirgw.consent.model import Json
from fhirgw.consent.vocabulary import BITS
from fhirgw.errors import InvalidElement
from fhirgw.icm.statements import with_news
from fhirgw.ingest.precedence import put
from fhirgw.mappers.icm import map_case
from fhirgw.mappers.icm.returning import Home, Returned, returned
from fhirgw.programs import Program
from fhirgw.store import identity, repository, returns
from fhirgw.store.database import Transaction

_PATIENT = {
    "CareTeam": "subject",
    "Communication": "subject",
    "Goal": "subject",
    "QuestionnaireResponse": "subject",
    "RelatedPerson": "patient",
    "ServiceRequest": "subject",
    "Task": "for",
}
"""Where a resource that may come back says whose it is."""


class Returns:
    """Reads what comes back, and keeps it until it is asked for."""

    def __init__(self, *, programs: Mapping[str, Program], id_key: bytes) -> None:
        """Compose; the arguments are those of ``Ingest``."""
        self._programs = programs
        self._id_key = id_key

    def read(self, tx: Transaction, inside: frozenset[str] | None, resource: Json, *, new: bool) -> Returned | None:
        """What a resource says of a case of these programmes; None when it says nothing of one.

        Args:
            tx: The unit of work.
            inside: The writer's programmes; ``{"*"}``: all.
            resource: Valid, with an id.
            new: Whether the gateway gave it that id.

        Raises:
            ExceptionGroup: What the case has no words for.
            InvalidElement: It is new to the case, and its writer gave it an id.
        """
        homes = self._homes(tx, inside, resource)
        if not homes:
            return None
        fresh = resource["id"]
        nameless = {name: value for name, value in resource.items() if name != "id"}

        def ask(about: Json) -> Returned | None:
            return returned(about, homes, self._id_key, fresh=fresh, find=lambda named: _find(tx, named))

        if new:
            return ask(nameless)
        back = ask(resource)
        if back is None and not repository.exists(tx.connection, resource["resourceType"], fresh) and ask(nameless):
            raise InvalidElement("What is new to a case has its id from the gateway: POST it.", location="id")
        return back

    def states(self, tx: Transaction, patient: str, reference: str) -> bool:
        """Whether a case of this person says what the resource is."""
        for _, known in identity.cases(tx.connection, patient):
            case = with_news(known.body, [])
            program = self._programs.get(case.program)
            made = map_case(case, program, self._id_key, patient_id=patient) if program else []
            if any(f"{one['resourceType']}/{one['id']}" == reference for one in made):
                return True
        return False

    def take(self, tx: Transaction, back: Returned) -> repository.Stored:
        """Store what came back, and note it for its system, unless that knows it; the resource that was written."""
        source = BITS["SUD"] if back.home.program.part2 else 0
        named = (back.resource["resourceType"], back.resource["id"])
        stored = {(one["resourceType"], one["id"]): put(tx, one, source=source) for one in back.resources}
        known = identity.case(tx.connection, back.home.case.key)
        if known and self._is_news(tx, back, named, known.digest):
            returns.append(tx, back.home.program.id, known.version, known.digest, named, back.records)
        return stored[named]

    def _is_news(self, tx: Transaction, back: Returned, named: tuple[str, str], digest: bytes) -> bool:
        """Whether it is not what came with this resource last, or what the case says itself.

        What came back of a statement counts until the next one: who takes a Task back says so, too.
        """
        came = returns.of_case(tx.direct, back.home.case.key)
        last = next((one for one in reversed(came) if (one.type, one.id) == named and one.digest == digest), None)
        return last.records != back.records if last else back.changes

    def _homes(self, tx: Transaction, inside: frozenset[str] | None, resource: Json) -> list[Home]:
        """The cases that it may be of: as last stated, with what came back that is new to them."""
        whose = resource.get(_PATIENT.get(resource["resourceType"], ""), {}).get("reference", "")
        if inside is None or not whose.startswith("Patient/"):
            return []
        homes = []
        for key, known in identity.cases(tx.connection, whose.removeprefix("Patient/")):
            came = [one.records for one in returns.of_case(tx.direct, key)]
            case = with_news(known.body, came)
            program = self._programs.get(case.program)
            if program and ("*" in inside or program.id in inside):
                homes.append(Home(case, program, known.patient))
        return homes


def _find(tx: Transaction, reference: str) -> Json | None:
    """Somebody, or an organization, that stands in nobody's record."""
    kind, _, logical = reference.partition("/")
    if kind not in ("Organization", "Practitioner", "PractitionerRole"):
        return None
    stored = repository.current(tx.connection, kind, logical)
    return stored.body if stored and not stored.deleted else None
