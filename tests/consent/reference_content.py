"""What a rule says of content and labels, in the reference: classes, codes, data, dates, security labels.

Transcribed from the consent specification, like ``reference``, and nothing of ``fhirgw.consent`` is in it.
"""

from datetime import UTC, datetime

from reference_parties import MAYBE, NO, YES, after, first, identifier_of, kleene_or, who

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


def of_class(coding, resource):
    """2.5: resource type, document type or profile."""
    if coding["system"] == "http://hl7.org/fhir/resource-types":
        return YES if resource["resourceType"] == coding["code"] else NO
    if coding["system"] == "urn:ietf:rfc:3986":
        claimed = {url.split("|")[0] for url in resource.get("meta", {}).get("profile", [])}
        return YES if coding["code"].split("|")[0] in claimed else NO
    if coding["system"] == "urn:ietf:bcp:13":
        plain = coding["code"].lower().split(";")[0]
        return YES if f"'contenttype': '{plain}'" in str(resource).lower() else NO
    kinds = [resource.get("type", {})] if resource["resourceType"] == "DocumentReference" else []
    return YES if same_code(coding) in {same_code(one) for one in codings(kinds)} else NO


def of_code(concepts, resource):
    """2.5: "any coding". A code of ICD-10-CM is all below it (0.4: perhaps this one)."""
    listed = {same_code(coding) for concept in concepts for coding in concept["coding"]}
    found = {same_code(coding) for coding in codings(resource)}
    if listed & found:
        return YES
    near = any(
        one[0] == other[0] and "icd-10" in one[0] and (one[1].startswith(other[1]) or other[1].startswith(one[1]))
        for one in listed
        for other in found
    )
    return MAYBE if near else NO


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


CLINICAL = {
    "Condition": [("onsetDateTime",), ("recordedDate",)], "Observation": [("effectivePeriod", "effectiveDateTime")],
    "Encounter": [("period",)], "DocumentReference": [("date",)],
}  # fmt: skip


def dated(asked, effect, resource, zone):
    """2.5: within (permit), any overlap (deny), no date: unknown."""
    found = [
        resource[name] for group in CLINICAL.get(resource["resourceType"], []) for name in group if name in resource
    ]
    if not found:
        return MAYBE
    when = found[0] if isinstance(found[0], dict) else {"start": found[0], "end": found[0]}
    late, early = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    begin = first(when["start"], zone) if "start" in when else early
    finish = after(when["end"], zone) if "end" in when else late
    start = first(asked["start"], zone) if "start" in asked else early
    end = after(asked["end"], zone) if "end" in asked else late
    if effect == "permit":
        return YES if start <= begin and finish <= end else NO
    return YES if begin < end and start < finish else NO


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
