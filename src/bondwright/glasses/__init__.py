"""Metallic glasses: melt-quench, strains, and the checks of a glass cell."""
