"""What the readers share: what they are given, what they tell, and the words that stand in many resources."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhirgw.errors import InvalidElement, MissingElement
from fhirgw.icm.base import Model
from fhirgw.icm.model import Case
from fhirgw.icm.statements import Records
from fhirgw.mappers.icm.people import staff_ref
from fhirgw.mappers.icm.shape import TEXT_REVIEW, Json, Scope, compact
from fhirgw.terminology import ACT_CODE

Find = Callable[[str], Json | None]
"""The resource that a reference names, or None."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader is given.

    Attributes:
        scope: The case that the resource may belong to.
        resource: What was written; without an id where it is new.
        fresh: The local id of what is new.
        find: Looks a reference up.
    """

    scope: Scope
    resource: Json
    fresh: str
    find: Find

    def named(self, *parts: str) -> bool:
        """Whether the resource is the one of the case whose id is made of these parts."""
        return self.resource.get("id") == self.scope.id(*parts)

    @property
    def open(self) -> bool:
        """Whether something new can come to the case."""
        return "id" not in self.resource and self.scope.case.status != "finished"

    @property
    def proposes(self) -> bool:
        """Whether it is a Goal that is proposed."""
        return bool(self.resource.get("lifecycleStatus") == "proposed")

    @property
    def names_no_other_plan(self) -> bool:
        """Whether it is based on the plan of this case, or on no plan."""
        plans = [one.get("reference") for one in self.resource.get("basedOn", ())]
        return not plans or (self.has_plan and plans == [self.scope.ref("CarePlan")["reference"]])

    @property
    def has_plan(self) -> bool:
        """Whether the case has a plan."""
        return self.scope.case.care_plan is not None

    def staff(self, reference: Json | None, location: str) -> str | None:
        """The local id of somebody of the care team; None for nobody, and for the programme itself.

        Raises:
            InvalidElement: Somebody else.
        """
        if reference is None or reference["reference"] == self.scope.manager["reference"]:
            return None
        for one in self.scope.case.care_team:
            if staff_ref(self.scope, one.id)["reference"] == reference["reference"]:
                return one.id
        raise InvalidElement("This is nobody of the care team.", location=location)

    def found(self, reference: Json | None, location: str) -> Json:
        """The resource that a reference names.

        Raises:
            InvalidElement: It names nothing that is here.
        """
        found = self.find(reference["reference"]) if reference and "reference" in reference else None
        if found is None:
            raise InvalidElement("This names nobody who is here.", location=location)
        return found


@dataclass(frozen=True, slots=True)
class Told:
    """What a resource says of its case.

    Attributes:
        path: Of a list of the case, or of one object.
        changed: What of it changes, whole.
        id_parts: What the id of the resource is made of.
        resource: What has to be found again in what the case says then: without what was taken in other words.
        gone: Local ids that are taken out of the list.
    """

    path: str
    changed: tuple[Json, ...]
    id_parts: tuple[str, ...]
    resource: Json
    gone: tuple[str, ...] = ()

    def records(self, case: Case) -> Records:
        """As records of the case."""
        *above, last = self.path.split(".")
        listed = isinstance(held(case, self.path), tuple)
        inner: Json = {last: list(self.changed) if listed else self.changed[0]} if self.changed else {}
        for name in reversed(above):
            inner = {name: inner}
        gone = {self.path: self.gone} if self.gone else {}
        return Records(case=case.key, version=(case.version or 0) + 1, records=inner, remove=gone)


def held(case: Case, path: str) -> Any:
    """What stands at a path of a case; an empty list where there is no plan."""
    value: Any = case
    for name in path.split("."):
        value = getattr(value, name) if value is not None else ()
    return value


def amended(record: Model, **fields: object) -> Json:
    """A record with fields changed; None takes one away."""
    changed = {**record.model_dump(mode="json", exclude_defaults=True), **fields}
    return {name: value for name, value in changed.items() if value is not None}


def day(scope: Scope, stated: str | None) -> str | None:
    """The programme's own date of a FHIR date or dateTime."""
    if stated is None or "T" not in stated:
        return stated
    return scope.program.day(datetime.fromisoformat(stated)).isoformat()


def instant(stated: str | None, location: str) -> str:
    """A dateTime that has a time of day.

    Raises:
        MissingElement: It is not there, or a date alone.
    """
    if stated is None or "T" not in stated:
        raise MissingElement("State the time of day, with its offset from UTC.", location=location)
    return stated


def sensitivity(resource: Json) -> str | list[str] | None:
    """What ``meta`` says that the text reveals, as a case states it."""
    meta = resource.get("meta", {})
    codes = sorted(one["code"] for one in meta.get("security", ()) if one.get("system") == ACT_CODE)
    return codes or ("none" if is_cleared(resource) else None)


def is_cleared(resource: Json) -> bool:
    """Whether a person has classified its text."""
    tags = [(one.get("system"), one.get("code")) for one in resource.get("meta", {}).get("tag", ())]
    return (TEXT_REVIEW["system"], TEXT_REVIEW["code"]) in tags


def without(resource: Json, *names: str) -> Json:
    """A resource without some elements."""
    return {name: value for name, value in resource.items() if name not in names}


def codes(concept: Json | None, system: str) -> list[str]:
    """The codes that a CodeableConcept has of one system."""
    return [
        one["code"] for one in (concept or {}).get("coding", ()) if one.get("system") == system and "code" in one
    ]


def name(stated: Json) -> Json:
    """A HumanName in the words of a case."""
    return compact({part: stated.get(part) for part in ("family", "given", "text")})


def telecom(stated: Json) -> Json:
    """A ContactPoint in the words of a case."""
    return compact({part: stated.get(part) for part in ("system", "value", "use")})


def identifier(stated: Json) -> Json:
    """An Identifier in the words of a case."""
    return compact({part: stated.get(part) for part in ("system", "value")})


def organization(stated: Json) -> Json:
    """An Organization in the words of a case."""
    return compact(
        {
            "identifier": next((identifier(one) for one in stated.get("identifier", ())), None),
            "name": stated.get("name"),
            "telecom": [telecom(one) for one in stated.get("telecom", ())],
        }
    )
