"""The privacy officer's page about a member: what ``consent.explain`` says, in plain words, as HTML or text.

One HTML file that needs nothing else: no script, no font, no image; its own policy forbids them.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType

from fhirgw.consent import vocabulary
from fhirgw.consent.explain import Decided, Explanation
from fhirgw.document.pages import template
from fhirgw.document.wording import words_of

WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    tomllib.loads(files(__package__).joinpath("officer.toml").read_text("utf-8"))
)
"""Codes in plain words, by kind of code."""

_OF_LABELS = frozenset({"psychotherapy-notes-need-own-consent", "no-permit", "denied"})
"""Reasons that what nobody has reviewed is denied for, since it counts as all categories."""
_UNREVIEWED = frozenset(vocabulary.names(vocabulary.RESTRICTED))
_CODE = re.compile(r"\b[A-Z]+\b")
_REFERENCE = re.compile(r"\b[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}")


def html(explanation: Explanation, member: str, names: Mapping[str, str]) -> bytes:
    """The page.

    Args:
        explanation: What is said.
        member: What the member is called.
        names: What else is called how, by reference.
    """
    return _printed("officer.html.jinja", explanation, member, names).encode()


def text(explanation: Explanation, member: str, names: Mapping[str, str]) -> str:
    """The same for a terminal."""
    return _printed("officer.txt.jinja", explanation, member, names)


def _printed(page: str, explanation: Explanation, member: str, names: Mapping[str, str]) -> str:
    def called(said: str) -> str:
        return _REFERENCE.sub(lambda found: _called(found[0], names), said)

    return template(page).render(
        of=explanation,
        member=member,
        words=WORDS,
        number={consent.id: position for position, consent in enumerate(explanation.consents, 1)},
        legend=legend(_said(explanation)),
        called=called,
        counted=counted,
        carries=carries,
        why=why,
        total=lambda view: sum(len(one.resources) for one in view.decided),
    )


def _said(explanation: Explanation) -> Iterator[str]:
    """Whatever the page says that may hold codes."""
    for view in explanation.views:
        yield view.purpose
        for one in view.decided:
            yield from (one.confidentiality, *one.labels, *one.left_out)
    for consent in explanation.consents:
        yield from (*consent.permits, *consent.denies)
        yield from (change.purpose for change in (*consent.if_revoked, *consent.if_signed))


def legend(texts: Iterable[str]) -> list[tuple[str, str]]:
    """The codes that texts use, in words."""
    used = {code for text in texts for code in _CODE.findall(text)}
    codes = {**WORDS["codes"], **words_of("en")["purposes"]}
    return [(code, said) for code, said in codes.items() if code in used]


def _called(reference: str, names: Mapping[str, str]) -> str:
    return f"{names[reference]} ({reference})" if reference in names else reference


def why(decided: Decided) -> str:
    """The reason of a decision; of a required-by-law one, with its agreement."""
    code, _, agreement = decided.reason.partition(",")
    if set(decided.labels) >= _UNREVIEWED and decided.effect == "DENY" and code in _OF_LABELS:
        return WORDS["unreviewed"]["why"]
    said = WORDS["reasons"][code]
    return f"{said}: {agreement}" if agreement else said


def carries(codes: Sequence[str]) -> str:
    """Categories; what nobody classified is treated as all of them, and said so."""
    if "UNREADABLE" in codes:
        return "could not be read"
    return "not reviewed: may be anything" if set(codes) >= _UNREVIEWED else ", ".join(codes)


def counted(references: Sequence[str]) -> str:
    """``2 Condition, 1 Goal``."""
    kinds = Counter(reference.partition("/")[0] for reference in references)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) or "nothing"
