"""What visits do for the people of a programme: plans are revised, candidates referred, the dead left in peace.

The rules are the programmes' (``fhirgw.programs.triggers``). What they raise is a function of what is known of the
person's visits, so that messages in any order, repetition and replay give the same work, and so that a cancel, a
correction or a visit moved to somebody else undoes what it caused. See: ``docs/decisions/0110`` to ``0113``.
"""

from fhirgw.referral.raising import is_raised
from fhirgw.referral.settling import Referrals

__all__ = ["Referrals", "is_raised"]
