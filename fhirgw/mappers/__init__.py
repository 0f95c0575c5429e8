"""HL7 v2 and ICM to FHIR R4: pure functions."""
