"""The other side of ``bench/map.py``: PyPI's hl7v2-fhir-bridge, in an environment of its own.

It is used as its README and its command do: ``convert(parse_bytes(raw), config)``, then ``validate_bundle``, with
the configuration that the package ships. Run by ``bench/map.py`` alone; what it speaks is in ``rounds``.
"""

import rounds
from v2fhir.config import default_config_path, load_config
from v2fhir.convert import convert
from v2fhir.hl7.parser import Segment, parse_bytes
from v2fhir.validate import validate_bundle

CONFIG = load_config(default_config_path())


def bundle(raw: bytes) -> rounds.Json:
    """What a message becomes."""
    made: rounds.Json = convert(parse_bytes(raw, CONFIG.default_charset, CONFIG.fallback_charsets), CONFIG).bundle
    return made


def fields(raw: bytes) -> int:
    """How many fields that hold something it looks at; as if it made something of each."""
    asked, raw_of = set(), Segment.raw

    def watched(segment: Segment, number: int) -> str:
        found: str = raw_of(segment, number)
        if found:
            asked.add((segment.index, number))
        return found

    Segment.raw = watched
    try:
        bundle(raw)
    finally:
        Segment.raw = raw_of
    return len(asked)


if __name__ == "__main__":
    rounds.answer(bundle, validate_bundle, fields)
