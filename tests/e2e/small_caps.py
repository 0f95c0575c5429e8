"""Settings of a gateway whose caps are soon reached."""

CAP = 20_000
SETTINGS = {"FHIRGW_MAX_MESSAGE_BYTES": str(CAP), "FHIRGW_IDLE_TIMEOUT_SECONDS": "2"}
