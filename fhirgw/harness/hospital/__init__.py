"""A synthetic hospital: days of its life, the messages it sends of them, and what has to be true afterwards.

What is expected comes from the hospital's own books of people, visits and beds (``census``), never from the
gateway's mappers or folds: the two are made from the same standard, and apart from each other.
"""

from fhirgw.harness.hospital.trial import Course, Plan, run

__all__ = ["Course", "Plan", "run"]
