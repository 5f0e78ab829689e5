"""Which PAW data set an element gets for bond strengths.

The outer p shell of the core takes part in the projection: without Zr 4s4p or Cu 3s3p the
orthogonalised orbitals of the neighbours change their shape, and -ICOHP falls to about half
(docs/icohp.md). Where gpaw-data freezes that shell, GPAW's own generator makes a set with it, in
seconds, from the parameters that GPAW ships; it is kept in the user's data folder.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers

from bondwright.dft.gpaw_parameters import gpaw_version
from bondwright.errors import InputError
from bondwright.structure.datasets import user_data_folder
from bondwright.structure.write import write_text

# Element -> electrons of the generated set. Cr to Cu: 3s3p become valence; Ga and Ge: 3d.
GENERATED = {"Cr": 14, "Fe": 16, "Co": 17, "Cu": 19, "Ga": 13, "Ge": 14}


def setup_name(element: str) -> str:
    """Return GPAW's name of the set an element gets: "19" for Cu, "paw" for gpaw-data's own."""
    return str(GENERATED[element]) if element in GENERATED else "paw"


def generated_folder() -> Path:
    """Return the folder of the generated sets; one per version of GPAW."""
    return user_data_folder() / "paw" / f"gpaw-{gpaw_version()}"


@contextmanager
def search_path(*folders: Path) -> Iterator[None]:
    """Let GPAW find data sets and bases in these folders as well, while inside."""
    from gpaw import setup_paths

    before = list(setup_paths)
    setup_paths[:0] = list(folders)
    try:
        yield
    finally:
        setup_paths[:] = before


def ensure_data(element: str) -> None:
    """Generate an element's set when it needs one that is not there yet.

    Raises:
        InputError: gpaw-data has nothing for this element.
    """
    from gpaw.setup_data import search_for_file

    if element not in GENERATED:
        try:
            search_for_file(f"{element}.PBE")
        except (FileNotFoundError, RuntimeError):
            raise InputError(
                f"there is no PAW data set for {element} in gpaw-data; -ICOHP cannot be computed "
                "for structures that hold it."
            ) from None
        return
    target = generated_folder() / f"{element}.{GENERATED[element]}.PBE"
    if not target.is_file():
        _generate(element, GENERATED[element], target)


def read_data(element: str) -> Any:
    """Return GPAW's `SetupData` of the set an element gets (call `ensure_data` before)."""
    from gpaw.setup_data import SetupData

    with search_path(generated_folder()):
        if element not in GENERATED:
            return SetupData(element, "PBE")
        data = SetupData(element, "PBE", setup_name(element))
    data.setupname = "PBE"  # the functional, which GPAW reads off this name
    return data


def _generate(element: str, electrons: int, target: Path) -> None:
    """Write a PAW set with GPAW's generator; complete or not at all."""
    from gpaw.atom.generator2 import generate, parameters

    projectors, radii, *extra = parameters[f"{element}{electrons}"]
    radii = radii if isinstance(radii, list) else [radii]
    made = generate(
        element,
        atomic_numbers[element],
        projectors,
        radii,
        r0=(extra[0] if extra else {}).get("r0", min(radii) * 0.9),
        v0=None,
        nderiv0=5,
        xc="PBE",
    )
    data = made.make_paw_setup(str(electrons))
    data.generatordata = f"GPAW's own parameters for {element}{electrons}"
    text = io.StringIO()
    data._write_xml(text)
    write_text(target, text.getvalue())
