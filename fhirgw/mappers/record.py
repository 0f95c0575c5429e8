"""What one sender's messages say of a person apart from any visit: relatives, cover, allergies."""

from collections.abc import Sequence

from fhirgw.mappers.datatypes import Json
from fhirgw.mappers.event import AdtEvent


def fold_record(events: Sequence[AdtEvent], patient_id: str, id_key: bytes) -> list[Json]:
    """Patient-level resources of one sender's events, no reference before what it refers to.

    Args:
        events: Events of one person from one sender, in any order, any number of times.
        patient_id: Logical id of the Patient.
        id_key: Key of the logical ids.
    """
    del events, patient_id, id_key
    return []
