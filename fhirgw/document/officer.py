"""The privacy officer's page about a member: what ``consent.explain`` says, in plain words, as HTML or text.

One HTML file that needs nothing else: no script, no font, no image; its own policy forbids them.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
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

_UNREVIEWED = frozenset(vocabulary.names(vocabulary.RESTRICTED))
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
        legend=_legend(explanation),
        called=called,
        counted=counted,
        carries=carries,
        why=why,
        total=lambda view: sum(len(one.resources) for one in view.decided),
    )


def _legend(explanation: Explanation) -> list[tuple[str, str]]:
    """The codes that the page uses, in words."""
    decided = [one for view in explanation.views for one in view.decided]
    listed = {code for one in decided for codes in (one.labels, one.left_out) for code in codes}
    used = {one.confidentiality for one in decided} | {view.purpose for view in explanation.views} | listed
    codes = {**WORDS["codes"], **words_of("en")["purposes"]}
    return [(code, said) for code, said in codes.items() if code in used]


def _called(reference: str, names: Mapping[str, str]) -> str:
    return f"{names[reference]} ({reference})" if reference in names else reference


def why(decided: Decided) -> str:
    """The reason of a decision; of a required-by-law one, with its agreement."""
    code, _, agreement = decided.reason.partition(",")
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
