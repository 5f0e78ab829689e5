"""A project folder with a `glass.toml` that explains itself."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bondwright.campaign.config_text import toml_value
from bondwright.campaign.glass.config import parse_config
from bondwright.campaign.glass.folder import CONFIG_NAME
from bondwright.errors import InputError
from bondwright.structure.write import write_text

_TEXT = """\
# A glass project. `bondwright glass run` does what is missing and can be repeated or stopped at
# any time. Paths are relative to this file; # starts a comment.

name = {name}
# description = "a sentence about it"
seed = {seed}                     # of every random number

# Melt-quenched cells that get labels. Compositions in atomic per cent.
compositions = {compositions}
atoms = 100                   # per cell; DFT costs grow steeply with it
cells = 2                     # independent melt-quenches per composition
rate = "standard"             # cooling rate: quick 1e13, standard 1e12, slow 1e11 K/s, or a number
variants = ["0"]              # "0" is the cell itself, "1" to "14" its published strains
{potential}

# How cells are labelled with bond strengths (-ICOHP).
[label]
method = "gpaw"               # "lobster": only files read with `bondwright glass import`
orbitals = "hartree-fock"     # like LOBSTER's Bunge basis; "pbe" is like pbeVaspFit2015
max_length_A = 4.5            # longest bond with a label
# max_charge_spilling = 0.05  # a label that lost a larger share of the charge is refused
# kpoint_spacing_per_A = 0.35
# scf_kpoint_spacing_per_A = 0.55
# grid_spacing_A = 0.22
# density_tolerance_per_electron = 5e-4   # 2e-3 takes a sixth less time and moves bonds by 1 meV

# The bond model; its settings are explained in docs/bond-model.md.
[model]

# What the trained model is used on.
[predict]
atoms = 4000                  # a large glass of the first composition; 0 for none
# composition = "Cu50Zr50"
# files = ["my-glass.extxyz"]

# Active learning: `bondwright glass improve --budget 10cells`.
[improve]
# cells_per_round = 2
# deformations = 4            # drawn deformations of each run that are candidates
# new_runs = 1                # new melt-quenches per composition that a round may make
# rmse_eV = 0.06              # the loop ends when each pair of elements is predicted as well
# test = ["Cu50Zr50/2"]       # cells that are never trained on: all rounds are judged on them

[run]
# workers = 0                 # 0: one per core
# time_limit_s = 7200.0       # of one label
# memory_mb = 4096           # of one label; 100 atoms need 1.2 GB
"""


def default_config_text(
    name: str, compositions: Sequence[str], *, potential: str | None = None, seed: int = 0
) -> str:
    """Return the text of a glass.toml with every setting explained.

    Args:
        name: name of the project.
        compositions: nominal compositions.
        potential: file of the EAM potential, relative to the project; None for the built-in one.
        seed: seed of every random number.
    """
    said = f"potential = {toml_value(potential)}" if potential else '# potential = "ZrCuAl.eam"'
    return _TEXT.format(
        name=toml_value(name),
        seed=seed,
        compositions=toml_value(list(compositions)),
        potential=f"{said}  # EAM (setfl); without it the built-in one for Cu-Zr",
    )


def make_project(
    folder: Path, compositions: Sequence[str], *, potential: Path | None = None, seed: int = 0
) -> Path:
    """Make a project folder and its glass.toml.

    Returns:
        The glass.toml.

    Raises:
        InputError: there is one already, or what it would say is wrong.
    """
    path = folder / CONFIG_NAME
    if path.exists():
        raise InputError(f"{path} is there already; edit it, or choose another folder.")
    name = re.sub(r"[^\w.+-]+", "-", folder.resolve().name) or "glass"
    place = None
    if potential is not None:
        place = Path(os.path.relpath(potential.resolve(), folder.resolve())).as_posix()
    text = default_config_text(name, compositions, potential=place, seed=seed)
    parse_config(text, folder.resolve())
    write_text(path, text)
    return path
