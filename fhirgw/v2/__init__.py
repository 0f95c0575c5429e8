"""HL7 v2 at the edge: ER7 codec, MLLP framing, server and client, ACK."""
