"""The FHIR REST and SMART edges: thin."""
