"""A second, naive implementation of stages 0 to 8, transcribed from the consent specification.

It shares the model types with fhirgw.consent and nothing else: own families, own dates, own tree walk, one
resource at a time, no predicates and no marks. Slow and plain on purpose. Here: the order of the authorities, and
what one Consent says; whom it names is in ``reference_parties``, what of content in ``reference_content``.
"""

from datetime import UTC, datetime, timedelta

from reference_content import BEHAVIOUR, BELOW, EXPLICIT, SUD, dated, meant, of_class, of_code, security, split
from reference_parties import (
    MAYBE,
    NO,
    OWN_AUTHORIZATION,
    YES,
    actors,
    after,
    ancestors,
    first,
    is_person,
    kleene_and,
    kleene_or,
    party,
    period,
    purposes,
    turned,
    zone_of,
)

from fhirgw.consent.model import ConsentSettings, PatientPolicy, Request


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
            if refuses(consent, request, policy, settings, world or {}):
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
    return not any(refuses_a_person(consent, request, policy, settings, world) for consent in policy.consents)


def refuses_a_person(consent, request, policy, settings, world):
    """2.5: "never Dr Bob", wherever it stands."""
    if refusal(consent) or says_nothing(consent, policy) or settled(consent, request, policy, settings):
        return False
    for node in flatten(consent, settings):
        persons = any(is_person(party(consent, actor), policy) for actor in node["dims"].get("actor", []))
        counts = node["effect"] == "deny" and persons and denies_count(node, consent, request)
        if counts and kleene_and(of_the_request(node, consent, request, policy, world)) != NO:
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


def refuses(consent, request, policy, settings, world):
    """2.7 row 3: no signature, no performer needed; withdrawn or void, it is gone."""
    if consent["status"] == "inactive" or says_nothing(consent, policy):
        return False
    root = consent["provision"]
    over = period(root.get("period"), request.at, zone_of(consent, settings)) == NO
    if over or settled(consent, request, policy, settings):
        return False
    return actors(consent, root.get("actor"), request, policy, world) != NO


def says_nothing(consent, policy):
    """2.4: void, or another patient's."""
    elsewhere = not mine(consent, policy) and not of_a_joined_record(consent, policy)
    return elsewhere or consent["status"] in {"entered-in-error", "rejected"}


def mine(consent, policy):
    return consent["patient"]["reference"] == f"Patient/{policy.patient}"


def of_a_joined_record(consent, policy):
    """4 row 49: a record that was merged with the patient's, or linked; "most restrictive of both"."""
    return consent["patient"]["reference"] in {f"Patient/{other}" for other in policy.others}


def one_consent(consent, request, policy, settings, about):
    """2.4 and 2.5 for one consent: PERMIT, DENY or N/A."""
    if says_nothing(consent, policy) or settled(consent, request, policy, settings):
        return "N/A"
    nodes = flatten(consent, settings)
    # 4 row 49: "ROI doesn't move on merge"; what it denies is denied under both.
    permits_count = counts_in_full(consent, request, policy, settings) and not later_ones(consent, policy, settings)
    fired = []
    for node in nodes:
        truth = match(node, consent, request, policy, settings, about)
        if node["effect"] == "permit":
            if permits_count and truth == YES and ceiling(node, consent, request, settings, about[1], nodes):
                fired.append(node)
        elif denies_count(node, consent, request) and truth != NO:
            fired.append(node)
    left = [node for node in fired if not any(node["path"] in other["above"] for other in fired)]
    if any(node["effect"] == "deny" for node in left):
        return "DENY"
    return "PERMIT" if left else "N/A"


def flatten(consent, settings):
    """2.5 steps 1 and 2, iteratively."""
    root = consent.get("provision", {})
    opt = None
    for coding in consent.get("policyRule", {}).get("coding", []):
        opt = {"OPTIN": "permit", "OPTOUT": "deny"}.get(coding["code"], opt)
    dims = {name: value for name, value in root.items() if name not in {"type", "provision"}}
    conflict = opt is not None and "type" in root and root["type"] != opt
    effect = "deny" if conflict else root.get("type", opt)
    nodes, zone = [], zone_of(consent, settings)
    if effect:
        nodes.append(
            {"path": "0", "above": [], "effect": effect, "dims": {} if conflict else dims, "alone": conflict,
             "conflict": conflict, "zone": zone}
        )  # fmt: skip
    inherited = {name: value for name, value in dims.items() if name != "period"}
    stack = [("0", ["0"], child, inherited, number) for number, child in enumerate(root.get("provision", []))]
    while stack:
        parent, above, child, above_dims, number = stack.pop()
        stated = {name: value for name, value in child.items() if name not in {"type", "provision"} and value != {}}
        alone = child["type"] == "deny" and "actor" in stated
        dims = stated if alone else {**above_dims, **stated}
        path = f"{parent}.{number}"
        nodes.append(
            {"path": path, "above": above, "effect": child["type"], "dims": dims, "alone": alone, "zone": zone}
        )
        for below, grandchild in enumerate(child.get("provision", [])):
            stack.append((path, [*above, path], grandchild, dims, below))
    return nodes


def later_ones(consent, policy, settings):
    """2.4 no. 6: "only an explicit supersedes link (same patient, later signature)"."""
    zone = zone_of(consent, settings)
    found = []
    for other in policy.consents:
        links = [one["valueReference"]["reference"] for one in other.get("extension", [])]
        signed = first(other["dateTime"], zone_of(other, settings)) >= after(consent["dateTime"], zone)
        stands = other["status"] in {"active", "inactive"} and other["patient"] == consent["patient"]
        if f"Consent/{consent['id']}" in links and signed and stands:
            found.append(other)
    return found


def counts_in_full(consent, request, policy, settings):
    """All tests of 2.4 for a permit of this patient's."""
    own = mine(consent, policy) and in_force(consent, request, settings)
    return own and not unenforceable(consent, flatten(consent, settings))


def settled(consent, request, policy, settings):
    """2.4: a later release that supersedes it, while that is in force, has settled its exceptions."""
    later = later_ones(consent, policy, settings)
    return any(counts_in_full(other, request, policy, settings) and not refusal(other) for other in later)


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
    if "dataPeriod" in dims and turned(dims["dataPeriod"], UTC):
        return True
    return any("example.org" in coding["system"] for coding in coded)


def in_force(consent, request, settings):
    """2.4 tests 1 to 5."""
    signed = "sourceReference" in consent or not settings.require_signature
    zone = zone_of(consent, settings)
    return (
        consent["status"] == "active"
        and any(
            coding["code"] == "64292-6" for concept in consent.get("category", []) for coding in concept["coding"]
        )
        and consent["scope"]["coding"][0]["code"] == "patient-privacy"
        and first(consent["dateTime"], zone) <= request.at
        and period(consent.get("provision", {}).get("period"), request.at, zone) == YES
        and signed
        and all(entry["reference"] == consent["patient"]["reference"] for entry in consent.get("performer", []))
        and ("performer" in consent or not settings.require_signature)
        and not any(entry["verified"] is False for entry in consent.get("verification", []))
    )


def denies_count(node, consent, request):
    """2.4, last paragraphs: a root deny ends with its period or its withdrawal, a nested one outlives both."""
    if consent["status"] == "inactive" and node["path"] == "0":
        return False
    own, zone = consent.get("provision", {}).get("period"), node["zone"]
    if node["path"] == "0":
        return period(own, request.at, zone) != NO
    begun = own is None or "start" not in own or turned(own, zone) or request.at >= first(own["start"], zone)
    return node["alone"] or begun


def match(node, consent, request, policy, settings, about):
    """2.5 step 3: AND over dimensions, each on its own."""
    resource, labels, conf, world = about
    dims = node["dims"]
    truths = of_the_request(node, consent, request, policy, world)
    if "class" in dims and not broken({"class": dims["class"]}):
        truths.append(kleene_or(of_class(coding, resource) for coding in dims["class"]))
    if "code" in dims and not broken({"code": dims["code"]}):
        truths.append(of_code(dims["code"], resource))
    if "data" in dims:
        truths.append(kleene_or(meant(entry, resource, world) for entry in dims["data"]))
    if "dataPeriod" in dims and not broken({"dataPeriod": dims["dataPeriod"]}):
        truths.append(dated(dims["dataPeriod"], node["effect"], resource, node["zone"]))
    if "securityLabel" in dims and not broken({"securityLabel": dims["securityLabel"]}):
        truths.append(security(dims["securityLabel"], node["effect"], labels, conf, settings))
    elif node["effect"] == "permit" and settings.require_explicit_sensitive and labels & EXPLICIT:
        truths.append(NO)
    return kleene_and(truths)


def of_the_request(node, consent, request, policy, world):
    """The dimensions that are the same for every resource."""
    dims = node["dims"]
    truths = [
        actors(consent, dims.get("actor"), request, policy, world),
        purposes(dims.get("purpose"), node["effect"], request.purpose),
        YES if node["path"] == "0" else period(dims.get("period"), request.at, node["zone"]),
        MAYBE if broken_only(dims) else YES,
    ]
    if "action" in dims:
        codes = {coding["code"] for concept in dims["action"] for coding in concept["coding"]}
        wanted = {"access", "disclose"} if request.action in {"access", "disclose"} else {request.action}
        truths.append(YES if codes & wanted else NO)
    return truths


def broken_only(dims):
    return any(broken({name: value}) for name, value in dims.items())


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
    # A nested period without an end is within the Consent's own.
    own = node["path"] != "0" and "end" in (dims.get("period") or {})
    ends = own or "end" in (consent["provision"].get("period") or {})
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
