"""VASP, for those who hold a licence: input sets, POTCAR assembly, and reading results."""
