"""Training the band-gap model, and saying how good it is beside trivial baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bondwright.errors import InputError
from bondwright.screen.band_gap import all_feature_names
from bondwright.screen.band_gap_data import GapData, gather, split
from bondwright.screen.band_gap_evaluation import (
    NONMETAL_EV,
    baselines,
    calibrate,
    errors_of,
    evaluate,
)
from bondwright.screen.band_gap_features import element_tables
from bondwright.screen.band_gap_network import (
    GapEnsemble,
    GapNet,
    common_columns,
    rounded_to_half,
    standardise,
)
from bondwright.screen.reference_energies import Progress

Array = NDArray[np.float64]

FEWEST_CRYSTALS = 50
# What lies farther from the training data than 99.8 % of the validation crystals counts as outside.
INSIDE_QUANTILE = 0.998
# Added to the diagonal of the covariance (in squared standard deviations): features that always
# go together must not make a tiny difference between them look enormous.
RIDGE = 0.01


@dataclass(frozen=True)
class GapTraining:
    """How the model is trained.

    Attributes:
        seed: of the split, the first weights and the order of the batches.
        max_atoms: largest cell of the table used.
        exclude_sources: sources left out; JARVIS gaps are OptB88vdW, not PBE.
        members: networks in the ensemble.
        hidden: widths of the hidden layers.
        epochs: passes over the training crystals.
        batch: crystals per step.
        learning_rate: highest of the one-cycle schedule.
        weight_decay: of AdamW.
        dropout: share of hidden units left out.
        shares: of validation and test among the chemical systems.
        ablations: train smaller models, too, to show what each kind of feature brings.
    """

    seed: int = 0
    max_atoms: int = 24
    exclude_sources: tuple[str, ...] = ("jarvis",)
    members: int = 3
    hidden: tuple[int, ...] = (256, 128)
    epochs: int = 50
    batch: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    shares: tuple[float, float] = (0.1, 0.1)
    ablations: bool = True


def train_band_gap(
    table: Path,
    out: Path,
    *,
    work: Path,
    settings: GapTraining = GapTraining(),
    processes: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Train a band-gap model on a table of crystals and write it to a folder.

    Args:
        table: CSV or Parquet with `id`, `cif`, `band_gap` (PBE, eV) and, where there are several,
            `source`.
        out: folder of the model; `PropertySettings.band_gap_model` takes it.
        work: folder in which CHGNet's features are kept; the command can be stopped and repeated.
        settings: how it is trained.
        processes: worker processes for the features.
        progress: told after every piece of features and after every epoch.

    Returns:
        The model card as written to `out/model.json`.

    Raises:
        InputError: the table cannot be used, or holds fewer than 50 crystals with a gap.
    """
    data = gather(
        table,
        work,
        exclude_sources=settings.exclude_sources,
        max_atoms=settings.max_atoms,
        processes=processes,
        progress=progress,
    )
    if len(data.gaps) < FEWEST_CRYSTALS:
        raise InputError(
            f"{table}: {len(data.gaps)} crystals with a band gap are too few to learn from "
            f"(at least {FEWEST_CRYSTALS})"
        )
    model = fit_ensemble(data, settings, progress)
    facts = {"table": table.name, "left_out": data.left_out}
    replace(model, card={"what": model.card["what"], "data": facts, **model.card}).save(out)
    return GapEnsemble.load(out).card


def fit_ensemble(
    data: GapData,
    settings: GapTraining,
    progress: Callable[[Progress], None] | None = None,
) -> GapEnsemble:
    """Fit, calibrate and evaluate a model on features that are there already.

    Raises:
        InputError: one of the three parts of the split is empty.
    """
    parts = split(data.systems, settings.seed, settings.shares)
    train, validation, test = (parts == name for name in ("train", "validation", "test"))
    if not (train.any() and validation.any() and test.any()):
        raise InputError("too few chemical systems to hold some out for validation and test")
    seen = data.features[train]
    mean, scale = seen.mean(axis=0), seen.std(axis=0)
    scale[scale < 1e-9] = 1.0
    x = torch.tensor(standardise(data.features, mean, scale), dtype=torch.float32)
    y = torch.tensor(data.gaps, dtype=torch.float32)
    index = np.flatnonzero(train)
    total = settings.epochs * (settings.members + (2 if settings.ablations else 0))
    told = _Told(progress, total)
    members = tuple(
        rounded_to_half(_fit(x, y, index, settings, settings.seed + k, told))
        for k in range(settings.members)
    )
    elements, oxidation = element_tables()
    names = all_feature_names(list(elements))
    card: dict[str, Any] = {
        "what": "PBE band gap in eV from composition, bonds and CHGNet 0.3.0 features",
        "settings": asdict(settings),
        "network": {"members": settings.members, "hidden": list(settings.hidden)},
        "training": {
            "crystals": {
                name: int((parts == name).sum()) for name in ("train", "validation", "test")
            },
            "split": "by chemical system: sha256(seed:system)",
            "elements": sorted({e for s in np.array(data.systems)[train] for e in s.split("-")}),
        },
        "features": names,
        "elements": elements,
        "oxidation_states": oxidation,
    }
    model = GapEnsemble(members, mean, scale, _precision((seen - mean) / scale, names), card)
    card["training"]["farthest_inside"] = round(
        float(np.quantile(model.distance(data.features[validation]), INSIDE_QUANTILE)), 2
    )
    gap, raw, _ = model.predict(data.features[validation])
    # Unseen chemistry differs from the training data more than this shows, so the test part, of
    # chemical systems that neither fit nor calibration saw, gives the coverage to believe.
    card["calibration"] = calibrate(np.abs(gap - data.gaps[validation]), raw)
    card["test"] = {
        "model": evaluate(model, data.features[test], data.gaps[test]),
        **baselines(data, names, train, test),
    }
    if settings.ablations:
        for label, columns in _ablations(names).items():
            subset = x[:, torch.tensor(columns)]
            member = _fit(subset, y, index, settings, settings.seed, told)
            with torch.no_grad():
                guess = member(subset[torch.tensor(test)])[0].double().numpy()
            card["test"][label] = errors_of(guess, data.gaps[test])
    return model


def _ablations(names: list[str]) -> dict[str, NDArray[np.bool_]]:
    """Return the columns of the models that show what each kind of feature brings."""
    chgnet = np.array([name.startswith("chgnet") for name in names])
    composition = np.arange(len(names)) < names.index("volume_per_atom_A3")
    return {
        "one member without CHGNet": ~chgnet,
        "one member on composition alone": composition,
    }


class _Told:
    """Counts epochs for the progress report."""

    def __init__(self, progress: Callable[[Progress], None] | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(Progress("training", self._done, self._total, 0.0))


def _fit(
    x: torch.Tensor,
    y: torch.Tensor,
    index: NDArray[np.int64],
    settings: GapTraining,
    seed: int,
    told: Callable[[], None],
) -> GapNet:
    """Train one network on the rows `index`; the same for the same seed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in another order would give another model
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = GapNet(x.shape[1], settings.hidden, settings.dropout)
            optimiser = torch.optim.AdamW(
                net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
            )
            steps = settings.epochs * -(-len(index) // settings.batch)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, settings.learning_rate, total_steps=steps, pct_start=0.1
            )
            order = np.random.default_rng(seed)
            for _ in range(settings.epochs):
                shuffled = torch.tensor(order.permutation(index))
                for rows in torch.split(shuffled, settings.batch):
                    optimiser.zero_grad()
                    _loss(net, x[rows], y[rows]).backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                    schedule.step()
                told()
    finally:
        torch.set_num_threads(threads)
    return net.eval()


def _loss(net: GapNet, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Absolute error, Laplace likelihood of it, and whether there is a gap, together."""
    gap, width, odds = net(x)
    error = (gap - y).abs()
    nonmetal = nn.functional.binary_cross_entropy_with_logits(odds, (y > NONMETAL_EV).float())
    total: torch.Tensor = error.mean() + (error / width + width.log()).mean() + 0.3 * nonmetal
    return total


def _precision(z: Array, names: list[str]) -> Array:
    """Return the inverse covariance of standardised features (n, f), as saving rounds it."""
    covariance = np.cov(z[:, common_columns(names)].T)
    inverse = np.linalg.inv(covariance + RIDGE * np.eye(len(covariance)))
    return inverse.astype(np.float32).astype(float)
