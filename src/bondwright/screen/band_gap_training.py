"""Training the band-gap model, and saying how good it is beside trivial baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import nn

from bondwright.errors import InputError
from bondwright.screen.band_gap import all_feature_names
from bondwright.screen.band_gap_data import GapData, gather, split
from bondwright.screen.band_gap_features import element_tables
from bondwright.screen.band_gap_network import GapEnsemble, GapNet, rounded_to_half, standardise
from bondwright.screen.reference_energies import Progress

Array = NDArray[np.float64]

NONMETAL_EV = 0.01  # gaps are given to 0.1 meV; a metal has exactly 0
FEWEST_CRYSTALS = 50
NEIGHBOURS = 5
COVERAGE = {"within_1_sigma": 0.6827, "within_2_sigma": 0.9545}
# The largest number of features beyond their training range among 99.8 % of validation crystals
# decides what counts as outside.
INSIDE_QUANTILE = 0.998


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
    }
    model = GapEnsemble(members, mean, scale, seen.min(axis=0), seen.max(axis=0), card)
    outside = model.outside(data.features[validation])
    card["training"]["outside_allowed"] = int(np.quantile(outside, INSIDE_QUANTILE))
    gap, raw, _ = model.predict(data.features[validation])
    card["calibration"] = _calibrate(np.abs(gap - data.gaps[validation]), raw)
    card["test"] = {
        "model": _evaluate(model, data.features[test], data.gaps[test]),
        **_baselines(data, train, test),
    }
    if settings.ablations:
        chgnet = np.array([name.startswith("chgnet") for name in names])
        composition = np.arange(len(names)) < names.index("volume_per_atom_A3")
        for label, columns in (
            ("one member without CHGNet", ~chgnet),
            ("one member on composition alone", composition),
        ):
            subset = x[:, torch.tensor(columns)]
            member = _fit(subset, y, index, settings, settings.seed, told)
            with torch.no_grad():
                guess = member(subset[torch.tensor(test)])[0].double().numpy()
            card["test"][label] = _errors(guess, data.gaps[test])
    # What is long stands last, so that the card can be read from the top.
    card.update(features=names, elements=elements, oxidation_states=oxidation)
    return model


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


def _calibrate(errors: Array, raw: Array) -> dict[str, float]:
    """Choose factor and floor so that 68 % and 95 % of validation lie within 1 and 2 sigma."""
    best = (np.inf, 1.0, 0.0)
    for factor in np.geomspace(0.2, 3.0, 60):
        for floor in np.linspace(0.0, 0.3, 31):
            sigma = np.sqrt((factor * raw) ** 2 + floor**2)
            misses = [
                (errors <= k * sigma).mean() - wanted
                for k, wanted in zip((1, 2), COVERAGE.values(), strict=True)
            ]
            best = min(best, (float(np.square(misses).sum()), float(factor), float(floor)))
    return {"factor": round(best[1], 4), "floor_eV": round(best[2], 4)}


def _errors(guess: Array, gaps: Array) -> dict[str, float | None]:
    """Return mean absolute and root-mean-square error in eV; also for nonmetals alone."""
    error = np.abs(guess - gaps)
    nonmetal = gaps > NONMETAL_EV
    return {
        "mae_eV": _rounded(error),
        "rmse_eV": round(float(np.sqrt((error**2).mean())), 4),
        "mae_nonmetals_eV": _rounded(error[nonmetal]),
    }


def _rounded(values: Array | NDArray[np.bool_]) -> float | None:
    """Return the mean to four decimals; None of nothing."""
    return round(float(values.mean()), 4) if len(values) else None


def _evaluate(model: GapEnsemble, features: Array, gaps: Array) -> dict[str, Any]:
    """Return errors, metal/nonmetal accuracy and coverage of sigma on a held-out part."""
    gap, raw, nonmetal = model.predict(features)
    sigma, error, truth = model.sigma(raw), np.abs(gap - gaps), gaps > NONMETAL_EV
    called = nonmetal > 0.5
    outside = model.outside(features) > model.card["training"]["outside_allowed"]
    recalls = [(called == t)[truth == t].mean() for t in (True, False) if (truth == t).any()]
    wide = gap > 0.5
    return {
        **_errors(gap, gaps),
        "balanced_accuracy_metal_nonmetal": _rounded(np.array(recalls)),
        **{name: _rounded(error <= k * sigma) for k, name in enumerate(COVERAGE, start=1)},
        "coverage_where_gap_above_0.5_eV": {
            name: _rounded((error <= k * sigma)[wide]) for k, name in enumerate(COVERAGE, start=1)
        },
        "median_sigma_eV": round(float(np.median(sigma)), 4),
        "share_outside_training": _rounded(outside),
    }


def _baselines(
    data: GapData, train: NDArray[np.bool_], test: NDArray[np.bool_]
) -> dict[str, dict[str, float | None]]:
    """Return the errors of what needs no learning."""
    known, asked = data.gaps[train], data.gaps[test]
    elements, _ = element_tables()
    names = all_feature_names(list(elements))
    fractions = data.features[:, [i for i, n in enumerate(names) if n.startswith("fraction:")]]
    seen = fractions[train]
    nearest = [
        known[np.argsort(cdist(row[None], seen, "cityblock")[0], kind="stable")[:NEIGHBOURS]].mean()
        for row in fractions[test]
    ]
    return {
        "median of training": _errors(np.full(len(asked), np.median(known)), asked),
        "mean of training": _errors(np.full(len(asked), known.mean()), asked),
        f"{NEIGHBOURS} nearest compositions": _errors(np.array(nearest), asked),
    }
