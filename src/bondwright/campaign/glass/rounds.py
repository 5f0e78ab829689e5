"""Records of the rounds of active learning: one JSON file each, written at every step."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from bondwright.campaign.glass.folder import GlassFolder
from bondwright.errors import InputError
from bondwright.learn.evaluation import MODEL, Evaluation
from bondwright.structure.write import write_text

PROPOSED, APPROVED, LABELLED, TRAINED, DONE = "proposed", "approved", "labelled", "trained", "done"
STEPS = (PROPOSED, APPROVED, LABELLED, TRAINED, DONE)


@dataclass
class Round:
    """One round: what was proposed and why, what came of it.

    Attributes:
        number: from 1.
        state: the last step that is finished: "proposed", "approved", "labelled", "trained",
            "done".
        strategy: "active" or "random".
        action: what the policy asked for: "augment", "new-cells" or "new-compositions".
        reason: why, with the numbers.
        model: version of the model that proposed.
        proposals: the cells to label [{`name`, `reason`, `sigma_eV`, `novelty`, ...}].
        candidates: how many cells there were to choose from.
        labels: label -> status of the proposed cells, once labelled.
        trained: version of the model trained on the new labels.
        spent: labels spent by the loop up to this round's end.
        labelled: accepted labels that the new model learned from.
        split: what was held out to measure the errors.
        scores: errors of the new model [{`pair`, `n`, `rmse_eV`, `mae_eV`, `cover_2`...}].
        decision: what the policy asks for next, and why.
    """

    number: int
    state: str = PROPOSED
    strategy: str = "active"
    action: str = ""
    reason: str = ""
    model: int | None = None
    proposals: list[dict[str, Any]] = field(default_factory=list)
    candidates: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    trained: int | None = None
    spent: int = 0
    labelled: int = 0
    split: str = ""
    scores: list[dict[str, Any]] = field(default_factory=list)
    decision: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the proposed cells."""
        return [str(proposal["name"]) for proposal in self.proposals]

    def reached(self, state: str) -> bool:
        """Whether a step is finished."""
        return STEPS.index(self.state) >= STEPS.index(state)


def write_round(folder: GlassFolder, entry: Round) -> None:
    """Write a round's record."""
    text = json.dumps(asdict(entry), indent=1, allow_nan=False)
    write_text(folder.rounds / f"{entry.number:03d}.json", text + "\n")


def read_rounds(folder: GlassFolder) -> list[Round]:
    """Return the rounds, oldest first.

    Raises:
        InputError: a record is damaged.
    """
    found = []
    for path in sorted(folder.rounds.glob("*.json")):
        try:
            entry = Round(**json.loads(path.read_text(encoding="utf-8")))
            if entry.state not in STEPS:
                raise ValueError(f"state {entry.state!r}")
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"rounds/{path.name} is damaged ({error}); remove it to begin that round again."
            ) from None
        found.append(entry)
    return found


def scores_of(evaluation: Evaluation, model: str = MODEL) -> list[dict[str, Any]]:
    """Return the errors of one model by pair of elements as JSON values."""
    scores = evaluation.scores()
    mine = scores[scores["model"] == model].drop(columns="model").astype(object)
    rows = mine.where(mine.notna(), None).to_dict(orient="records")
    plain: list[dict[str, Any]] = json.loads(json.dumps(rows, default=float))
    return plain


def spent(rounds: Iterable[Round]) -> int:
    """Return how many labels all rounds have cost, failed ones included."""
    return sum(len(entry.labels) for entry in rounds)
