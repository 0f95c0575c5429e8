"""FHIR definitions as compiled tables, and validation against them."""
