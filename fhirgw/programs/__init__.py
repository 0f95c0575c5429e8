"""The five programs as data."""
