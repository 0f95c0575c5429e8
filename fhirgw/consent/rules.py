"""Rules: a FHIR Consent as flat rules with effective dimensions (stages 0 and 1 of the consent specification)."""

from fhirgw.consent.model import Json


def actor_tokens(consent: Json) -> frozenset[str]:
    """The tokens of everybody whom a permit of this Consent may name; ``*`` when a permit names nobody.

    A superset, for finding candidates by index: whether the Consent counts is decided elsewhere.
    """
    found: set[str] = set()
    pending: list[tuple[Json, frozenset[str]]] = [(consent.get("provision", {}), frozenset({"*"}))]
    while pending:
        provision, inherited = pending.pop()
        actors = provision.get("actor")
        stated = (
            frozenset(token for actor in actors for token in _tokens(actor.get("reference", {})))
            if actors
            else inherited
        )
        if provision.get("type") != "deny":
            found |= stated
        pending += [(child, stated) for child in provision.get("provision", [])]
    return frozenset(found)


def _tokens(reference: Json) -> list[str]:
    identifier = reference.get("identifier", {})
    tokens = [f"{identifier.get('system', '')}|{identifier['value']}"] if "value" in identifier else []
    return [*tokens, reference["reference"].split("/_history/")[0]] if "reference" in reference else tokens
