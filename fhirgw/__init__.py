"""fhirgw: a FHIR R4 gateway for Intensive Care Management."""

__version__ = "0.1.0"
