"""How often a law is tried: by ``make check`` as often as is written beside it, by ``make test`` a quarter of that.

A law without a number is tried as often as the profile says (``conftest.py``; ``--hypothesis-profile=thorough``).
"""

from hypothesis import settings


def examples(thorough: int) -> int:
    """How many examples now, where ``thorough`` are enough."""
    return max(1, thorough * settings.default.max_examples // 100)
