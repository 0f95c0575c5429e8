"""A second, naive implementation of stages 0 to 8, transcribed from the consent specification.

It shares the model types with fhirgw.consent and nothing else: own families, own dates, own tree walk, one
resource at a time, no predicates and no marks. Slow and plain on purpose. What it does not transcribe, its callers
do not generate: contained actors, supersession, zones, parts of a resource with labels of their own.
"""

from datetime import UTC, datetime, timedelta

from fhirgw.consent.model import ConsentSettings, PatientPolicy, Request

YES, NO, MAYBE = "yes", "no", "maybe"
LEVEL = ["U", "L", "M", "N", "R", "V"]

# Categories below each listed category; ETH and SUD are one (2.3, and trap 4 of the ICM facts).
BELOW = {
    "SUD": {"ETHUD", "OPIOIDUD"},
    "BH": {"MH", "PSY", "PSYTHPN", "EMOTDIS", "COGN", "DVD"},
    "MH": {"PSY", "PSYTHPN", "EMOTDIS"},
    "PSY": {"PSYTHPN"},
    "VIO": {"SDV", "MST"},
}
NEAR = {"HIV": {"STD"}, "STD": {"HIV"}}
SUD = {"SUD", "ETHUD", "OPIOIDUD"}
BEHAVIOUR = {"BH"} | BELOW["BH"]
EXPLICIT = SUD | {"HIV", "PSYTHPN", "SDV"}

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


def effect_of(
    request: Request, policy: PatientPolicy, settings: ConsentSettings, resource, labels, conf, world=None
) -> str:
    """2.7: the first authority that speaks decides, and the minimum necessary narrows.

    ``world``: other resources at hand, by reference.
    """
    if resource["resourceType"] in {"Consent", "AuditEvent"} or not needed(request, settings, resource):
        return "DENY"
    about = (resource, labels, conf, world or {})
    results = []
    for consent in policy.consents:
        if refusal(consent):
            if refuses(consent, request, policy, world or {}):
                return "DENY"
        else:
            results.append(one_consent(consent, request, policy, settings, about))
    if "PSYTHPN" not in labels and (
        emergency(request, policy, settings, world or {}) or agreed(request, settings, about)
    ):
        return "PERMIT"
    if policy.enrolments is not None:
        states = [enrolment.status for enrolment in policy.enrolments]
        if "opted-out" in states or not ("active" in states or "finished" in states):
            return "DENY"
    if "DENY" in results:
        return "DENY"
    return "PERMIT" if "PERMIT" in results else "DENY"


def needed(request, settings, resource):
    """2.7 row 8: what of the resource every profile keeps that is for this recipient and this purpose."""
    left = dict(resource)
    known = {"covered-entity", "business-associate", "payer", "agency", "state-agency"}
    classes = request.recipient.roles & known or known
    for profile in settings.minimum:
        if not profile.classes & classes or not profile.purposes & set(ancestors(request.purpose)):
            continue
        if resource["resourceType"] not in dict(profile.kept):
            return {}
        stems = dict(profile.kept)[resource["resourceType"]]
        if stems is not None:
            named = {"resourceType", "id", "modifierExtension"} | stems
            left = {
                name: value for name, value in left.items()
                if name.lstrip("_") in named or any(name.lstrip("_").startswith(stem) and
                                                    name.lstrip("_")[len(stem)].isupper() for stem in stems
                                                    if len(name.lstrip("_")) > len(stem))
            }  # fmt: skip
    return left


def emergency(request, policy, settings, world):
    """2.7 row 4, and 42 CFR 2.51(c): who, of which facility, why; one patient, one hour, nobody refused by name."""
    claim = request.emergency
    if claim is None or "ETREAT" not in ancestors(request.purpose) or request.channel != "api":
        return False
    if "medical-personnel" not in request.recipient.roles or "agency" in request.recipient.roles:
        return False
    if claim.get("patient") != f"Patient/{policy.patient}":
        return False
    if not all(claim.get(name, "").strip() for name in ("person", "affiliation", "reason")):
        return False
    made = datetime.fromisoformat(claim["since"]) if "since" in claim else request.at
    if not made <= request.at < made + timedelta(minutes=settings.break_glass_minutes):
        return False
    return not any(refuses_a_person(consent, request, policy, world) for consent in policy.consents)


def refuses_a_person(consent, request, policy, world):
    """2.5: "never Dr Bob", wherever it stands."""
    if consent["status"] in {"entered-in-error", "rejected"} or refusal(consent):
        return False
    if not mine(consent, policy) and not of_a_joined_record(consent, policy):
        return False
    for node in flatten(consent):
        named = [actor["reference"]["reference"] for actor in node["dims"].get("actor", [])]
        persons = any(reference.startswith("Practitioner/") for reference in named)
        counts = node["effect"] == "deny" and persons and denies_count(node, consent, request)
        if counts and kleene_and(of_the_request(node, request, policy, world)) != NO:
            return True
    return False


def agreed(request, settings, about):
    """2.7 row 5: a registered, dated agreement; its scope and no more, and not for what needs an authorization."""
    resource, labels, conf, _ = about
    line = set(ancestors(request.purpose))
    for agreement in settings.agreements:
        scope = names_of(agreement.labels)
        scope |= set().union(
            *(BELOW.get(code, set()) - EXPLICIT for code in scope), SUD if "SUD" in scope else set()
        )
        if (
            agreement.tokens & request.recipient.tokens
            and line & agreement.purposes
            and not line & OWN_AUTHORIZATION
            and agreement.period[0] <= request.at <= agreement.period[1]
            and resource["resourceType"] in agreement.types
            and labels <= scope
            and conf <= agreement.highest
        ):
            return True
    return False


def names_of(mask):
    return {name for at, name in {0: "SUD", 3: "BH", 10: "HIV"}.items() if mask & 1 << at}


def refusal(consent):
    codes = [coding["code"] for concept in consent.get("category", []) for coding in concept.get("coding", [])]
    return "named-person-refusal" in codes or "dv-safety-list" in codes


def refuses(consent, request, policy, world):
    """2.7 row 3: no signature, no performer needed; withdrawn or void, it is gone."""
    if consent["status"] in {"inactive", "entered-in-error", "rejected"}:
        return False
    if not mine(consent, policy) and not of_a_joined_record(consent, policy):
        return False
    root = consent["provision"]
    if period(root.get("period"), request.at) == NO:
        return False
    return actors(root.get("actor"), request, policy, world) != NO


def mine(consent, policy):
    return consent["patient"]["reference"] == f"Patient/{policy.patient}"


def of_a_joined_record(consent, policy):
    """4 row 49: a record that was merged with the patient's, or linked; "most restrictive of both"."""
    return consent["patient"]["reference"] in {f"Patient/{other}" for other in policy.others}


def one_consent(consent, request, policy, settings, about):
    """2.4 and 2.5 for one consent: PERMIT, DENY or N/A."""
    joined = of_a_joined_record(consent, policy)
    if consent["status"] in {"entered-in-error", "rejected"} or not (joined or mine(consent, policy)):
        return "N/A"
    nodes = flatten(consent)
    # 4 row 49: "ROI doesn't move on merge"; what it denies is denied under both.
    permits_count = not joined and in_force(consent, request, settings) and not unenforceable(consent, nodes)
    fired = []
    for node in nodes:
        truth = match(node, request, policy, settings, about)
        if node["effect"] == "permit":
            if permits_count and truth == YES and ceiling(node, consent, request, settings, about[1], nodes):
                fired.append(node)
        elif denies_count(node, consent, request) and truth != NO:
            fired.append(node)
    left = [node for node in fired if not any(node["path"] in other["above"] for other in fired)]
    if any(node["effect"] == "deny" for node in left):
        return "DENY"
    return "PERMIT" if left else "N/A"


def flatten(consent):
    """2.5 steps 1 and 2, iteratively."""
    root = consent.get("provision", {})
    opt = None
    for coding in consent.get("policyRule", {}).get("coding", []):
        opt = {"OPTIN": "permit", "OPTOUT": "deny"}.get(coding["code"], opt)
    dims = {name: value for name, value in root.items() if name not in {"type", "provision"}}
    conflict = opt is not None and "type" in root and root["type"] != opt
    effect = "deny" if conflict else root.get("type", opt)
    nodes = []
    if effect:
        nodes.append(
            {"path": "0", "above": [], "effect": effect, "dims": {} if conflict else dims, "alone": conflict,
             "conflict": conflict}
        )  # fmt: skip
    inherited = {name: value for name, value in dims.items() if name != "period"}
    stack = [("0", ["0"], child, inherited, number) for number, child in enumerate(root.get("provision", []))]
    while stack:
        parent, above, child, above_dims, number = stack.pop()
        stated = {name: value for name, value in child.items() if name not in {"type", "provision"} and value != {}}
        alone = child["type"] == "deny" and "actor" in stated
        dims = stated if alone else {**above_dims, **stated}
        path = f"{parent}.{number}"
        nodes.append({"path": path, "above": above, "effect": child["type"], "dims": dims, "alone": alone})
        for below, grandchild in enumerate(child.get("provision", [])):
            stack.append((path, [*above, path], grandchild, dims, below))
    return nodes


def unenforceable(consent, nodes):
    return any(node.get("conflict") or broken(node["dims"]) for node in nodes) or broken(
        consent.get("provision", {})
    )


def broken(dims):
    """2.4 no. 8: a code that is no list, unknown extensions, systems that cannot be mapped."""
    if "modifierExtension" in dims or not isinstance(dims.get("code", []), list):
        return True
    coded = [coding for name in ("securityLabel", "purpose", "class") for coding in dims.get(name, [])]
    coded += [coding for concept in dims.get("code", []) for coding in concept["coding"]]
    return any("example.org" in coding["system"] for coding in coded)


def in_force(consent, request, settings):
    """2.4 tests 1 to 5."""
    signed = "sourceReference" in consent or not settings.require_signature
    return (
        consent["status"] == "active"
        and any(
            coding["code"] == "64292-6" for concept in consent.get("category", []) for coding in concept["coding"]
        )
        and consent["scope"]["coding"][0]["code"] == "patient-privacy"
        and first(consent["dateTime"]) <= request.at
        and period(consent.get("provision", {}).get("period"), request.at) == YES
        and signed
        and all(entry["reference"] == consent["patient"]["reference"] for entry in consent.get("performer", []))
        and ("performer" in consent or not settings.require_signature)
        and not any(entry["verified"] is False for entry in consent.get("verification", []))
    )


def denies_count(node, consent, request):
    """2.4, last paragraphs: a root deny ends with its period or its withdrawal, a nested one outlives both."""
    if consent["status"] == "inactive" and node["path"] == "0":
        return False
    own = consent.get("provision", {}).get("period")
    if node["path"] == "0":
        return period(own, request.at) != NO
    return node["alone"] or own is None or "start" not in own or period({"start": own["start"]}, request.at) != NO


def first(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def period(value, at):
    if value is None:
        return YES
    if "start" in value and at < first(value["start"]):
        return NO
    if "end" in value and at >= first(value["end"]) + timedelta(days=1):
        return NO
    return YES


def match(node, request, policy, settings, about):
    """2.5 step 3: AND over dimensions, each on its own."""
    resource, labels, conf, world = about
    dims = node["dims"]
    truths = of_the_request(node, request, policy, world)
    if "class" in dims and not broken({"class": dims["class"]}):
        truths.append(kleene_or(of_class(coding, resource) for coding in dims["class"]))
    if "code" in dims and not broken({"code": dims["code"]}):
        listed = {same_code(coding) for concept in dims["code"] for coding in concept["coding"]}
        truths.append(YES if listed & {same_code(coding) for coding in codings(resource)} else NO)
    if "data" in dims:
        truths.append(kleene_or(meant(entry, resource, world) for entry in dims["data"]))
    if "dataPeriod" in dims:
        truths.append(dated(dims["dataPeriod"], node["effect"], resource))
    if "securityLabel" in dims and not broken({"securityLabel": dims["securityLabel"]}):
        truths.append(security(dims["securityLabel"], node["effect"], labels, conf, settings))
    elif node["effect"] == "permit" and settings.require_explicit_sensitive and labels & EXPLICIT:
        truths.append(NO)
    return kleene_and(truths)


def of_the_request(node, request, policy, world):
    """The dimensions that are the same for every resource."""
    dims = node["dims"]
    truths = [
        actors(dims.get("actor"), request, policy, world),
        purposes(dims.get("purpose"), node["effect"], request.purpose),
        YES if node["path"] == "0" else period(dims.get("period"), request.at),
        MAYBE if broken_only(dims) else YES,
    ]
    if "action" in dims:
        codes = {coding["code"] for concept in dims["action"] for coding in concept["coding"]}
        wanted = {"access", "disclose"} if request.action in {"access", "disclose"} else {request.action}
        truths.append(YES if codes & wanted else NO)
    return truths


def broken_only(dims):
    return any(broken({name: value}) for name, value in dims.items())


def of_class(coding, resource):
    """2.5: resource type, document type or profile."""
    if coding["system"] == "http://hl7.org/fhir/resource-types":
        return YES if resource["resourceType"] == coding["code"] else NO
    if coding["system"] == "urn:ietf:rfc:3986":
        return YES if coding["code"] in resource.get("meta", {}).get("profile", []) else NO
    if coding["system"] == "urn:ietf:bcp:13":
        return YES if f"'contentType': '{coding['code']}'" in str(resource) else NO
    kinds = [resource.get("type", {})] if resource["resourceType"] == "DocumentReference" else []
    return YES if same_code(coding) in {same_code(one) for one in codings(kinds)} else NO


def codings(value):
    if isinstance(value, dict):
        here = [value] if "code" in value and "system" in value else []
        return here + [coding for name, part in value.items() if name != "meta" for coding in codings(part)]
    return [coding for part in value for coding in codings(part)] if isinstance(value, list) else []


def same_code(coding):
    """2.5: a trailing slash, icd-10 for icd-10-cm; 5.5: trim, upper, drop dot."""
    system = coding["system"].rstrip("/").replace("sid/icd-10-cm", "sid/icd-10")
    if system.endswith("sid/icd-10"):
        return system, coding["code"].strip().upper().replace(".", "")
    return system, coding["code"]


def meant(entry, resource, world):
    """2.5: instance = this resource; related = it or anything referring to/from it; dependents; authoredby."""
    meaning, named = entry["meaning"], entry["reference"]["reference"]
    own = f"{resource['resourceType']}/{resource['id']}"
    to_it = YES if f"'reference': '{named}'" in str(resource) else NO
    if meaning == "instance":
        return YES if named == own else NO
    if meaning == "dependents":
        return to_it if named != own else kleene_or([MAYBE, to_it])
    if meaning == "related":
        from_it = MAYBE if named not in world else YES if f"'reference': '{own}'" in str(world[named]) else NO
        return kleene_or([YES if named == own else NO, to_it, from_it])
    authors = [
        author
        for name in ("recorder", "asserter", "performer", "author")
        for author in (resource[name] if isinstance(resource.get(name), list) else [resource.get(name)])
        if author
    ]
    return kleene_or(made_by(author, named, world) for author in authors) if authors else MAYBE


def made_by(author, named, world):
    people = {author.get("reference"), identifier_of(author.get("identifier"))} - {None}
    role = world.get(author.get("reference"), {})
    for one in [
        author.get("reference"),
        *(role.get(name, {}).get("reference") for name in ("practitioner", "organization")),
    ]:
        people |= who(one, world)
    if people & ({named} | who(named, world)):
        return YES
    known = author.get("reference") in world or "identifier" in author
    return NO if known and named in world else MAYBE


def who(reference, world):
    resource = world.get(reference)
    return set() if resource is None else {reference, *map(identifier_of, resource.get("identifier", []))}


def identifier_of(identifier):
    return identifier and f"{identifier['system']}|{identifier['value']}"


CLINICAL = {
    "Condition": [("onsetDateTime",), ("recordedDate",)], "Observation": [("effectivePeriod",)],
    "Encounter": [("period",)], "DocumentReference": [("date",)],
}  # fmt: skip


def dated(asked, effect, resource):
    """2.5: within (permit), any overlap (deny), no date: unknown."""
    found = [
        resource[name] for group in CLINICAL.get(resource["resourceType"], []) for name in group if name in resource
    ]
    if not found:
        return MAYBE
    when = found[0] if isinstance(found[0], dict) else {"start": found[0], "end": found[0]}
    late, early = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    begin = first(when["start"]) if "start" in when else early
    finish = after(when["end"]) if "end" in when else late
    start = first(asked["start"]) if "start" in asked else early
    end = after(asked["end"]) if "end" in asked else late
    if effect == "permit":
        return YES if start <= begin and finish <= end else NO
    return YES if begin < end and start < finish else NO


def after(text):
    """The first instant after a day."""
    return first(text) + timedelta(days=1)


def actors(named, request, policy, world):
    if named is None:
        return YES
    return kleene_or(one_actor(actor["reference"]["reference"], request, policy, world, ()) for actor in named)


def one_actor(reference, request, policy, world, inside):
    """2.3: a closure; a team or a group is whoever is in it now."""
    recipient = request.recipient
    if recipient.tokens and reference.split("/")[0] in {"CareTeam", "Group"}:
        if reference in recipient.tokens:
            return YES
        return (
            in_team(world[reference], request, policy, world, (*inside, reference)) if reference in world else MAYBE
        )
    return one_party(reference, request, policy, world)


def in_team(team, request, policy, world, inside):
    held = {"active": YES, "inactive": NO}.get(team.get("status", "active"), MAYBE)
    held = NO if team.get("active") is False else held
    truths = []
    for entry in team.get("participant", team.get("member", [])):
        reference = entry.get("member", entry.get("entity"))["reference"]
        if reference not in inside:
            now = NO if entry.get("inactive") else period(entry.get("period"), request.at)
            is_it = one_actor(reference, request, policy, world, inside)
            truths.append(kleene_and([held, period(team.get("period"), request.at), now, is_it]))
    return kleene_or(truths)


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
    if listed is not None and broken({"purpose": listed}):
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


def split(coded):
    sensitive = {{"ETH": "SUD"}.get(coding["code"], coding["code"]) for coding in coded} - set(LEVEL)
    levels = [LEVEL.index(coding["code"]) for coding in coded if coding["code"] in LEVEL]
    return sensitive, levels


def security(coded, effect, labels, conf, settings):
    sensitive, levels = split(coded)
    if effect == "deny":
        reach = set(sensitive)
        for code in sensitive:
            reach |= BELOW.get(code, set()) | NEAR.get(code, set())
            reach |= {above for above, below in BELOW.items() if code in below}
        return YES if (levels and conf >= min(levels)) or reach & labels else NO
    if levels and conf > max(levels):
        return NO
    if sensitive:
        allowed = set(sensitive).union(*(BELOW.get(code, set()) for code in sensitive))
        if not labels <= allowed:
            return NO
        if not levels and not labels:
            return NO
    if settings.require_explicit_sensitive:
        named = sensitive | (SUD if "SUD" in sensitive else set())
        if not (labels & EXPLICIT) <= named:
            return NO
    elif not sensitive and not levels:
        return NO
    return YES


def ceiling(node, consent, request, settings, labels, nodes):
    """2.4 no. 7 and 2.7 row 2: what the law asks of the paper, whatever its provisions say."""
    dims = node["dims"]
    if "PSYTHPN" in labels:
        listed = [split(one["dims"].get("securityLabel", []))[0] for one in nodes if one["effect"] == "permit"]
        therapy = all(sensitive <= BEHAVIOUR for sensitive in listed)
        counseling = labels & SUD and all(one & SUD and one <= SUD | {"PSYTHPN"} for one in listed)
        if not all("PSYTHPN" in sensitive for sensitive in listed) or not (therapy or counseling):
            return False
    if not settings.require_complete:
        return True
    ends = "end" in (consent["provision"].get("period") or {}) or (
        node["path"] != "0" and "end" in (dims.get("period") or {})
    )
    listed = [coding["code"] for coding in dims.get("purpose", [])]
    business = bool(listed) and all(set(ancestors(code)) & {"TREAT", "HPAYMT", "HOPERAT"} for code in listed)
    asks_business = bool(set(ancestors(request.purpose)) & {"TREAT", "HPAYMT", "HOPERAT"})
    if not ends and not business:
        return False
    basics = "organization" in consent and "actor" in dims and "purpose" in dims
    basics = basics and bool({"securityLabel", "class", "code", "data", "dataPeriod"} & set(dims))
    authorization = basics and ends
    if not asks_business and not authorization:
        return False
    if "PSYTHPN" in labels and not authorization:
        return False
    return not (labels & SUD) or (basics and (ends or business))
