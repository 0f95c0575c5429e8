"""A second, naive implementation of stages 0 to 7, transcribed from the consent specification.

It shares the model types with fhirgw.consent and nothing else: own families, own dates, own tree walk, one
resource at a time, no predicates. Slow and plain on purpose. What it does not transcribe, its callers do not
generate: contained actors, supersession, zones.
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


def effect_of(request: Request, policy: PatientPolicy, settings: ConsentSettings, type_, labels, conf) -> str:
    """2.7: the first authority that speaks decides."""
    if type_ in {"Consent", "AuditEvent"}:
        return "DENY"
    results = []
    for consent in policy.consents:
        if refusal(consent):
            if refuses(consent, request, policy):
                return "DENY"
        else:
            results.append(one_consent(consent, request, policy, settings, type_, labels, conf))
    if policy.enrolments is not None:
        states = [enrolment.status for enrolment in policy.enrolments]
        if "opted-out" in states or not ("active" in states or "finished" in states):
            return "DENY"
    if "DENY" in results:
        return "DENY"
    return "PERMIT" if "PERMIT" in results else "DENY"


def refusal(consent):
    codes = [coding["code"] for concept in consent.get("category", []) for coding in concept.get("coding", [])]
    return "named-person-refusal" in codes or "dv-safety-list" in codes


def refuses(consent, request, policy):
    """2.7 row 3: no signature, no performer needed; withdrawn or void, it is gone."""
    if consent["status"] in {"inactive", "entered-in-error", "rejected"}:
        return False
    if not mine(consent, policy) and not of_a_joined_record(consent, policy):
        return False
    root = consent["provision"]
    if period(root.get("period"), request.at) == NO:
        return False
    return actors(root.get("actor"), request, policy) != NO


def mine(consent, policy):
    return consent["patient"]["reference"] == f"Patient/{policy.patient}"


def of_a_joined_record(consent, policy):
    """4 row 49: a record that was merged with the patient's, or linked; "most restrictive of both"."""
    return consent["patient"]["reference"] in {f"Patient/{other}" for other in policy.others}


def one_consent(consent, request, policy, settings, type_, labels, conf):
    """2.4 and 2.5 for one consent: PERMIT, DENY or N/A."""
    joined = of_a_joined_record(consent, policy)
    if consent["status"] in {"entered-in-error", "rejected"} or not (joined or mine(consent, policy)):
        return "N/A"
    nodes = flatten(consent)
    # 4 row 49: "ROI doesn't move on merge"; what it denies is denied under both.
    permits_count = not joined and in_force(consent, request, settings) and not unenforceable(consent, nodes)
    fired = []
    for node in nodes:
        truth = match(node, request, policy, settings, type_, labels, conf)
        if node["effect"] == "permit":
            if permits_count and truth == YES and ceiling(node, consent, request, settings, labels, nodes):
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
        stated = {name: value for name, value in child.items() if name not in {"type", "provision"}}
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
    """2.4 no. 8: dimensions that are not implemented, systems that cannot be mapped."""
    if {"code", "data", "dataPeriod", "modifierExtension"} & set(dims):
        return True
    kinds = [actor["reference"].get("reference", "").split("/")[0] for actor in dims.get("actor", [])]
    if "CareTeam" in kinds or "Group" in kinds:
        return True
    return any(
        "terminology.hl7.org" not in coding["system"]
        for name in ("securityLabel", "purpose")
        for coding in dims.get(name, [])
    ) or any(coding["system"] != "http://hl7.org/fhir/resource-types" for coding in dims.get("class", []))


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


def match(node, request, policy, settings, type_, labels, conf):
    """2.5 step 3: AND over dimensions, each on its own."""
    dims = node["dims"]
    truths = [
        actors(dims.get("actor"), request, policy),
        purposes(dims.get("purpose"), node["effect"], request.purpose),
        YES if node["path"] == "0" else period(dims.get("period"), request.at),
        MAYBE if broken_only(dims) else YES,
    ]
    if "action" in dims:
        codes = {coding["code"] for concept in dims["action"] for coding in concept["coding"]}
        wanted = {"access", "disclose"} if request.action in {"access", "disclose"} else {request.action}
        truths.append(YES if codes & wanted else NO)
    if "class" in dims and not broken({"class": dims["class"]}):
        truths.append(YES if type_ in {coding["code"] for coding in dims["class"]} else NO)
    if "securityLabel" in dims and not broken({"securityLabel": dims["securityLabel"]}):
        truths.append(security(dims["securityLabel"], node["effect"], labels, conf, settings))
    elif node["effect"] == "permit" and settings.require_explicit_sensitive and labels & EXPLICIT:
        truths.append(NO)
    return kleene_and(truths)


def broken_only(dims):
    return any(broken({name: value}) for name, value in dims.items())


def actors(named, request, policy):
    if named is None:
        return YES
    truths = []
    for actor in named:
        reference = actor["reference"]["reference"]
        if reference.split("/")[0] in {"CareTeam", "Group"}:
            truths.append(MAYBE)
        else:
            truths.append(one_actor(reference, request.recipient, policy))
    return kleene_or(truths)


def one_actor(reference, recipient, policy):
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
    if known is None:
        return MAYBE
    return YES if known & recipient.tokens else NO


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
        for other in nodes:
            if other["effect"] == "permit":
                sensitive, _ = split(other["dims"].get("securityLabel", []))
                if "PSYTHPN" not in sensitive or not sensitive <= BEHAVIOUR:
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
    basics = basics and ("securityLabel" in dims or "class" in dims)
    authorization = basics and ends
    if not asks_business and not authorization:
        return False
    if "PSYTHPN" in labels and not authorization:
        return False
    return not (labels & SUD) or (basics and (ends or business))
