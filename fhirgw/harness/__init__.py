"""The harness: whether a FHIR R4 server accepts, keeps, finds and gives back what the gateway emits.

It never opens the local store. Everything it sends is invented, tagged, and removed at the end.
"""

from fhirgw.harness.report import Report
from fhirgw.harness.running import Options, clean, run
from fhirgw.harness.written import Written

__all__ = ["Options", "Report", "Written", "clean", "run"]
