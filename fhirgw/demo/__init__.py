"""Synthetic people, partners and the printed tour."""
