"""What decides is written down here: whoever changes it has to say whether policies are told alike as before."""

import ast
import hashlib
from importlib import resources

from fhirgw.consent.pattern import VERSION

READ = (
    "applied", "authority", "codes", "compile", "criteria", "decide", "instants", "kleene", "legal",
    "marks", "matching", "minimum", "pattern", "rules", "standing", "vocabulary",
)  # fmt: skip
"""The modules by which a Consent comes to a predicate."""
WRITTEN = "1 619657a8d4e4fd6c"


def written(module):
    """The lines of a module without those for people."""
    text = (resources.files("fhirgw.consent") / f"{module}.py").read_text("utf-8")
    said = {line for node in ast.walk(ast.parse(text)) if _is_said(node) for line in _lines(node)}
    lines = (line.rstrip() for number, line in enumerate(text.splitlines(), 1) if number not in said)
    return [line for line in lines if line and not line.lstrip().startswith("#")]


def _is_said(node):
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant and isinstance(node.value.value, str)


def _lines(node):
    return range(node.lineno, node.end_lineno + 1)


def test_what_decides_has_not_changed_unless_somebody_said_what_that_means_for_patterns():
    """Law of docs/decisions/0315: equal patterns, equal predicates, also across two versions of this program.

    Where this fails: if a decision may now come to something else because of what ``pattern`` leaves out of a
    Consent, have it told there. If policies that were told alike may now differ, or are told in another way, raise
    ``pattern.VERSION``: every store then reads its policies anew (``store/relabelling.py``). Then, or if neither is
    so, write down here what is there now.
    """
    there = hashlib.sha256("\n".join(line for module in READ for line in written(module)).encode()).hexdigest()[:16]
    assert f"{VERSION} {there}" == WRITTEN
