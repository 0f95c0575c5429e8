"""Who may be whom: traits of a Patient, keys that find who is like it, and how probable it is that two are one.

Pure: the store gives the candidates, ``ingest`` and ``share`` ask. Nothing here decides; a person does
(docs/matching.md).
"""

from fhirgw.matching.compare import levels
from fhirgw.matching.keys import keys, sought
from fhirgw.matching.model import Grade, Model, Rated, load
from fhirgw.matching.traits import Traits, traits

__all__ = ["Grade", "Model", "Rated", "Traits", "keys", "levels", "load", "sought", "traits"]
