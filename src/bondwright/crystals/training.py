"""Training a crystal language model: one loop that can be stopped at any step and goes on.

Everything random in a step follows from the seed and the number of the step, so a run that was
killed and resumed computes on a CPU, digit for digit, what an undisturbed one does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bondwright.crystals.batches import Batches
from bondwright.crystals.checkpoint import LoadedModel, save_model
from bondwright.crystals.conditioning import ConditionConfig
from bondwright.crystals.dataset import Prepared
from bondwright.crystals.dialects import dialect
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.normaliser import Normaliser
from bondwright.crystals.splits import TRAIN, VALIDATION
from bondwright.crystals.train_augment import augmented, check_augmentable
from bondwright.crystals.train_conditions import normalised, shown
from bondwright.crystals.train_group import Group
from bondwright.crystals.train_log import RunLog
from bondwright.crystals.train_loss import held_out, total_loss, unigram_entropy
from bondwright.crystals.train_samples import chosen_requests, sample_quality
from bondwright.crystals.train_settings import TrainSettings, check_same
from bondwright.crystals.train_state import checkpoints, load_state, read_run, save_state, write_run
from bondwright.errors import InputError
from bondwright.screen.workers import Stop, never

MODEL = "model"
CHECKPOINTS = "checkpoints"
LOG_EVERY = 20
BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class Going:
    """How a run is driven; nothing here changes what it computes.

    Attributes:
        hours: stop cleanly after so long; None for no limit.
        checkpoint_minutes: between checkpoints.
        stop: asked after every step.
        tell: told the latest figures after every logged step.
    """

    hours: float | None = None
    checkpoint_minutes: float = 5.0
    stop: Stop = never
    tell: Callable[[Mapping[str, Any]], object] = dict


@dataclass
class _Window:
    """What is summed up between two lines of the log."""

    loss: float = 0.0
    tokens: int = 0


def train(
    data: Prepared,
    folder: Path,
    settings: TrainSettings,
    normalisers: Sequence[Normaliser],
    going: Going,
    group: Group,
    start: LoadedModel | None = None,
) -> bool:
    """Train, or go on training, in `folder`.

    The model with the lowest validation loss so far stands in `folder/model`, the log in
    `log.jsonl`, its curves in `curves.svg`.

    Args:
        data: the data set.
        folder: of the run; the same call goes on from its last checkpoint.
        settings: what is computed.
        normalisers: of the conditions of `data`, in order.
        going: how it is driven.
        group: the processes that train together.
        start: the model whose weights a new run begins with (fine-tuning); the one of
            `settings.start_from`. None for random weights.

    Returns:
        Whether the run is finished; False when it was stopped before.

    Raises:
        InputError: the folder holds a run with other settings or data, or a damaged checkpoint;
            or `start` is of another dialect, shape or condition.
    """
    run = _Run(data, folder, settings, normalisers, group)
    if start is not None:
        run.start_from(start)
    run.resume()
    return run.go(going)


class _Run:
    """One training run: network, optimiser, batches and log."""

    def __init__(
        self,
        data: Prepared,
        folder: Path,
        settings: TrainSettings,
        normalisers: Sequence[Normaliser],
        group: Group,
    ) -> None:
        if settings.augment:
            check_augmentable(data.dialect)
        self.data, self.folder, self.settings = data, folder, settings
        self.normalisers, self.group = tuple(normalisers), group
        self.pad = dialect(data.dialect).vocabulary.pad
        torch.manual_seed(settings.seed)
        self.network = Network(_config(data, settings, len(normalisers))).to(group.device)
        self.optimizer = _optimizer(self.network, settings)
        self.values = normalised(data, normalisers)
        self.batches = Batches(
            data,
            data.of_part(TRAIN),
            tokens=settings.batch_tokens,
            seed=settings.seed,
            epochs=settings.epochs,
            pad=self.pad,
        )
        self.steps = self.batches.steps
        self.requests = chosen_requests(data, data.of_part(VALIDATION), settings.samples)
        self.step, self.window, self.best = 0, _Window(), float("inf")

    def start_from(self, model: LoadedModel) -> None:
        """Take the weights of a model."""
        theirs = replace(model.network.config, dropout=self.network.config.dropout)
        names = tuple(normaliser.name for normaliser in model.normalisers)
        if (model.dialect, theirs, names) != (
            self.data.dialect,
            self.network.config,
            tuple(self.data.condition_names),
        ):
            raise InputError(
                f"the model to start from (dialect {model.dialect}, context {theirs.context}, "
                f"conditions {', '.join(names) or 'none'}) does not fit the data (dialect "
                f"{self.data.dialect}, context {self.data.card['context']}, conditions "
                f"{', '.join(self.data.condition_names) or 'none'}); prepare data like the model's."
            )
        self.network.load_state_dict(model.network.state_dict())

    def resume(self) -> None:
        """Go to the last checkpoint, if there is one."""
        facts = {
            "data": self.data.card["sha256"],
            "processes": self.group.size,
            **self.settings.to_json(),
        }
        stored = read_run(self.folder)
        if stored is None and self.group.leads:
            write_run(self.folder, facts)
        elif stored is not None:
            check_same(stored, facts, self.folder)
        if saved := checkpoints(self.folder / CHECKPOINTS):
            state = load_state(saved[-1], self.network, self.optimizer)
            self.step, self.best = state["step"], state["best"]
            self.window = _Window(**state["window"])

    def go(self, going: Going) -> bool:
        """Train until the end, or until asked to stop."""
        settings, every = self.settings, max(1, self.steps // self.settings.validations)
        log = RunLog(self.folder, self.step, settings.to_json()) if self.group.leads else None
        if log and not log.events:
            baseline = unigram_entropy(self.data, self.data.of_part(TRAIN))
            log.add({"step": 0, "unigram_loss": baseline, "parameters": _size(self.network)})
        began = saved = marked = time.monotonic()
        first = self.step
        stopped = False
        while self.step < self.steps and not stopped:
            self._one_step()
            now = time.monotonic()
            last = self.step == self.steps
            if log and (self.step % LOG_EVERY == 0 or last):
                event = self._figures(now - marked)
                marked = now
                log.add(event)
                left = (now - began) / (self.step - first) * (self.steps - self.step)
                going.tell({**event, "steps": self.steps, "seconds_left": left})
            if log and (self.step % every == 0 or last):
                self._validate(log)
                log.draw()
                marked = time.monotonic()
            over = going.hours is not None and now - began > going.hours * 3600
            stopped = self.group.sum([float(going.stop() or over)])[0] > 0 and not last
            if log and (stopped or last or now - saved > going.checkpoint_minutes * 60):
                self._save()
                saved = now
        if log:
            log.close()
        self.group.wait()
        return self.step == self.steps

    def _one_step(self) -> None:
        """Do one step of AdamW on the next batch."""
        settings, group = self.settings, self.group
        random = np.random.SeedSequence([settings.seed, self.step, group.rank])
        torch.manual_seed(int(random.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        whole = self.batches.at(self.step)
        tokens = int((whole.targets >= 0).sum())
        batch = whole.share(group.rank, group.size)
        if settings.augment:
            batch = augmented(batch, self.data, [settings.seed, self.step])
        rate = settings.rate(self.step, self.steps)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        self.network.train()
        self.optimizer.zero_grad(set_to_none=False)
        loss = 0.0
        if len(batch.crystals):
            values = None
            if self.normalisers:
                values = self.values[torch.from_numpy(batch.crystals)]
                values = shown(values, settings.condition_dropout).to(group.device)
            with _half(group.device):
                total = total_loss(self.network, batch, values)
            (total / tokens).backward()  # type: ignore[no-untyped-call]
            loss = float(total.detach())
        group.sum_gradients(self.network)
        nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        self.optimizer.step()
        self.step += 1
        self.window.loss += group.sum([loss])[0]
        self.window.tokens += tokens

    def _figures(self, seconds: float) -> dict[str, Any]:
        """Return the figures of the steps since the last ones, and begin anew."""
        window, self.window = self.window, _Window()
        return {
            "step": self.step,
            "epoch": round(self.batches.epoch_of(self.step), 3),
            "loss": window.loss / window.tokens,
            "learning_rate": self.settings.rate(self.step - 1, self.steps),
            "tokens_per_second": round(window.tokens / max(seconds, 1e-9), 1),
        }

    def _validate(self, log: RunLog) -> None:
        """Compute validation loss and quality of samples; keep the model if it is the best."""
        crystals = self.data.of_part(VALIDATION)
        event: dict[str, Any] = {"step": self.step}
        if len(crystals):
            with _half(self.group.device):
                found = held_out(
                    self.network,
                    self.data,
                    crystals,
                    self.values,
                    tokens=2 * self.settings.batch_tokens,
                    pad=self.pad,
                )
            event |= {
                "validation_loss": found.per_token,
                "validation_nats_per_crystal": found.per_crystal,
            }
            if found.condition_gain is not None:
                event["validation_condition_gain"] = found.condition_gain
            if self.requests:
                made = sample_quality(
                    self.network,
                    self.data.dialect,
                    self.normalisers,
                    self.requests,
                    self.settings.seed,
                )
                event |= {"finished_share": made.finished, "valid_share": made.valid}
        log.add(event)
        loss = event.get("validation_loss", 0.0)
        if loss <= self.best:
            self.best = loss
            save_model(
                self.folder / MODEL,
                self.network,
                self.data.dialect,
                self.normalisers,
                self._card(event),
            )

    def _card(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the model tells about its making."""
        kept = ("splits", "outcomes", "parts", "known", "tokens", "made_from", "sha256")
        seen = self.data.atoms[self.data.of_part(TRAIN)]
        data = {name: self.data.card[name] for name in kept}
        return {
            "training": {**self.settings.to_json(), "steps": self.steps},
            "parameters": _size(self.network),
            "validation": dict(event),
            "data": {**data, "atoms": [int(seen.min()), int(seen.max())]},
        }

    def _save(self) -> None:
        """Write a checkpoint."""
        save_state(
            self.folder / CHECKPOINTS,
            self.step,
            self.network,
            self.optimizer,
            {"best": self.best, "window": asdict(self.window)},
        )


def _config(data: Prepared, settings: TrainSettings, variables: int) -> NetworkConfig:
    """Return the shape of the network that the data and the settings ask for."""
    condition = ConditionConfig(settings.conditioning, variables) if variables else None
    return NetworkConfig(
        vocabulary=len(dialect(data.dialect).vocabulary.tokens),
        context=int(data.card["context"]),
        layers=settings.layers,
        heads=settings.heads,
        width=settings.width,
        dropout=settings.dropout,
        condition=condition,
    )


def _optimizer(network: Network, settings: TrainSettings) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only."""
    parameters = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2]},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        betas=BETAS,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def _half(device: torch.device) -> AbstractContextManager[Any]:
    """Return bfloat16 autocast on a GPU; CPUs compute in float32."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
