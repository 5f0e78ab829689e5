"""Active learning: propose, label, train, evaluate, decide, and again, until the budget is spent.

Each round is a record that is written after every step, so that a killed loop goes on at the step
it was in; labels, melt-quenches and models resume by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from bondwright.campaign.glass.candidates import Candidates, gather
from bondwright.campaign.glass.config import GlassConfig
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.labelling import Labelling, choose, label_cells
from bondwright.campaign.glass.labels import cells as labelled_cells
from bondwright.campaign.glass.labels import read_records
from bondwright.campaign.glass.models import evaluate_model, train
from bondwright.campaign.glass.registry import ModelVersion, get_model
from bondwright.campaign.glass.rounds import (
    APPROVED,
    DONE,
    LABELLED,
    TRAINED,
    Round,
    read_rounds,
    scores_of,
    spent,
    write_round,
)
from bondwright.errors import InputError
from bondwright.learn.acquisition import CandidateCell, Proposal, propose, random_choice
from bondwright.learn.cells import LabelledCell
from bondwright.learn.evaluation import Evaluation
from bondwright.learn.policy import Decision, PolicyLimits, decide

_BUDGET = re.compile(r"\s*(\d+)\s*(cells?|labels?)?\s*")
STRATEGIES = ("active", "random")


@dataclass
class Tellers:
    """Who is told what happens.

    Attributes:
        say: takes a line at every step.
        labels: takes the state of the labelling.
    """

    say: Callable[[str], None] = field(default=lambda _: None)
    labels: Callable[[Labelling], None] | None = None


@dataclass(frozen=True)
class Improved:
    """Where the loop stopped.

    Attributes:
        rounds: all rounds of the project.
        why: "budget" is spent, the policy said "stop", a proposal waits for "approval", or there
            is "nothing" left to label.
        spent: labels spent by this call's budget.
    """

    rounds: list[Round]
    why: str
    spent: int


def parse_budget(text: str) -> int:
    """Return the number of labels of a budget such as "10cells".

    Raises:
        InputError: it says something else.
    """
    match = _BUDGET.fullmatch(text)
    if match is None or int(match[1]) < 1:
        raise InputError(f"{text!r} is no budget; write a number of labelled cells, e.g. 10cells.")
    return int(match[1])


def improve(
    folder: GlassFolder,
    config: GlassConfig,
    budget: int,
    *,
    approve_first: bool = False,
    approved: bool = False,
    strategy: str = "active",
    method: str | None = None,
    tell: Tellers | None = None,
) -> Improved:
    """Run rounds until the budget is spent; call it under the project's lock.

    Args:
        folder: the project; it needs a first label, or cells to label.
        config: the project's settings.
        budget: labels that may be spent by this call and the rounds it finishes.
        approve_first: stop at each proposal until it is approved.
        approved: the proposal that waits is approved.
        strategy: "active" or "random", the choice to compare with.
        method: the labels to learn from, where there are several.
        tell: who is told.

    Returns:
        The rounds and why the loop stopped.

    Raises:
        InputError: nothing is labelled and nothing can be, or a strategy that is not known.
    """
    if strategy not in STRATEGIES:
        raise InputError(f"there is no strategy {strategy!r}; choose {' or '.join(STRATEGIES)}.")
    tell = tell or Tellers()
    loop = _Loop(folder, config, strategy, method, tell)
    rounds = read_rounds(folder)
    before = spent(entry for entry in rounds if entry.state == DONE)
    loop.begin()
    while True:
        used = spent(rounds) - before
        current = rounds[-1] if rounds and rounds[-1].state != DONE else None
        if current is None:
            if used >= budget:
                return Improved(rounds, "budget", used)
            decision = loop.decision(rounds)
            if decision.action == "stop":
                tell.say(decision.reason)
                return Improved(rounds, "stop", used)
            current = loop.propose(len(rounds) + 1, decision, budget - used)
            if current is None:
                return Improved(rounds, "nothing", used)
            rounds.append(current)
        if not current.reached(APPROVED):
            if approve_first and not approved:
                return Improved(rounds, "approval", used)
            approved = False
            current.state = APPROVED
            write_round(folder, current)
        loop.finish(current, rounds)


class _Loop:
    """The steps of a round."""

    def __init__(
        self,
        folder: GlassFolder,
        config: GlassConfig,
        strategy: str,
        method: str | None,
        tell: Tellers,
    ) -> None:
        self.folder, self.config, self.strategy = folder, config, strategy
        self.method, self.tell = method, tell
        if method is None and config.label.method == "gpaw":
            self.method = config.label.method_name

    def begin(self) -> None:
        """See to it that there are labels to learn from: the test cells, and a first training."""
        wanted: list[CellName] = []
        if self.config.improve.test:
            wanted += choose(self.folder, self.config.improve.test)
        labelled = {r.name for r in read_records(self.folder) if r.accepted}
        test = self._test_runs()
        if not any(CellName.parse(name).run not in test for name in labelled):
            wanted += [n for n in choose(self.folder) if n.run not in test][:1]
        missing = [name for name in wanted if str(name) not in labelled]
        if missing and self.config.label.method == "gpaw":
            self.tell.say(f"labelling {len(missing)} cells to begin with")
            label_cells(self.folder, self.config, missing, progress=self.tell.labels)

    def decision(self, rounds: Sequence[Round]) -> Decision:
        """Ask the policy what to label next; train and evaluate first where that is missing."""
        if rounds and rounds[-1].decision:
            said = rounds[-1].decision
            return Decision(said["action"], said["reason"], said["numbers"])
        model = self._train()
        evaluation = self._evaluate(model)
        if evaluation is None:
            return Decision("augment", "Label more: one cell alone cannot be held out.", {})
        return self._decide(evaluation)

    def propose(self, number: int, decision: Decision, left: int) -> Round | None:
        """Choose the cells of a round and record them; None when there is nothing to label."""
        self.tell.say(f"round {number}: {decision.reason}")
        found = gather(self.folder, self.config, decision.action, self.tell.say)
        if not found.cells:
            self.tell.say("there is no cell left to label")
            return None
        count = min(self.config.improve.cells_per_round, left)
        model = get_model(self.folder)
        chosen = self._choose(model, found, count, number)
        if not chosen:
            self.tell.say("no candidate would teach the model anything")
            return None
        found.keep(self.folder, [str(p["name"]) for p in chosen])
        entry = Round(
            number,
            strategy=self.strategy,
            action=decision.action,
            reason=decision.reason,
            model=model.version,
            proposals=chosen,
            candidates=len(found.cells),
        )
        write_round(self.folder, entry)
        for proposal in chosen:
            self.tell.say(f"  label {proposal['name']}: {proposal['reason']}")
        return entry

    def finish(self, entry: Round, rounds: Sequence[Round]) -> None:
        """Do what is left of an approved round."""
        if not entry.reached(LABELLED):
            names = [CellName.parse(name) for name in entry.names]
            self._label(entry, names)
            known = {r.name: r.status for r in read_records(self.folder)}
            entry.labels = {name: known.get(name, "failed") for name in entry.names}
            self._step(entry, LABELLED)
        if not entry.reached(TRAINED):
            entry.trained = self._train().version
            self._step(entry, TRAINED)
        model = get_model(self.folder, entry.trained)
        evaluation = self._evaluate(model)
        if evaluation is not None:
            entry.split, entry.scores = evaluation.split, scores_of(evaluation)
            entry.decision = asdict(self._decide(evaluation))
        entry.labelled = int(model.record["training_set"]["cells"])
        entry.spent = spent(rounds)
        self._step(entry, DONE)
        self.tell.say(f"round {entry.number} done: {errors_line(entry.scores)}")

    def _label(self, entry: Round, names: Sequence[CellName]) -> None:
        """Label the cells of a round, or ask for their labels where LOBSTER makes them.

        Raises:
            InputError: labels come from LOBSTER and have not been imported yet.
        """
        if self.config.label.method == "gpaw":
            label_cells(self.folder, self.config, names, progress=self.tell.labels)
            return
        known = {record.name for record in read_records(self.folder)}
        if waiting := [name for name in names if str(name) not in known]:
            files = ", ".join(str(self.folder.structure_file(name)) for name in waiting)
            raise InputError(
                f"round {entry.number} waits for labels of {', '.join(map(str, waiting))}: run "
                f"LOBSTER on {files}, import them with `bondwright glass import`, and call this "
                "again."
            )

    def _choose(
        self, model: ModelVersion, found: Candidates, count: int, number: int
    ) -> list[dict[str, object]]:
        candidates = [CandidateCell(name, atoms) for name, atoms in found.cells.items()]
        if self.strategy == "random":
            drawn = random_choice(candidates, count, [self.config.seed, number])
            return [{"name": cell.name, "reason": "drawn at random."} for cell in drawn]
        proposals = propose(
            model.model(), candidates, self._training_cells(), count, progress=self.tell.say
        )
        return [proposal_json(proposal) for proposal in proposals]

    def _train(self) -> ModelVersion:
        model, new = train(self.folder, self.config, self._training_cells(), progress=self.tell.say)
        if new:
            self.tell.say(f"trained model {model.version}")
        return model

    def _evaluate(self, model: ModelVersion) -> Evaluation | None:
        cells = labelled_cells(self.folder, self.method)
        if len(cells) < 2:
            return None
        test = self._test_runs()
        names = [cell.name for cell in cells if cell.run in test]
        _, found = evaluate_model(
            self.folder, self.config, model, cells, test=names, progress=self.tell.say
        )
        return found

    def _decide(self, evaluation: Evaluation) -> Decision:
        limits = PolicyLimits(rmse_eV=self.config.improve.rmse_eV, least_bonds=1)
        return decide(evaluation, limits=limits)

    def _test_runs(self) -> set[str]:
        if not self.config.improve.test:
            return set()
        return {name.run for name in choose(self.folder, self.config.improve.test)}

    def _training_cells(self) -> list[LabelledCell]:
        test = self._test_runs()
        return [c for c in labelled_cells(self.folder, self.method) if c.run not in test]

    def _step(self, entry: Round, state: str) -> None:
        entry.state = state
        write_round(self.folder, entry)


def proposal_json(proposal: Proposal) -> dict[str, object]:
    """Return a proposal with its reason as JSON values."""
    return {**asdict(proposal), "reason": proposal.reason}


def errors_line(scores: Sequence[Mapping[str, object]]) -> str:
    """Return the RMSE of each pair of elements in one line."""
    said = [f"{s['pair']} {s['rmse_eV']:.3f}" for s in scores if s.get("rmse_eV") is not None]
    return f"RMSE (eV) {', '.join(said)}" if said else "no errors yet"
