"""Rules: a FHIR Consent as flat rules with effective dimensions (consent specification §2.5, steps 1 and 2).

What a rule asks of content is read in ``criteria.py``.

Reading is total: whatever is not understood makes the Consent UNENFORCEABLE (§2.4 no. 8) and is kept as a
``problem``; its permits never fire, its denies fire as if the unknown condition were true.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from fhirgw.consent import criteria, vocabulary
from fhirgw.consent.criteria import Criteria
from fhirgw.consent.elements import TEAMS, bare, identifier_tokens, objects, reference_type
from fhirgw.consent.instants import zone_of
from fhirgw.consent.model import Json
from fhirgw.settings import ZONE

MAX_DEPTH: Final = 8
ACTIONS: Final = frozenset({"access", "collect", "correct", "disclose", "use"})
_PROVISION: Final = frozenset(
    {
        "type",
        "period",
        "actor",
        "action",
        "securityLabel",
        "purpose",
        "class",
        "code",
        "dataPeriod",
        "data",
        "provision",
    }
)
_CONSENT: Final = frozenset(
    {"resourceType", "meta", "implicitRules", "language", "text", "contained", "identifier", "status", "scope",
     "category", "patient", "dateTime", "performer", "organization", "sourceAttachment", "sourceReference",
     "policy", "policyRule", "verification", "provision"}
)  # fmt: skip
_EVERYWHERE: Final = frozenset({"id", "extension", "modifierExtension"})

Effect = Literal["permit", "deny"]
Role = Literal["recipient", "discloser", "unknown"]

_DIRECTIVES: Final[dict[str, Effect]] = {"OPTIN": "permit", "OPTOUT": "deny", "OPTOUTE": "deny", "EMRGONLY": "deny"}
"""v3-ActConsentDirective: what a code of ``policyRule`` makes the base; an opt-out with exceptions, and one but for
emergencies, are opt-outs."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Whom a rule names.

    Attributes:
        literal: ``Organization/x``, or '' when the Consent gives only identifiers or a contained resource.
        tokens: The literal and the identifiers that stand in the Consent itself.
        kind: Type of who it is; '' when the Consent gives an identifier and does not say whose.
    """

    literal: str
    tokens: frozenset[str]
    kind: str
    role: Role

    @property
    def team(self) -> bool:
        """Whether it stands for its members."""
        return self.kind in TEAMS


@dataclass(frozen=True, slots=True)
class SecurityLabels:
    """The one dimension ``securityLabel``: sensitivity bits, lowest and highest confidentiality listed."""

    listed: int
    lowest: int | None
    highest: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One provision with its effective dimensions; a dimension that nobody stated is None.

    Attributes:
        path: ``provision.provision[0]``.
        above: Paths of the provisions that enclose it.
        nested: Whether it is an exception within its Consent (a nested deny outlives its Consent).
        periods: Periods in which it holds, as in the JSON, apart from the Consent's own.
        criteria: What it asks of content: codes, data, dates, classes other than types; None: nothing.
        from_root: Whether it begins no sooner than the Consent does.
        broken: Whether an effective dimension is not understood or not implemented.
    """

    path: str
    above: tuple[str, ...]
    effect: Effect
    nested: bool
    actors: tuple[Actor, ...] | None
    purposes: frozenset[str] | None
    actions: frozenset[str] | None
    types: frozenset[str] | None
    labels: SecurityLabels | None
    criteria: Criteria | None
    periods: tuple[Json, ...]
    from_root: bool
    broken: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """A Consent as rules, and what of it is not understood; no problem: it is enforceable."""

    rules: tuple[Rule, ...]
    problems: tuple[str, ...]


class _Broken:
    """A dimension that is there and cannot be judged."""


BROKEN: Final = _Broken()


def read(consent: Json, zone: str = ZONE) -> Reading:
    """Flatten a Consent. Order of siblings makes no difference to what the rules say.

    Args:
        consent: The Consent.
        zone: Of its partial dates, where it does not say.
    """
    return _Reader(consent, zone).run()


def actor_tokens(consent: Json) -> frozenset[str]:
    """The tokens of everybody whom a permit of this Consent names; ``*`` when a permit names no recipient.

    A superset, for finding candidates by index: whether the Consent counts is decided elsewhere. A Consent that is
    not about privacy (an opt-in to treatment) names nobody: its permits never count.
    """
    found: set[str] = set()
    scope = consent.get("scope")
    codings = objects(scope.get("coding")) if isinstance(scope, dict) else None
    if not any(coding.get("code") == "patient-privacy" for coding in codings or []):
        return frozenset()
    for rule in read(consent).rules:
        if rule.effect == "permit":
            recipients = [actor for actor in rule.actors or () if actor.role != "discloser"]
            found |= {token for actor in recipients for token in actor.tokens} if recipients else {"*"}
    return frozenset(found)


def identified(reading: Reading) -> frozenset[str]:
    """Identifiers (``system|value``) of those whom a Consent names by nothing else."""
    actors = (actor for rule in reading.rules for actor in rule.actors or () if not actor.literal)
    return frozenset(token for actor in actors for token in actor.tokens)


class _Reader:
    """Reads one Consent; lives for one call."""

    def __init__(self, consent: Json, zone: str) -> None:
        self.consent = consent
        self.zone = zone_of(consent, zone)
        self.modified = _has_modifier(consent)  # almost never; then every dimension is searched
        self.problems: list[str] = []
        self.rules: list[Rule] = []
        contained = consent.get("contained")
        self.contained = {
            f"#{inner.get('id')}": inner for inner in (contained if isinstance(contained, list) else [])
            if isinstance(inner, dict)
        }  # fmt: skip

    def run(self) -> Reading:
        unknown = [name for name in self.consent if name.removeprefix("_") not in _CONSENT | _EVERYWHERE]
        self.problems += [f"unknown element {name}" for name in unknown]
        self.problems += ["implicitRules"] * ("implicitRules" in self.consent)
        root = self.consent.get("provision", {})
        if self.modified and _has_modifier(
            {name: value for name, value in self.consent.items() if name not in {"provision", "contained"}}
        ):
            self.problems.append("modifierExtension")
        if not isinstance(root, dict):
            self.problems.append("provision is not an object")
            self._add({}, "provision", (), "deny", nested=False, from_root=False)
            return Reading(tuple(self.rules), tuple(self.problems))
        stated = self._dimensions(root, "provision")
        base = self._base(root)
        if base == "conflict":
            self.problems.append("provision.type contradicts policyRule")
            self._add({}, "provision", (), "deny", nested=False, from_root=False)
        elif base is not None:
            self._add(stated, "provision", (), base, nested=False, from_root=False)
        below = {name: value for name, value in stated.items() if name != "period"}
        self._children(root, "provision", (), below, 1)
        return Reading(tuple(self.rules), tuple(dict.fromkeys(self.problems)))

    def _base(self, root: Json) -> Effect | Literal["conflict"] | None:
        """Root ``type``, else OPTIN or OPTOUT of ``policyRule``, else none: the root is then only a scope.

        Such a code of a code system that is not known opts in nobody, and does opt out.
        """
        rule = self.consent.get("policyRule")
        codings = objects(rule.get("coding")) if isinstance(rule, dict) else []
        opts = set()
        for coding in codings or []:
            effect = _DIRECTIVES.get(str(coding.get("code")).strip().upper())
            known = vocabulary.canonical_system(coding.get("system")) == vocabulary.ACT_CODE
            if effect and not known:
                self.problems.append("policyRule")
            opts |= {effect} if effect == "deny" or known else set()
        opts.discard(None)
        stated = root.get("type")
        if stated is not None and stated not in ("permit", "deny"):
            return "conflict"
        said = opts | ({stated} if stated else set())
        if len(said) > 1:
            return "conflict"
        return next((effect for effect in ("permit", "deny") if effect in said), None)

    def _children(
        self, parent: Json, path: str, above: tuple[str, ...], inherited: dict[str, Any], depth: int
    ) -> None:
        if "provision" not in parent:
            return
        children = objects(parent["provision"])
        if children is None or depth > MAX_DEPTH:
            self.problems.append(f"{path}.provision cannot be read")
            self._add({}, f"{path}.provision", (*above, path), "deny", nested=True, from_root=False)
            return
        for index, child in enumerate(children):
            self._child(child, f"{path}.provision[{index}]", (*above, path), inherited, depth)

    def _child(self, child: Json, path: str, above: tuple[str, ...], inherited: dict[str, Any], depth: int) -> None:
        stated = self._dimensions(child, path)
        effect = child.get("type")
        if effect not in ("permit", "deny"):
            self.problems.append(f"{path}.type")
            effect = "deny"
        # A nested deny which names an actor stands alone: "never Dr Bob" is not limited to the parent's purpose.
        alone = effect == "deny" and "actor" in stated
        effective = stated if alone else {**inherited, **stated}
        self._add(effective, path, above, effect, nested=True, from_root=not alone)
        self._children(child, path, above, effective, depth + 1)

    def _add(
        self,
        effective: dict[str, Any],
        path: str,
        above: tuple[str, ...],
        effect: Any,
        *,
        nested: bool,
        from_root: bool,
    ) -> None:
        known = {name: value for name, value in effective.items() if value is not BROKEN}
        self.rules.append(
            Rule(
                path=path,
                above=above,
                effect=effect,
                nested=nested,
                actors=known.get("actor"),
                purposes=known.get("purpose"),
                actions=known.get("action"),
                types=_types(known.get("class")),
                labels=known.get("securityLabel"),
                criteria=self._criteria(known),
                periods=(known["period"],) if "period" in known and nested else (),
                from_root=from_root,
                broken=len(known) < len(effective),
            )
        )

    def _criteria(self, known: dict[str, Any]) -> Criteria | None:
        classes = known.get("class")
        asked = Criteria(
            codes=known.get("code"),
            classes=None if classes is None or criteria.only_types(classes) else classes,
            data=known.get("data"),
            period=known.get("dataPeriod"),
            zone=self.zone,
        )
        stated = (asked.codes, asked.classes, asked.data, asked.period)
        return None if stated == (None, None, None, None) else asked

    def _dimensions(self, provision: Json, path: str) -> dict[str, Any]:
        """The dimensions that a provision states, each read or BROKEN; an empty list states nothing."""
        stated: dict[str, Any] = {}
        for name, value in provision.items():
            if name in {"type", "provision"} or value in ([], {}):
                continue
            element = name.removeprefix("_")
            parse = _PARSE.get(element)
            if name == "modifierExtension" or (element not in _PROVISION | _EVERYWHERE):
                stated[name] = BROKEN
            elif name == "period":
                stated[name] = value if isinstance(value, dict) else BROKEN
            elif name == "actor":
                stated[name] = self._actors(value)
            elif name == "dataPeriod":
                stated[name] = criteria.read_period(value, self.zone) or BROKEN
            elif parse is not None and name == element:
                read_ = None if self.modified and _has_modifier(value) else parse(value)
                stated[name] = BROKEN if read_ is None else read_
            if stated.get(name) is BROKEN:
                self.problems.append(f"{path}.{name}")
        return stated

    def _actors(self, value: object) -> tuple[Actor, ...] | _Broken:
        entries = objects(value)
        if entries is None or (self.modified and _has_modifier(value)):
            return BROKEN
        actors = [self._actor(entry) for entry in entries]
        return BROKEN if None in actors else tuple(actor for actor in actors if actor is not None)

    def _actor(self, entry: Json) -> Actor | None:
        reference = entry.get("reference")
        if not isinstance(reference, dict) or entry.keys() - {"id", "extension", "role", "reference"}:
            return None
        literal, kind = bare(reference.get("reference")), reference_type(reference)
        holders = [{"identifier": [reference.get("identifier")]}]
        if literal.startswith("#"):
            inner = self.contained.get(literal, {})
            if _has_modifier(inner):
                return None
            literal, kind, holders = "", str(inner.get("resourceType", "")), [*holders, inner]
        tokens = frozenset(token for holder in holders for token in identifier_tokens(holder))
        if not (literal or tokens):
            return None
        return Actor(literal, tokens | ({literal} if literal else set()), kind, _role(entry.get("role")))


def _role(concept: object) -> Role:
    codings = objects(concept.get("coding")) if isinstance(concept, dict) else None
    found = {str(coding.get("code")) for coding in codings or []}
    if found & vocabulary.RECIPIENT_ROLES:
        return "recipient"
    return "discloser" if found & vocabulary.DISCLOSER_ROLES else "unknown"


def _has_modifier(value: object) -> bool:
    """Whether a modifierExtension stands anywhere inside: we know none."""
    if isinstance(value, dict):
        return "modifierExtension" in value or any(map(_has_modifier, value.values()))
    return isinstance(value, list) and any(map(_has_modifier, value))


def _codes(value: object, system: str, known: Callable[[str], bool]) -> frozenset[str] | None:
    codings = objects(value)
    if not codings:
        return None
    found = [
        coding.get("code") for coding in codings if vocabulary.canonical_system(coding.get("system")) == system
    ]
    readable = len(found) == len(codings) and all(isinstance(code, str) and known(code) for code in found)
    return frozenset(map(str, found)) if readable else None


def _purposes(value: object) -> frozenset[str] | None:
    return _codes(value, vocabulary.ACT_REASON, vocabulary.is_purpose)


def _types(classes: frozenset[tuple[str, str]] | None) -> frozenset[str] | None:
    """The types of a dimension that lists nothing else: the index knows them."""
    if classes is None or not criteria.only_types(classes):
        return None
    return frozenset(code for _, code in classes)


def _actions(value: object) -> frozenset[str] | None:
    concepts = objects(value)
    codings = [objects(concept.get("coding")) for concept in concepts or []]
    if not codings or None in codings:
        return None
    return _codes(
        [coding for inner in codings for coding in inner or [{}]], vocabulary.CONSENT_ACTION, ACTIONS.__contains__
    )


def _security_labels(value: object) -> SecurityLabels | None:
    codings = objects(value)
    if not codings:
        return None
    listed, levels = 0, []
    for coding in codings:
        said = vocabulary.security_label(coding.get("system"), coding.get("code"))
        if said is None:
            return None
        listed |= said[0]
        levels += [] if said[1] is None else [said[1]]
    return SecurityLabels(listed, min(levels, default=None), max(levels, default=None))


_PARSE: Final[dict[str, Callable[[object], object]]] = {
    "purpose": _purposes,
    "class": criteria.read_classes,
    "code": criteria.read_codes,
    "data": criteria.read_data,
    "action": _actions,
    "securityLabel": _security_labels,
}
