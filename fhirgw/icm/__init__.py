"""The ICM domain in the programmes' own words; no FHIR, no I/O."""
