"""The care team, and who stands beside the member and how they are reached."""

from fhirgw.errors import InvalidElement
from fhirgw.icm.member import Caregiver, Relative
from fhirgw.icm.team import TeamMember
from fhirgw.mappers.icm.people import practitioner, practitioner_role, staff_ref
from fhirgw.mappers.icm.returning.reading import (
    Reading,
    Told,
    amended,
    codes,
    day,
    identifier,
    name,
    organization,
    telecom,
    without,
)
from fhirgw.mappers.icm.returning.unsaid import unsaid
from fhirgw.mappers.icm.shape import CANONICAL, Json, compact, reference_to

_CASELOAD = f"{CANONICAL}/StructureDefinition/icm-caseload"
_LIVED = f"{CANONICAL}/StructureDefinition/icm-lived-experience"
_SUPERVISOR = f"{CANONICAL}/StructureDefinition/icm-supervisor"
_SYSTEMS = f"{CANONICAL}/CodeSystem/"
_DECIDES = "substitute-decision-maker"


def care_team(reading: Reading) -> Told | None:
    """The CareTeam of the case: who of the staff is on it, since when, until when.

    The member, who stands beside them and the medical home are on it because the case says who they are.
    """
    scope, resource = reading.scope, reading.resource
    if not reading.named("CareTeam"):
        return None
    known = {staff_ref(scope, one.id)["reference"]: one for one in scope.case.care_team}
    changed, said = [], []
    for number, participant in enumerate(resource.get("participant", ())):
        reference = participant.get("member", {}).get("reference", "")
        said.append(participant)
        if one := known.pop(reference, None):
            changed.append(amended(one, **_participation(reading, participant)))
        elif reference.startswith("PractitionerRole/"):
            place = f"CareTeam.participant[{number}].member"
            record, member = _new(reading, participant, place)
            changed.append(record)
            said[-1] = participant | {"member": member}
    gone = tuple(one.id for one in known.values())
    return Told("care_team", tuple(changed), ("CareTeam",), resource | {"participant": said}, gone)


def _participation(reading: Reading, participant: Json) -> Json:
    stated = participant.get("period", {})
    return {
        "starts_on": day(reading.scope, stated.get("start")),
        "ends_on": day(reading.scope, stated.get("end")),
        "caseload": _extension(participant, _CASELOAD).get("valueUnsignedInt"),
    }


def _new(reading: Reading, participant: Json, place: str) -> tuple[Json, Json]:
    """Somebody who comes to the team: their record, and the reference to them that the case will have.

    Raises:
        InvalidElement: The case has no words for something that is known of them.
    """
    scope = reading.scope
    role = reading.found(participant["member"], place)
    who = reading.found(role.get("practitioner"), place)
    works = role.get("organization")
    above = _extension(role, _SUPERVISOR).get("valueReference")
    code = next((code for one in role.get("code", ()) for code in codes(one, f"{_SYSTEMS}icm-role")), "")
    record = compact(
        {
            "id": who["id"],
            "role": code.removeprefix(f"{scope.program.id}."),
            "name": name(next(iter(who.get("name", ())), {})),
            "identifier": next((identifier(one) for one in who.get("identifier", ())), None),
            "organization": None if works in (None, scope.manager) else organization(reading.found(works, place)),
            "qualifications": [_qualification(reading, one, place) for one in who.get("qualification", ())],
            "lived_experience": _extension(role, _LIVED).get("valueCode"),
            "supervisor": reading.staff(above, place),
            **_participation(reading, participant),
        }
    )
    if record["role"] not in {one.code for one in scope.program.roles}:
        raise InvalidElement("Their PractitionerRole has no role of this programme (icm-role).", location=place)
    try:
        member = TeamMember.model_validate(record)
    except ValueError:
        raise InvalidElement("Who comes to the team has a name and a role.", location=place) from None
    made = practitioner_role(scope, member)
    lost = [*unsaid(without(role, "practitioner"), made, scope.program)]
    lost += unsaid(who, practitioner(scope, member), scope.program)
    if lost:
        raise InvalidElement(f"The case has no words for {lost[0].location} of theirs.", location=place)
    return record, reference_to(made)


def _qualification(reading: Reading, stated: Json, place: str) -> Json:
    concept, held = stated.get("code", {}), stated.get("period", {})
    licence = next(iter(codes(concept, f"{_SYSTEMS}icm-licence")), None)
    others = [one for one in concept.get("coding", ()) if not str(one.get("system", "")).startswith(_SYSTEMS)]
    issuer = stated.get("issuer")
    return compact(
        {
            "kind": next(iter(codes(concept, f"{_SYSTEMS}icm-qualification")), None),
            "text": concept.get("text"),
            "code": next(iter(others), None),
            "licence": licence and licence.removeprefix(f"{reading.scope.program.id}."),
            "number": next((identifier(one) for one in stated.get("identifier", ())), None),
            "issuer": organization(reading.found(issuer, place)) if issuer else None,
            "starts_on": day(reading.scope, held.get("start")),
            "ends_on": day(reading.scope, held.get("end")),
        }
    )


def _extension(element: Json, url: str) -> Json:
    return next((one for one in element.get("extension", ()) if one["url"] == url), {})


def related_person(reading: Reading) -> Told | None:
    """Somebody beside the member: their name, what they are to the member, how they are reached."""
    member = reading.scope.case.member
    if (carer := member.caregiver) and reading.named("RelatedPerson", carer.id):
        return _told(reading, "member.caregiver", carer)
    for one in member.relatives:
        if reading.named("RelatedPerson", one.id):
            return _told(reading, "member.relatives", one)
    return None


def _told(reading: Reading, path: str, known: Caregiver | Relative) -> Told:
    resource = reading.resource
    concepts = resource.get("relationship", ())
    published = [one for concept in concepts for one in concept.get("coding", ())
                 if not str(one.get("system", "")).startswith(_SYSTEMS)]  # fmt: skip
    said: Json = {
        "name": name(next(iter(resource.get("name", ())), {})),
        "relationship": next(iter(published), None),
        "telecom": [telecom(one) for one in resource.get("telecom", ())],
    }
    if isinstance(known, Relative):
        return Told(path, (amended(known, **said),), ("RelatedPerson", known.id), resource)
    decides = [code for one in concepts for code in codes(one, f"{_SYSTEMS}icm-relationship")]
    try:
        carer = Caregiver.model_validate(amended(known, **said, decides=_DECIDES in decides))
    except ValueError:
        text = "Who cares for the member has a name, and a coded relationship to them."
        raise InvalidElement(text, location="RelatedPerson") from None
    whole = carer.model_dump(mode="json")  # objects are merged: what is gone is said
    return Told(path, (whole,), ("RelatedPerson", known.id), resource)
