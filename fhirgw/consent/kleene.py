"""Three-valued truth: None is unknown. A permit fires on TRUE alone, a deny on anything but FALSE (§0.4)."""

from collections.abc import Iterable

Kleene = bool | None


def conjunction(parts: Iterable[Kleene]) -> Kleene:
    """Kleene AND: false if any is, else unknown if any is."""
    seen = list(parts)
    return False if False in seen else None if None in seen else True


def disjunction(parts: Iterable[Kleene]) -> Kleene:
    """Kleene OR: true if any is, else unknown if any is."""
    seen = list(parts)
    return True if True in seen else None if None in seen else False
