"""Pseudopotentials generated with ld1.x, for those who have Quantum ESPRESSO and no potentials.

Norm-conserving PBE potentials after Troullier and Martins (Phys. Rev. B 43, 1993 (1991)), scalar
relativistic, d as the local part, with a non-linear core correction (Louie, Froyen and Cohen, Phys.
Rev. B 26, 1738 (1982)). They are made for sp elements whose d and semicore shells do no work in
bonds. They reproduce published PBE lattice constants within 0.5 %; a maintained library (SSSP,
PseudoDojo) is better, and covers every element.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ase.data import atomic_numbers

from bondwright.dft.espresso.pseudopotentials import Pseudopotential, read_pseudopotential
from bondwright.dft.espresso.run import find_program
from bondwright.dft.espresso.units import RYDBERG_EV
from bondwright.errors import InputError
from bondwright.structure.write import write_text

_LARGEST_ERROR_RY = 1e-3
_LEVEL = re.compile(r"^\s+\d+ \d+\s+\S+\s+\d\(.*\)\s+\S+\s+\S+\s+(-?\d+\.\d+)\s*$", re.MULTILINE)
_TIME_LIMIT_S = 300


@dataclass(frozen=True)
class Recipe:
    """How a pseudopotential is made.

    Attributes:
        core: noble gas of the core.
        shell: principal quantum number of the valence shell.
        s: electrons in s.
        p: electrons in p.
        radius: cut-off radii of s, p and d in bohr.
        core_radius: where the partial core begins, bohr.
        cutoff_eV: cut-off at which lattice constants have converged to 0.3 %.
    """

    core: str
    shell: int
    s: int
    p: int
    radius: tuple[float, float, float]
    core_radius: float
    cutoff_eV: float


RECIPES: Mapping[str, Recipe] = {
    "C": Recipe("He", 2, 2, 2, (1.3, 1.3, 1.3), 0.8, 800.0),
    "O": Recipe("He", 2, 2, 4, (1.25, 1.25, 1.25), 0.8, 1000.0),
    "Al": Recipe("Ne", 3, 2, 1, (1.9, 2.1, 2.1), 1.5, 250.0),
    "Si": Recipe("Ne", 3, 2, 2, (1.9, 1.9, 2.0), 1.3, 300.0),
}
"""Elements for which a potential can be made here."""


def generate_pseudopotential(
    element: str, folder: Path, *, program: str = "ld1.x"
) -> Pseudopotential:
    """Make a PBE pseudopotential with ld1.x and put it into a folder as `<element>.UPF`.

    Its header states the cut-off at which it is converged, which ld1.x leaves open for this kind.

    Args:
        element: one of `RECIPES`.
        folder: where the file goes.
        program: name or path of ld1.x.

    Returns:
        The potential.

    Raises:
        InputError: no recipe, no ld1.x, or the potential does not reproduce the atom's levels.
    """
    if element not in RECIPES:
        raise InputError(
            f"there is no recipe for {element}; {', '.join(RECIPES)} can be made here, others come "
            "from a library such as https://www.materialscloud.org/sssp."
        )
    found = find_program(program)
    recipe = RECIPES[element]
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "ld1.in").write_text(ld1_input(element), encoding="utf-8")
        try:
            done = subprocess.run(  # noqa: S603  (a list, never a shell)
                [str(found), "-in", "ld1.in"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd=work,
                timeout=_TIME_LIMIT_S,
                check=False,
                env={"OMP_NUM_THREADS": "1", **os.environ},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"{found}: did not finish ({error}); is it ld1.x?") from error
        made = Path(work) / f"{element}.UPF"
        errors = [abs(float(e)) for e in _LEVEL.findall(done.stdout.rpartition("De AE-PS (Ry)")[2])]
        if not made.is_file() or not errors or max(errors) > _LARGEST_ERROR_RY:
            raise InputError(
                f"{found}: made no usable potential for {element}; its last words: "
                f"{' '.join(done.stdout.split())[-200:]}"
            )
        text = made.read_text(encoding="utf-8")
    for name, value in (("wfc", recipe.cutoff_eV), ("rho", 4 * recipe.cutoff_eV)):
        text = re.sub(rf'{name}_cutoff="[^"]*"', f'{name}_cutoff="{value / RYDBERG_EV:.4f}"', text)
    path = folder / f"{element}.UPF"
    write_text(path, text)
    return read_pseudopotential(path)


def ld1_input(element: str) -> str:
    """Return the input of ld1.x for an element of `RECIPES`."""
    recipe = RECIPES[element]
    n = recipe.shell
    # A negative occupation marks a level that is not bound: a scattering state at a given energy.
    levels = [(f"{n}S", 1, 0, recipe.s, 0.0), (f"{n}P", 2, 1, recipe.p, 0.0), ("3D", 3, 2, -2, 0.1)]
    rows = [
        f"{name} {number} {momentum} {electrons:.2f} {energy:.2f} {radius:.2f} {radius:.2f}"
        for (name, number, momentum, electrons, energy), radius in zip(
            levels, recipe.radius, strict=True
        )
    ]
    return "\n".join(
        [
            "&input",
            f"  title = '{element}', zed = {atomic_numbers[element]}.0, rel = 1,",
            f"  config = '[{recipe.core}] {n}s{recipe.s} {n}p{recipe.p} 3d-2',",
            "  iswitch = 3, dft = 'PBE'",
            "/",
            "&inputp",
            f"  pseudotype = 1, tm = .true., lloc = 2, file_pseudopw = '{element}.UPF',",
            f"  nlcc = .true., new_core_ps = .true., rcore = {recipe.core_radius}",
            "/",
            str(len(rows)),
            *rows,
            "",
        ]
    )
