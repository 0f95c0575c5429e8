"""What a profile of the minimum necessary leaves of the index (``consent.minimum``).

Redact, then match: a parameter over what is cut finds nothing, sorts nothing and leads nowhere. One over some of
what is kept and some of what is cut, and the time of the last change, which may be that of something cut, are
refused, whoever is asked about.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from fhirgw.consent.minimum import is_kept
from fhirgw.consent.model import Profile
from fhirgw.errors import NotSupported
from fhirgw.profiles.search import parameters


@lru_cache(maxsize=4096)
def _reads(kind: str, param: str) -> frozenset[str]:
    """The top-level elements that a search parameter reads."""
    return frozenset(re.findall(rf"\b{kind}\.(\w+)", parameters(kind)[param].expression))


def is_narrowed(profile: Profile | None, kind: str) -> bool:
    """Whether anything of the type is cut, or all of it."""
    return profile is not None and not (profile.has(kind) and profile.stems(kind) is None)


def is_cut(profile: Profile | None, kind: str, param: str) -> bool:
    """Whether a parameter reads anything that is cut."""
    if profile is None or not is_narrowed(profile, kind):
        return False
    return not all(is_kept(profile, kind, one) for one in _reads(kind, param) or {"?"})


@lru_cache(maxsize=1024)
def leading(profile: Profile, kind: str) -> frozenset[str]:
    """The reference parameters of a type by which what is left leads on to places and people.

    A reference that no parameter covers does not: the index does not say which element it is in.
    """
    links = (code for code, one in parameters(kind).items() if one.kind == "reference")
    return frozenset(code for code in links if not is_cut(profile, kind, code))


def require_whole(profile: Profile | None, kind: str, params: Iterable[str]) -> None:
    """Refuse what cannot be computed on what is left.

    Raises:
        NotSupported: A parameter is over kept and cut elements at once, or the time of the last change.
    """
    if profile is None or not is_narrowed(profile, kind):
        return
    for param in params:
        kept = set() if param.startswith("_") else {is_kept(profile, kind, one) for one in _reads(kind, param)}
        if param == "_lastUpdated" or len(kept) > 1:
            raise NotSupported("This parameter is over more than this client is given.", location=param)
