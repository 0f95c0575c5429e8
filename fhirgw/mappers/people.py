"""HL7 v2 data types that name people, to FHIR: XPN and XCN, with FN inside them.

As in ``datatypes``: a function returns None (or an empty list) where nothing is left to say.
See: HL7 v2-to-FHIR guide 1.0.0, data types.
"""

import re

from fhirgw.mappers.datatypes import (
    Components,
    Json,
    Scope,
    coded_element,
    fill,
    hd_to_system,
    local_code,
    period_between,
    typed_identifier,
)
from fhirgw.terminology import EXTENSION, NAME_ASSEMBLY_ORDER, NAME_USE, US_NPI, sid, table_coding

_NPI = re.compile(r"\d{10}", re.ASCII)
_ASSEMBLY_ORDERS = frozenset({"F", "G"})  # table 0444
_FAMILY = ((2, "own-prefix"), (3, "own-name"), (4, "partner-prefix"), (5, "partner-name"))


def xpn_to_human_names(xpn: Components, scope: Scope) -> list[Json]:
    """Map XPN to HumanNames: the name, and what somebody is called by (XPN-15); [] when it holds no part of one.

    XPN-1 → family, XPN-2/3 → given, XPN-4/6/14 → suffix, XPN-5 → prefix, XPN-7 → use, XPN-11 → assembly order,
    XPN-12/13, or XPN-10 → period.
    See: v2-to-FHIR, Data Type XPN[HumanName], FN[HumanName].
    """
    name = _fn_to_family(xpn, 1)
    fill(name, "given", xpn[2], xpn[3])
    if xpn.last > 3:
        fill(name, "suffix", xpn[4], xpn[6], xpn[14])
        fill(name, "prefix", xpn[5])
    if not name:
        return []
    use = xpn[7]
    if use:
        name = coded_element("use", "0200", NAME_USE, use, scope) | name
    if xpn.last < 10:
        return [name]
    name |= _assembly_order(xpn[11]) | period_between(xpn, 12, 13, scope, 10)
    called = xpn[15]
    return [name, {"use": "nickname", "given": [called]}] if called else [name]


def xcn_to_practitioner(xcn: Components, scope: Scope) -> Json | None:
    """Map XCN to Practitioner, without an id; None when it names nobody.

    XCN-1 → identifier.value, XCN-9 → identifier.system (US NPI by XCN-13 or by name), XCN-13 → identifier.type,
    XCN-2/3/4 → name, XCN-5/21 → suffix, XCN-6 → prefix, XCN-7 → qualification, XCN-10 → name.use, XCN-18 → assembly
    order, XCN-19/20, or XCN-17 → name.period.
    See: v2-to-FHIR, Data Type XCN[Practitioner].
    """
    practitioner: Json = {"resourceType": "Practitioner"}
    value = xcn[1]
    if value:
        kind, namespace = xcn[13], xcn[9]
        system = hd_to_system(namespace, xcn.part(9, 2), xcn.part(9, 3), scope)
        if "NPI" in (kind, namespace) and _NPI.fullmatch(value):
            system, kind = US_NPI, "NPI"
        system = system or sid(scope.name, scope.facility, "practitioner")
        practitioner["identifier"] = [typed_identifier(system, value, kind, scope)]
    name = _fn_to_family(xcn, 2)
    fill(name, "given", xcn[3], xcn[4])
    fill(name, "suffix", xcn[5], xcn[21])
    fill(name, "prefix", xcn[6])
    if name:
        use = xcn[10]
        if use:
            name = coded_element("use", "0200", NAME_USE, use, scope) | name
        if xcn.last > 16:
            name |= _assembly_order(xcn[18]) | period_between(xcn, 19, 20, scope, 17)
        practitioner["name"] = [name]
        degree = xcn[7]
        if degree:
            practitioner["qualification"] = [{"code": _degree(degree, scope)}]
    return practitioner if len(practitioner) > 1 else None


def one_each(people: list[Json]) -> list[Json]:
    """Practitioners, of whom those of the same family and given names are one.

    Several names and numbers of one person repeat a field of XCN (v2.5.1 ch. 3.4.3.7, PV1-7), and so do several
    people: who has no other name is no other.
    """
    if len(people) < 2:
        return people
    found: dict[object, Json] = {}
    for number, one in enumerate(people):
        said = one.get("name", [{}])[0]
        words = [said.get("family", ""), *said.get("given", ())[:1]]
        key = "|".join(words).casefold() if "family" in said else number
        same = found.get(key)
        found[key] = one if same is None else _united(same, one)
    return list(found.values())


def _united(one: Json, other: Json) -> Json:
    """One person, of whom two repetitions tell: all their numbers, and the first's names."""
    numbers = [*one.get("identifier", ())]
    numbers += [number for number in other.get("identifier", ()) if number not in numbers]
    return other | one | ({"identifier": numbers} if numbers else {})


def _fn_to_family(element: Components, at: int) -> Json:
    """FN in a component: the surname, and of what it is made."""
    family = element[at]
    if element.is_plain:
        return {"family": family} if family else {}
    parts = [(name, text) for number, name in _FAMILY if (text := element.part(at, number))]
    family = family or " ".join(text for _, text in parts)
    said = [{"url": f"{EXTENSION}humanname-{name}", "valueString": text} for name, text in parts]
    return ({"family": family} if family else {}) | ({"_family": {"extension": said}} if said else {})


def _assembly_order(order: str | None) -> Json:
    return {"extension": [{"url": NAME_ASSEMBLY_ORDER, "valueCode": order}]} if order in _ASSEMBLY_ORDERS else {}


def _degree(degree: str, scope: Scope) -> Json:
    """A degree of table 0360; what it does not have stays in the sender's words."""
    coding = table_coding("0360", local_code("0360", degree, scope))
    if coding is None:
        scope.unmapped.append(("0360", degree))
        return {"text": degree}
    return {"coding": [coding], "text": degree}
