"""What holds for every test: laws are about values, never about time."""

from hypothesis import settings

settings.register_profile("fhirgw", deadline=None)
settings.load_profile("fhirgw")
