"""A potential with moods: effective medium theory that crashes or raises while a file is there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.emt import EMT


class Moody(EMT):
    """EMT, but for two compositions as long as `bad-mood` stands beside the model file."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.mood = Path(model).with_name("bad-mood")

    def calculate(self, atoms: Atoms | None = None, *arguments: Any) -> None:
        formula = "" if atoms is None else atoms.get_chemical_formula()
        if self.mood.exists() and formula == "Ag2Cu2":
            os._exit(3)
        if self.mood.exists() and formula == "Ag2Au2":
            raise LookupError("the model lost its way")
        super().calculate(atoms, *arguments)
