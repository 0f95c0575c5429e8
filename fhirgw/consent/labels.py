"""Labels: what each resource, and each element of it, reveals.

Carried labels, and labels computed from every coded element, contained resource, inline label and reference;
computation only raises. See: the consent specification, §2.3, and docs/decisions/0040 to 0042.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fhirgw.consent import vocabulary
from fhirgw.consent.model import Json

TABLE_VERSION: Final[str] = vocabulary.VERSION
"""Version of all label tables (lambda): part of every decision and of every cache key."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class LabelContext:
    """What labelling must know beyond the resource.

    Attributes:
        target_labels: ``Goal/x`` to the (labels, conf) of that resource in the store, None when absent.
        source_labels: Bits that the source organization gives to all of its records (42 CFR Part 2).
        dv_protected: A DV safety list exists for the patient: where they live is safety data.
        text_cleared: Free text has been reviewed elsewhere; otherwise only the resource's own tag clears it.
    """

    target_labels: Callable[[str], tuple[int, int] | None]
    source_labels: int = 0
    dv_protected: bool = False
    text_cleared: bool = False


@dataclass(frozen=True, slots=True)
class ElementLabel:
    """An element that carries more than its resource, or that refers to another member resource.

    Attributes:
        path: Concrete path in the JSON: ``("goal", 0)``.
        target: Type of the resource referred to or contained; None when there is none, or when it is about
            no patient (a Practitioner is part of the Encounter that names them).
    """

    path: Path
    labels: int
    conf: int
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a resource, and of those of its elements that differ."""

    labels: int
    conf: int
    elements: tuple[ElementLabel, ...] = ()


def label(resource: Json, context: LabelContext) -> Labels:
    """Label a resource and its elements. Total: what cannot be read is labelled so that nothing releases it."""
    labels, conf = context.source_labels, vocabulary.NORMAL
    for coding in resource.get("meta", {}).get("security", []):
        said = vocabulary.security_label(coding.get("system"), coding.get("code"))
        if said is not None:
            labels, conf = labels | said[0], max(conf, said[1] or 0)
    return Labels(labels, max(conf, vocabulary.HIGH) if labels & vocabulary.RESTRICTED else conf)
