"""Structures: reading and writing, neighbours, symmetry, identity."""
