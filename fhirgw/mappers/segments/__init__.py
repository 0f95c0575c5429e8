"""HL7 v2 segments to facts, one function a segment."""
