"""What goes with records under 42 CFR Part 2: the notice of 2.32, and what the release says they are released for.

The statement of the scope is for whom the records go to: of the permits that reach them it says what they permit,
never who else is named, what is denied, or which Consent it is (consent specification §5.1).
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from fhirgw.consent.applied import SUD
from fhirgw.consent.decide import Case
from fhirgw.consent.lint import scope_of
from fhirgw.consent.model import ConsentSettings
from fhirgw.consent.rules import Rule
from fhirgw.consent.vocabulary import covered_by

STATEMENT: Final = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."
"""Statement 2 of 42 CFR 2.32(a), verbatim. Only with such records: the notice itself reveals them."""
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


def scopes(case: Case, kinds: Collection[str]) -> tuple[str, ...]:
    """What the patient's releases say of Part 2 records of these types, a sentence for each permit (2.32(a)).

    Args:
        case: The request about the patient.
        kinds: Types of the resources that hold such records.
    """
    said = (_UNPRINTABLE.sub(" ", sentence).split() for sentence in _sentences(case, kinds))
    return tuple(dict.fromkeys(map(" ".join, said)))


def _sentences(case: Case, kinds: Collection[str]) -> Iterator[str]:
    for consent in case.consents:
        for rule in (ruling.rule for ruling in consent.rulings if not consent.standing.refusal):
            of_these = rule.types is None or not rule.types.isdisjoint(kinds)
            if rule.effect == "permit" and of_these and _reaches(rule, case.settings):
                yield scope_of(rule, consent.standing.when)


def _reaches(rule: Rule, settings: ConsentSettings) -> bool:
    """Whether a permit covers records of substance use at all."""
    listed = rule.labels.listed if rule.labels else 0
    explicit = settings.require_explicit_sensitive
    return bool(covered_by(listed, explicit=explicit) & SUD) if listed else not explicit
