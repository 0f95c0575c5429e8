"""The ICM domain in the programs' own words."""
