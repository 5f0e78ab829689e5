"""Units of Quantum ESPRESSO, with the constants that pw.x itself uses (CODATA 2018)."""

RYDBERG_EV = 13.605693122994
"""1 Ry in eV."""
BOHR_A = 0.529177210903
"""1 bohr in Å."""
RY_PER_BOHR_TO_EV_PER_A = RYDBERG_EV / BOHR_A
"""1 Ry/bohr in eV/Å."""
RY_PER_BOHR3_TO_GPA = RYDBERG_EV / BOHR_A**3 * 160.2176634
"""1 Ry/bohr^3 in GPa."""
