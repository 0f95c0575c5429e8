"""The FHIR REST and SMART edges: thin."""

from fhirgw.api.factory import EXITS, create_api

__all__ = ["EXITS", "create_api"]
