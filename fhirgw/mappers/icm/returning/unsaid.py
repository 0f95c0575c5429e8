"""What a resource says that is not found in what the case says."""

from collections.abc import Iterator
from datetime import datetime
from itertools import zip_longest

from fhirgw.errors import GatewayError, InvalidElement
from fhirgw.mappers.icm.returning.reading import is_cleared
from fhirgw.mappers.icm.shape import Json
from fhirgw.programs import Program

_TEXT = "The case has no words for this."
_CLEARED = (
    "Whether a person has classified the text is said by the tag 'cleared' in meta, and here by nothing else."
)
_LABEL = "The case has no place for this label; it labels what it says by itself."


def unsaid(written: Json, made: Json, program: Program) -> Iterator[GatewayError]:
    """Each element of a resource that the case does not say, with its FHIRPath expression.

    What the case says beside is nothing lost. A display repeats what its code or reference says, a generated
    narrative what the resource says; ids and versions are the gateway's.

    Args:
        written: The resource, without what was taken in other words.
        made: What the case says in its place.
        program: For its time zone.
    """
    kind = written["resourceType"]
    for path in _lost(kind, _body(written), _body(made), program):
        yield InvalidElement(_TEXT, location=path)
    if is_cleared(written) != is_cleared(made):
        yield InvalidElement(_CLEARED, location=f"{kind}.meta.tag")
    if _labels(written) - _labels(made):
        yield InvalidElement(_LABEL, location=f"{kind}.meta.security")


def _body(resource: Json) -> Json:
    aside = {"resourceType", "id", "meta"}
    if resource.get("text", {}).get("status") == "generated":
        aside = aside | {"text"}
    return {name: value for name, value in resource.items() if name not in aside}


def _labels(resource: Json) -> set[tuple[str | None, str | None]]:
    return {(one.get("system"), one.get("code")) for one in resource.get("meta", {}).get("security", ())}


def _lost(path: str, written: object, made: object, program: Program) -> Iterator[str]:
    if isinstance(written, dict) and isinstance(made, dict):
        for name, value in written.items():
            if name != "display":
                yield from _lost(f"{path}.{name}", value, made.get(name), program)
    elif isinstance(written, list) and isinstance(made, list):
        yield from _in_lists(path, written, made, program)
    elif written != made and not _same_time(written, made, program):
        yield path


def _in_lists(path: str, written: list[object], made: list[object], program: Program) -> Iterator[str]:
    """Members are paired by their content, then by their order; a list that is stated is stated whole."""
    here = [(number, one) for number, one in enumerate(written) if one not in made]
    there = [one for one in made if one not in written]
    for mine, other in zip_longest(here, there):
        if mine is None:
            yield path
        elif other is None:
            yield f"{path}[{mine[0]}]"
        else:
            yield from _lost(f"{path}[{mine[0]}]", mine[1], other, program)


def _same_time(written: object, made: object, program: Program) -> bool:
    """Whether both are one instant, or an instant and its day."""
    if not (isinstance(written, str) and isinstance(made, str)):
        return False
    try:
        at = datetime.fromisoformat(written)
        if "T" in made:
            return at == datetime.fromisoformat(made)
        return "T" in written and program.day(at).isoformat() == made
    except (TypeError, ValueError):  # no times, or one of them without an offset
        return False
