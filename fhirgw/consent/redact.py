"""The released form of a resource: what is not visible is gone, and nothing marks where (specification §2.8).

Law: redaction is a fixpoint, and leaves no marker. Narrative is removed (it would have to be written anew).
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from fhirgw.consent.decide import element_visible
from fhirgw.consent.elements import lacks_mandatory
from fhirgw.consent.labels import Labels
from fhirgw.consent.minimum import is_kept
from fhirgw.consent.model import Json, Profile
from fhirgw.consent.predicate import Facts, Predicate, holds
from fhirgw.consent.units import INLINE, Path

_TOUCHED: Final = ('"contained"', '"reference":"#', INLINE, "[]", "{}", "[null")
"""What redaction takes away though nothing is hidden, as it is written in JSON without blanks."""


def redact(
    resource: Json,
    labels: Labels,
    predicate: Predicate,
    profile: Profile | None = None,
    *,
    text: bytes | None = None,
) -> Json | None:
    """The resource as this predicate shows it, and the profile narrows it; None: it is withheld as a whole.

    Withheld: the resource itself is not visible, or what remains lacks a mandatory element. All of ``meta`` goes:
    the visible version and time are the caller's to add.

    Args:
        resource: As stored; it is not changed, but may share its elements with what is returned.
        labels: Its own.
        predicate: What may be seen of its patient.
        profile: What is narrowed to the minimum necessary; None: nothing is.
        text: The JSON that orjson wrote of it, where it is at hand: it tells at a glance whether anything is taken.
    """
    kind = str(resource.get("resourceType", ""))
    if not holds(predicate, Facts(kind, labels.labels, labels.conf)):
        return None
    hidden = hidden_paths(kind, labels, predicate)
    before = {name: value for name, value in resource.items() if name not in {"meta", "text"}}
    if not hidden and profile is None and text is not None and _is_untouched(text):
        return before
    released = _without(before, hidden)
    if profile is not None:
        released = {name: value for name, value in released.items() if is_kept(profile, kind, name)}
    released = _close_contained(_scrub(released))
    released = {name: value for name, value in released.items() if not _is_empty(value)}
    return None if lacks_mandatory(before, released) else released


def _is_untouched(text: bytes) -> bool:
    """Whether nothing but meta and narrative would go. A text that only looks otherwise is redacted to the same."""
    said = text.decode()  # in bytes, Python takes five times as long to look for something
    for mark in _TOUCHED:
        if mark in said:
            return False
    return said.count('"resourceType"') == 1


def hidden_paths(kind: str, labels: Labels, predicate: Predicate) -> set[Path]:
    """Paths of the elements of a visible resource of this type that are not visible."""
    facts = Facts(kind, labels.labels, labels.conf)
    seen: dict[tuple[int, int, str | None], bool] = {}  # most elements are labelled alike
    hidden = set()
    for element in labels.elements:
        alike = element.labels, element.conf, element.target
        if alike not in seen:
            seen[alike] = element_visible(predicate.holds, facts, element)
        if not seen[alike]:
            hidden.add(element.path)
    return hidden


def _without(resource: Json, paths: Iterable[Path]) -> Json:
    """A copy without these elements; a list and its ``_list`` of extensions are re-packed together."""
    copy: Json = _copy(resource)
    # From the end of every list to its start, so that the positions still to come stay true.
    for path in sorted(paths, key=_order, reverse=True):
        _remove(copy, path)
        if isinstance(path[0], str) and len(path) <= 2 and not path[0].startswith("_"):
            _remove(copy, (f"_{path[0]}", *path[1:]))
    return copy


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(inner) for name, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _order(path: Path) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in path]


def _remove(resource: Json, path: Path) -> None:
    holder: Any = resource
    try:
        for part in path[:-1]:
            holder = holder[part]
        del holder[path[-1]]
    except (KeyError, IndexError, TypeError):
        return  # gone with something that enclosed it


def _scrub(value: Any) -> Any:
    """Without inline security labels, and without what of contained resources is narrative or meta."""
    if isinstance(value, list):
        return [_scrub(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    nested = "resourceType" in value
    scrubbed = {}
    for name, inner in value.items():
        if nested and name in {"meta", "text"}:
            continue
        kept = inner
        if name == "extension" and isinstance(inner, list):
            kept = [each for each in inner if not (isinstance(each, dict) and each.get("url") == INLINE)]
            if not kept:
                continue
        scrubbed[name] = _scrub(kept)
    return scrubbed


def _close_contained(resource: Json) -> Json:
    """Drop what refers to a contained resource that is gone, and contained resources that nothing refers to.

    Repeated until nothing changes: contained resources may refer to each other.
    """
    while True:
        contained = resource.get("contained", [])
        there = {f"#{inner.get('id')}" for inner in contained} | {"#"}
        dangling = {path for path, unit in _units(resource) if set(_fragments(unit)) - there}
        asked = {
            fragment for name, value in resource.items() if name != "contained" for fragment in _fragments(value)
        }
        for inner in contained:
            asked |= set(_fragments(inner)) - {f"#{inner.get('id')}"}
        orphans = {
            ("contained", index)
            for index, inner in enumerate(contained)
            if f"#{inner.get('id')}" not in asked and "#" not in _fragments(inner)
        }
        if not dangling | orphans:
            return resource
        resource = _without(resource, dangling | orphans)


def _units(resource: Json) -> Iterator[tuple[Path, Any]]:
    for name, value in resource.items():
        if isinstance(value, list):
            yield from (((name, index), inner) for index, inner in enumerate(value))
        else:
            yield (name,), value


def _fragments(value: Any) -> list[str]:
    """The ``#x`` references inside."""
    if isinstance(value, list):
        return [fragment for inner in value for fragment in _fragments(inner)]
    if not isinstance(value, dict):
        return []
    own = value.get("reference")
    found = [own] if isinstance(own, str) and own.startswith("#") else []
    return found + [fragment for inner in value.values() for fragment in _fragments(inner)]


def _is_empty(value: Any) -> bool:
    return value in ([], {}) or (isinstance(value, list) and all(inner is None for inner in value))
