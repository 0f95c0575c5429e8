"""Who is meant: actors, teams, networks and purposes of the reference; and its three truths, and its instants.

Transcribed from the consent specification, like ``reference``, and nothing of ``fhirgw.consent`` is in it.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

YES, NO, MAYBE = "yes", "no", "maybe"
PARENT = {
    "TREAT": "PurposeOfUse", "HPAYMT": "PurposeOfUse", "HOPERAT": "PurposeOfUse", "HMARKT": "PurposeOfUse",
    "HRESCH": "PurposeOfUse", "PATRQT": "PurposeOfUse", "COC": "TREAT", "ETREAT": "TREAT", "BTG": "ETREAT",
    "CAREMGT": "HOPERAT", "CLINTRCH": "HRESCH", "HLEGAL": "HOPERAT",
}  # fmt: skip
OWN_AUTHORIZATION = {"HMARKT", "HRESCH", "HLEGAL"}

AND = {
    (YES, YES): YES, (YES, MAYBE): MAYBE, (MAYBE, YES): MAYBE, (MAYBE, MAYBE): MAYBE,
}  # fmt: skip


def kleene_and(values):
    result = YES
    for value in values:
        result = AND.get((result, value), NO)
    return result


def kleene_or(values):
    values = list(values)
    return YES if YES in values else MAYBE if MAYBE in values else NO


def ancestors(purpose):
    line = []
    while purpose is not None:
        line.append(purpose)
        purpose = PARENT.get(purpose)
    return line


GATEWAY = ZoneInfo("America/New_York")
"""Of those who know each other by resources that are at hand."""


# Instants ---------------------------------------------------------------------------------------------------------


def zone_of(consent, settings):
    """2.2: "inclusive of the day in the consent's zone": what is configured, unless its dateTime is of another."""
    text, configured = consent.get("dateTime", ""), ZoneInfo(settings.zone)
    if "T" not in text:
        return configured
    signed = datetime.fromisoformat(text)
    return configured if signed.astimezone(configured).utcoffset() == signed.utcoffset() else signed.tzinfo


def first(text, zone=GATEWAY):
    """2.4 no. 3: "start = first instant"."""
    if "T" in text:
        return datetime.fromisoformat(text).astimezone(UTC)
    year, month, day = (*map(int, text.split("-")), 1, 1)[:3]
    return datetime(year, month, day, tzinfo=zone).astimezone(UTC)


def after(text, zone=GATEWAY):
    """2.4 no. 3: "end = last instant": the first one that is no more of it."""
    if "T" in text:
        return first(text) + timedelta(seconds=1)
    parts = [int(part) for part in text.split("-")]
    if len(parts) == 3:
        return (datetime(*parts, tzinfo=zone) + timedelta(days=1)).astimezone(UTC)
    year, month = parts if len(parts) == 2 else (parts[0], 12)
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone).astimezone(UTC)


def period(value, at, zone=GATEWAY):
    """Whether the instant is in it; of one that ends before it starts, nobody can say (2.4 no. 8)."""
    if value is None:
        return YES
    if turned(value, zone):
        return MAYBE
    if "start" in value and at < first(value["start"], zone):
        return NO
    return NO if "end" in value and at >= after(value["end"], zone) else YES


def turned(value, zone):
    return "start" in value and "end" in value and after(value["end"], zone) <= first(value["start"], zone)


# Actors -----------------------------------------------------------------------------------------------------------


def party(consent, actor):
    """Literal reference, type, and identifiers of an actor; of a contained one what stands there."""
    reference = actor["reference"]
    literal, kind, holders = reference.get("reference", ""), reference.get("type", ""), [reference]
    if literal.startswith("#"):
        [inner] = [one for one in consent["contained"] if f"#{one['id']}" == literal]
        literal, kind, holders = "", inner["resourceType"], inner["identifier"]
        return literal, kind, {identifier_of(one) for one in holders}
    kind = literal.split("/")[0] if literal else kind
    return literal, kind, {identifier_of(one["identifier"]) for one in holders if "identifier" in one}


def who(reference, world):
    resource = world.get(reference)
    return set() if resource is None else {reference, *map(identifier_of, resource.get("identifier", []))}


def identifier_of(identifier):
    return identifier and f"{identifier['system']}|{identifier['value']}"


def actors(consent, named, request, policy, world):
    if named is None:
        return YES
    return kleene_or(one_actor(party(consent, actor), request, policy, world, ()) for actor in named)


def one_actor(named, request, policy, world, inside):
    """2.3: a closure; a team or a group is whoever is in it now."""
    reference, kind, identifiers = named
    recipient = request.recipient
    if not recipient.tokens:
        return MAYBE
    if kind in {"CareTeam", "Group"}:
        if reference in recipient.tokens:
            return YES
        return (
            in_team(world[reference], request, policy, world, (*inside, reference)) if reference in world else MAYBE
        )
    if not reference:
        return by_identifier(kind, identifiers, request, policy, world)
    return one_party(reference, request, policy, world)


def in_team(team, request, policy, world, inside):
    held = {"active": YES, "inactive": NO}.get(team.get("status", "active"), MAYBE)
    held = NO if team.get("active") is False else held
    truths = []
    for entry in team.get("participant", team.get("member", [])):
        reference = entry.get("member", entry.get("entity"))["reference"]
        if reference not in inside:
            now = NO if entry.get("inactive") else period(entry.get("period"), request.at)
            named = (reference, reference.split("/")[0], set())
            is_it = one_actor(named, request, policy, world, inside)
            truths.append(kleene_and([held, period(team.get("period"), request.at), now, is_it]))
    return kleene_or(truths)


PERSONS = {"Practitioner", "Patient", "RelatedPerson", "PractitionerRole"}


def bearers(identifiers, policy):
    return {name for name, known in policy.actors.items() if known & identifiers}


def is_person(named, policy):
    """Whether a person is named, or may be: an identifier alone does not say whose it is."""
    reference, kind, identifiers = named
    if reference or kind:
        return kind in PERSONS
    return {name.split("/")[0] for name in bearers(identifiers, policy)} != {"Organization"}


def by_identifier(kind, identifiers, request, policy, world):
    """0.4: whoever cannot be told apart is no permit's and every deny's."""
    recipient = request.recipient
    person = is_person(("", kind, identifiers), policy)
    known = bearers(identifiers, policy)
    own = set(identifiers)
    if person and {name.split("/")[0] for name in known} <= PERSONS:
        own = own.union(*(policy.actors[name] for name in known))
    if own & recipient.tokens:
        return YES
    organizations = {name for name in known if name.startswith("Organization/")} == known
    systems = {token.split("|")[0] for token in recipient.tokens if "|" in token}
    comparable = bool({one.split("|")[0] for one in identifiers} & systems)
    if not person and organizations and known:
        return kleene_or(takes_part(name, request, world) for name in known)
    around = any(takes_part(name, request, world) != NO for name in known if name.startswith("Organization/"))
    if around or (person and not recipient.person):
        return MAYBE
    return NO if comparable else MAYBE


def one_party(reference, request, policy, world):
    recipient = request.recipient
    if not recipient.tokens:
        return MAYBE
    if reference in recipient.tokens:
        return YES
    known = policy.actors.get(reference)
    if reference.startswith("Practitioner/"):
        if known is not None and known & recipient.tokens:
            return YES
        if recipient.person:
            return MAYBE if known is None else NO
        works_for = policy.affiliations.get(reference)
        return NO if works_for is not None and not works_for & recipient.tokens else MAYBE
    if known is not None and known & recipient.tokens:
        return YES
    within = takes_part(reference, request, world)
    return MAYBE if known is None and within == NO else within


ORDINARY = {"member": {"organization", "network"}, "provider": {"network"}}
"""What somebody with this role in an affiliation is plainly a member of."""


def takes_part(reference, request, world):
    """2.3: A holds the networks. Plainly what the recipient is a member of; perhaps what these belong to."""
    mine = {name for name in world if who(name, world) & request.recipient.tokens}
    mine |= {over for name in mine for over in above(name, world)}
    in_use = [one for one in world.values() if period(one.get("period"), request.at) == YES]
    now = [link for one in in_use for link in affiliated(one)]
    if any(part in mine and whole == reference and sure for part, whole, sure in now):
        return YES
    reached = set(mine)
    for _ in now:
        reached |= {over for part, whole, _ in now if part in reached for over in above(whole, world)}
    return MAYBE if reference in reached - mine else NO


def affiliated(one):
    """Who takes part in what, by an OrganizationAffiliation, and whether plainly."""
    if one["resourceType"] != "OrganizationAffiliation" or one.get("active") is False:
        return
    codes = {coding["code"] for concept in one.get("code", []) for coding in concept["coding"]}
    named = [("organization", one["organization"])] if "organization" in one else []
    for element, target in named + [("network", network) for network in one.get("network", [])]:
        sure = any(element in ORDINARY.get(code, ()) for code in codes) and "location" not in one
        yield one["participatingOrganization"]["reference"], target["reference"], sure
    if "HIE/HIO" in codes:
        yield one["organization"]["reference"], one["participatingOrganization"]["reference"], False


def above(reference, world):
    """An organization, and what it is part of."""
    line = []
    while reference is not None:
        line.append(reference)
        reference = world.get(reference, {}).get("partOf", {}).get("reference")
    return line


def purposes(listed, effect, purpose):
    line = ancestors(purpose) if purpose in PARENT or purpose == "PurposeOfUse" else None
    if listed is not None and any("example.org" in coding["system"] for coding in listed):
        return MAYBE
    if line is None:
        return YES if listed is None and effect == "deny" else MAYBE
    own = set()
    for at, code in enumerate(line):
        if code in OWN_AUTHORIZATION:
            own = set(line[: at + 1])
            break
    if listed is None:
        return NO if own and effect == "permit" else YES
    wanted = own if own and effect == "permit" else set(line)
    return YES if wanted & {coding["code"] for coding in listed} else NO
