"""CHGNet evaluated economically: one reverse pass for forces and stress, batches, float64.

The published calculator asks torch for forces and stress in two reverse passes that are
themselves differentiable (needed for training only), and computes magnetic moments that a
relaxation does not use. Here one plain reverse pass gives both; energies, forces and stresses
agree with the published calculator to single precision (a test holds this), in half the time.

Model: Deng et al., Nature Machine Intelligence 5, 1031 (2023), doi:10.1038/s42256-023-00716-3.
The weights are read from inside the installed `chgnet` package, as tensors only.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import chgnet
import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from chgnet.graph import CrystalGraph
from chgnet.model.model import BatchedGraph, CHGNet
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

VERSION = "0.3.0"
FEATURES = 64
"""Length of the crystal feature."""

_WEIGHTS = Path(chgnet.__file__).parent / "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar"


class IsolatedAtomError(ValueError):
    """An atom has no neighbour within the cutoff of the potential, so its energy means nothing."""


@dataclass(frozen=True)
class StaticResult:
    """What one forward pass says of one structure.

    Attributes:
        energy: eV per atom (MP2020-corrected, as CHGNet was trained).
        feature: (64,) sum over the atoms of the last atom features, divided by their number.
    """

    energy: float
    feature: NDArray[np.float32]


def weights_sha256() -> str:
    """Return the SHA-256 (hex) of the weights file inside the installed package."""
    return hashlib.sha256(_WEIGHTS.read_bytes()).hexdigest()


@lru_cache(maxsize=2)
def load_model(double: bool = False) -> CHGNet:
    """Return CHGNet 0.3.0 on the CPU, ready to evaluate.

    Args:
        double: float64 weights and arithmetic in place of float32.
    """
    state = torch.load(_WEIGHTS, map_location="cpu", weights_only=True)["model"]
    with contextlib.redirect_stdout(io.StringIO()):  # the constructor prints its size
        model = CHGNet(**state["model_args"], mlp_out_bias=False, version=VERSION)
    model.load_state_dict(state["state_dict"])
    model.graph_converter.set_isolated_atom_response("error")
    for parameter in model.parameters():
        parameter.requires_grad_(False)  # only positions and strain are differentiated
    model.eval()
    return model.double() if double else model


def _structure(atoms: Atoms) -> Structure:
    """Return the atoms as a pymatgen structure without a detour over site properties."""
    return Structure(
        Lattice(np.asarray(atoms.cell)), atoms.numbers, atoms.get_scaled_positions(wrap=False)
    )


def _graph(model: CHGNet, atoms: Atoms, dtype: torch.dtype) -> CrystalGraph:
    structure = _structure(atoms)
    try:
        graph = model.graph_converter(structure)
    except ValueError as error:
        if "isolated atom" in str(error):
            message = "an atom has no neighbour within 6 Å, the cutoff of CHGNet"
            raise IsolatedAtomError(message) from None
        raise
    if dtype is torch.float64:
        # The converter rounds to float32; the neighbour lists hold, the geometry is set again.
        graph.atom_frac_coord = torch.tensor(structure.frac_coords, requires_grad=True)
        graph.lattice = torch.tensor(structure.lattice.matrix, requires_grad=True)
        graph.neighbor_image = graph.neighbor_image.double()
    return graph


def _batch(model: CHGNet, graphs: Sequence[CrystalGraph], stress: bool) -> BatchedGraph:
    with warnings.catch_warnings():  # about volumes that it reads off as plain numbers
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad=True")
        return BatchedGraph.from_graphs(
            graphs, model.bond_basis_expansion, model.angle_basis_expansion, compute_stress=stress
        )


def _atomic_reference(model: CHGNet, atoms: Atoms) -> float:
    """Return the composition part of the energy, eV per atom (a weighted mean of constants)."""
    weights = model.composition_model.fc.weight.detach().numpy()[0]
    return float(np.mean(weights[atoms.numbers - 1], dtype=np.float64))


def static_energies(batch: Sequence[Atoms], *, double: bool = True) -> list[StaticResult]:
    """Return energy and crystal feature of several structures in one forward pass.

    Args:
        batch: periodic structures (positions in Å).
        double: float64 throughout (default) or float32.

    Raises:
        IsolatedAtomError: an atom of one of them has no neighbour within 6 Å.
    """
    model = load_model(double)
    dtype = torch.float64 if double else torch.float32
    with torch.no_grad():
        graphs = [_graph(model, atoms, dtype) for atoms in batch]
        prediction = model._compute(_batch(model, graphs, stress=False), return_crystal_feas=True)
    energies = prediction["e"].numpy()
    features = prediction["crystal_fea"].numpy()
    return [
        StaticResult(
            float(energy) + _atomic_reference(model, atoms),
            (feature / len(atoms)).astype(np.float32),
        )
        for atoms, energy, feature in zip(batch, energies, features, strict=True)
    ]


class CHGNetEngine(Calculator):  # type: ignore[misc]
    """ASE calculator: energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt, tension positive)."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, *, double: bool = False) -> None:
        """Make a calculator.

        Args:
            double: float64 in place of float32 arithmetic (about 1.5 times slower).
        """
        super().__init__()
        self._model = load_model(double)
        self._dtype = torch.float64 if double else torch.float32

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,  # noqa: ARG002 (all come out of the same pass)
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate the atoms; see `ase.calculators.calculator.Calculator.calculate`.

        Raises:
            IsolatedAtomError: an atom has no neighbour within 6 Å.
        """
        super().calculate(atoms, ["energy"], system_changes)
        graph = _graph(self._model, self.atoms, self._dtype)
        batch = _batch(self._model, [graph], stress=True)
        n = len(self.atoms)
        energy = self._model._compute(batch)["e"].sum() * n
        by_position, by_strain = torch.autograd.grad(
            energy, [batch.atom_positions[0], batch.strains[0]]
        )
        stress = by_strain.numpy().astype(float) / self.atoms.get_volume()
        total = float(energy.detach()) + n * _atomic_reference(self._model, self.atoms)
        self.results: dict[str, Any] = {
            "energy": total,
            "free_energy": total,
            "forces": -by_position.numpy().astype(float),
            "stress": full_3x3_to_voigt_6_stress(stress),
        }
