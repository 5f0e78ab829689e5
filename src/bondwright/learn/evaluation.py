"""How well bond models predict cells that they have not seen, beside simple and published ones.

Every model is fitted anew on the training cells of each fold and predicts the labelled bonds of the
test cells. The predictions of every bond are kept, and all figures are computed from them.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bondwright.errors import InputError
from bondwright.learn.baselines import DistanceModel
from bondwright.learn.cells import LabelledCell
from bondwright.learn.evaluation_kept import KeptFolds, read_frame, write_frame
from bondwright.learn.evaluation_scores import score_frame, scores_text
from bondwright.learn.model_types import BondPredictor
from bondwright.learn.published import PublishedModel
from bondwright.learn.splits import Split, check_split, variant_classes
from bondwright.learn.training_bonds import bonds_as_pairs, common_method
from bondwright.structure.write import write_text

if TYPE_CHECKING:
    import pandas as pd

Fit = Callable[[Sequence[LabelledCell]], BondPredictor]
Progress = Callable[[str], None]

BASELINES: Mapping[str, Fit] = {"distance": DistanceModel.fit, "published": PublishedModel.fit}
"""What each model is compared with: a curve in the length alone, and the published model."""
MODEL = "model"
"""Name of the evaluated model among the models of an evaluation."""
_FORMAT = "bondwright-evaluation/1"
_FRAME_FILE, _CARD_FILE = "predictions.parquet", "evaluation.json"


@dataclass(frozen=True)
class Evaluation:
    """Predictions of unseen bonds, and where they come from.

    Attributes:
        split: what was held out, e.g. "run"; with the word "within run" where a run stood on both
            sides.
        within_run: whether a run stood on both sides.
        method: method of the labels.
        window_A: shortest and longest bond that counts, Å.
        folds: name, and names of the training and test cells of each fold.
        frame: one row for each bond and model: `model`, `fold`, `cell`, `composition`, `run`,
            `variant`, `variant_class`, `i`, `j`, `image_a`, `image_b`, `image_c`, `pair`,
            `length_A`, `label_eV`, `mean_eV`, `sigma_eV` and `flag` (see `Prediction`).
    """

    split: str
    within_run: bool
    method: str
    window_A: tuple[float, float]
    folds: tuple[dict[str, Any], ...]
    frame: pd.DataFrame

    @property
    def models(self) -> list[str]:
        """Names of the models, the evaluated one first."""
        return list(dict.fromkeys(self.frame["model"].astype(str)))

    def between(self, shortest_A: float, longest_A: float) -> Self:  # noqa: N803
        """Return the evaluation of the bonds with `shortest_A` <= length <= `longest_A`, Å."""
        length = self.frame["length_A"]
        keep = (length >= shortest_A) & (length <= longest_A)
        return replace(self, frame=self.frame[keep], window_A=(shortest_A, longest_A))

    def scores(self, by: str | None = None) -> pd.DataFrame:
        """Return the figures of each model and pair of elements, see `score_frame`.

        Args:
            by: a column that splits them further: "fold", "composition", "run", "variant_class" or
                "cell".
        """
        return score_frame(self.frame, by)

    def text(self, by: str | None = None) -> str:
        """Return the figures as a text table, with the split and the window above it."""
        cells = self.frame["cell"].nunique()
        title = (
            f"held out by {self.split}; {len(self.folds)} folds, {cells} test cells; labels: "
            f"{self.method}; bonds of {self.window_A[0]:g} to {self.window_A[1]:g} Å"
        )
        return f"{title}\n{scores_text(self.scores(by))}"

    def card(self) -> dict[str, Any]:
        """Return all but the predictions as JSON values, figures included."""
        scores = self.scores().astype(object)
        return {
            "format": _FORMAT,
            "split": self.split,
            "within_run": self.within_run,
            "method": self.method,
            "window_A": list(self.window_A),
            "folds": list(self.folds),
            "scores": scores.where(scores.notna(), None).to_dict(orient="records"),
        }

    def write(self, folder: Path) -> None:
        """Write predictions.parquet and evaluation.json; the figures follow from the former."""
        write_frame(folder / _FRAME_FILE, self.frame)
        write_text(folder / _CARD_FILE, json.dumps(self.card(), indent=1, allow_nan=False) + "\n")


def evaluate(
    fit: Fit,
    cells: Sequence[LabelledCell],
    split: Split,
    *,
    baselines: Mapping[str, Fit] = BASELINES,
    window_A: tuple[float, float] = (1.80, 4.20),  # noqa: N803
    kept: KeptFolds | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Fit models to the training cells of each fold and predict the bonds of its test cells.

    Args:
        fit: makes the evaluated model, e.g. `BondModel.fit`.
        cells: the labelled cells that `split` counts.
        split: from `bondwright.learn.splits`; leaks are refused here too.
        baselines: models that are fitted to the same cells, by name.
        window_A: shortest and longest test bond, Å. Training takes what each model takes.
        kept: where the predictions of finished folds are kept; the same evaluation then continues
            where it was interrupted. Nothing is kept when None.
        progress: told what is being fitted.

    Raises:
        InputError: labels of different methods, no test bond in the window, or a split that leaks.
    """
    import pandas as pd

    method = common_method(cells)
    check_split(cells, split)
    frames = []
    for number, fold in enumerate(split.folds, start=1):
        train, test = ([cells[k] for k in side] for side in (fold.train, fold.test))
        for name, maker in {MODEL: fit, **baselines}.items():
            path = kept.path(name, train, test, window_A) if kept else None
            found = read_frame(path) if path else None
            if found is None:
                if progress:
                    progress(f"fold {number} of {len(split.folds)} ({fold.name}): {name}")
                model = maker(train)
                found = pd.concat([_predict(model, cell, window_A) for cell in test])
                if path:
                    write_frame(path, found)
            frames.append(found.assign(model=name, fold=fold.name))
    frame = pd.concat(frames, ignore_index=True)
    if frame.empty:
        raise InputError(
            f"no labelled test bond of {window_A[0]:g} to {window_A[1]:g} Å; widen the window."
        )
    classes = dict(zip((cell.name for cell in cells), variant_classes(cells), strict=True))
    frame["variant_class"] = frame["cell"].map(classes)
    folds = tuple(
        {
            "name": fold.name,
            "train": [cells[k].name for k in fold.train],
            "test": [cells[k].name for k in fold.test],
        }
        for fold in split.folds
    )
    return Evaluation(split.name, split.within_run, method, window_A, folds, frame)


def read_evaluation(folder: Path) -> Evaluation:
    """Read what `Evaluation.write` wrote.

    Raises:
        InputError: a file is missing or damaged.
    """
    try:
        card = json.loads((folder / _CARD_FILE).read_text(encoding="utf-8"))
        if card["format"] != _FORMAT:
            raise ValueError(f"format {card['format']!r}")
        if (frame := read_frame(folder / _FRAME_FILE)) is None:
            raise ValueError(f"{_FRAME_FILE} cannot be read")
        return Evaluation(
            str(card["split"]),
            bool(card["within_run"]),
            str(card["method"]),
            (float(card["window_A"][0]), float(card["window_A"][1])),
            tuple(card["folds"]),
            frame,
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{folder} holds no readable evaluation ({first}); evaluate the model again."
        ) from None


def _predict(
    model: BondPredictor,
    cell: LabelledCell,
    window_A: tuple[float, float],  # noqa: N803
) -> pd.DataFrame:
    """Return the predictions of one cell's labelled bonds beside their labels."""
    import pandas as pd

    bonds = cell.bonds.between(*window_A)
    prediction = model.predict(cell.atoms, bonds_as_pairs(bonds))
    return pd.DataFrame(
        {
            "cell": cell.name,
            "composition": cell.composition,
            "run": cell.run,
            "variant": cell.variant,
            "i": bonds.i,
            "j": bonds.j,
            **{f"image_{axis}": bonds.image[:, k] for k, axis in enumerate("abc")},
            "pair": bonds.pairs().astype(object),
            "length_A": bonds.length_A,
            "label_eV": bonds.icohp_eV,
            "mean_eV": prediction.mean_eV,
            "sigma_eV": prediction.sigma_eV,
            "flag": np.asarray(prediction.flag, dtype=np.uint8),
        }
    )
