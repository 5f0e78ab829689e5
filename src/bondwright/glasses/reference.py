"""Facts about reference glasses with which a new cell is compared.

`glasses.make_reference` measures them from structures that are named in `source`.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bondwright.glasses.rdf import Rdf

TABLE = Path(__file__).parent / "tables" / "reference-glasses.json"


@dataclass(frozen=True)
class ReferenceGlass:
    """A glass to compare with.

    Attributes:
        name: what it is.
        source: where its structure is from.
        atoms: their number.
        fractions: element -> atomic fraction.
        potential_name: of the potential that all its numbers belong to.
        potential_sha256: see there.
        density_g_cm3: at the temperature of the snapshot; the mean over a hold where there was one.
        energy_eV_per_atom: potential energy of the snapshot.
        inherent_energy_eV_per_atom: after minimising the positions.
        rdf: partial radial distribution functions.
    """

    name: str
    source: str
    atoms: int
    fractions: Mapping[str, float]
    potential_name: str
    potential_sha256: str
    density_g_cm3: float
    energy_eV_per_atom: float
    inherent_energy_eV_per_atom: float
    rdf: Rdf

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**vars(self), "fractions": dict(self.fractions), "rdf": self.rdf.to_json()}

    def apart(self, fractions: Mapping[str, float]) -> float:
        """Return the largest difference in an element's fraction."""
        elements = set(fractions) | set(self.fractions)
        return max(abs(fractions.get(e, 0.0) - self.fractions.get(e, 0.0)) for e in elements)


@lru_cache(maxsize=1)
def reference_glasses() -> tuple[ReferenceGlass, ...]:
    """Return the references that are shipped."""
    rows = json.loads(TABLE.read_text("utf-8"))
    return tuple(ReferenceGlass(**{**row, "rdf": Rdf.from_json(row["rdf"])}) for row in rows)


def find_reference(potential_sha256: str, fractions: Mapping[str, float]) -> ReferenceGlass | None:
    """Return the reference of the same potential and elements whose composition is nearest."""
    same = [
        reference
        for reference in reference_glasses()
        if reference.potential_sha256 == potential_sha256
        and set(reference.fractions) == set(fractions)
    ]
    return min(same, key=lambda reference: reference.apart(fractions), default=None)
