"""Predicting every bond of large glasses and trajectories, frame by frame and block by block.

One frame of atoms and a few blocks of bonds are in memory at a time. Each frame lands as one
folder, whole or not at all:

    <folder>/prediction.json                 which model, which window of lengths
    <folder>/frames/000000/summary.json      counts, means, flags, how far from the training cells
                          /bonds.parquet, atoms.parquet (see `predict_output`)
                          /ICOHPLIST.lobster, atoms.extxyz where asked

A frame that is there is not predicted again.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bondwright.campaign.glass.domains import Block, Window, block_bonds, cut_blocks
from bondwright.campaign.glass.predict_drift import structure_drift
from bondwright.campaign.glass.predict_output import (
    EXTXYZ,
    LOBSTER,
    ROW,
    AtomSums,
    BondWriter,
    Spool,
    write_atoms,
)
from bondwright.campaign.glass.predict_summary import summarise
from bondwright.errors import InputError
from bondwright.glasses.lammps_files import Frame
from bondwright.learn.model_types import BondPredictor
from bondwright.screen.workers import map_in_order
from bondwright.structure.identity import content_hash
from bondwright.structure.write import write_text

FORMAT = "bondwright-glass-prediction/1"
SUMMARY = "summary.json"
Progress = Callable[[int, int | None], None]
"""Takes the number of bonds done, and about how many there are; None while that is unknown."""


class Loader(Protocol):
    """Opens a model, in this process or another: hashable, and importable by name."""

    def __hash__(self) -> int: ...

    def __call__(self) -> BondPredictor:
        """Return the model."""
        ...


@dataclass(frozen=True)
class PredictionModel:
    """A model and what is to be known of it before it predicts.

    Attributes:
        loader: opens the model.
        method: name under which its numbers are stored, e.g. "bondwright-model/<hash>".
        window: lengths and reach of the environment.
        card: what it was trained on (see `BondModel.card`).
    """

    loader: Loader
    method: str
    window: Window
    card: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionSettings:
    """How to predict; nothing here changes a number.

    Attributes:
        block_atoms: most atoms that are predicted at a time; sets the memory needed.
        workers: worker processes, one thread each.
        lobster: also write an ICOHPLIST.lobster per frame.
        extxyz: also write an extended XYZ file per frame.
    """

    block_atoms: int = 3000
    workers: int = 1
    lobster: bool = False
    extxyz: bool = False


@contextmanager
def _unseen(_what: str, _unit: str) -> Iterator[Progress]:
    yield lambda _done, _total: None


def predict_frames(
    frames: Iterable[Frame],
    model: PredictionModel,
    folder: Path,
    settings: PredictionSettings = PredictionSettings(),
    show: Callable[[str, str], AbstractContextManager[Progress]] = _unseen,
) -> Iterator[dict[str, Any]]:
    """Predict frames one after the other, and yield each one's summary.

    Args:
        frames: taken lazily; the first is number 0.
        model: the model.
        folder: takes the results; what is complete in it is kept and not computed again.
        settings: block size, processes, further files.
        show: makes a progress display for one frame (`cli.console.progress_bar`).

    Yields:
        The frame's summary (see `predict_summary`), with "new" telling whether it was computed now.

    Raises:
        InputError: the folder holds the prediction of another model or of another glass, or a
            structure cannot be used.
    """
    for number, frame in enumerate(frames):
        if number == 0:  # a glass that cannot be read leaves no folder behind
            _claim(folder, model)
        target = folder / "frames" / f"{number:06d}"
        content = content_hash(frame.atoms)
        done = _finished(target, content, settings)
        if done is not None:
            yield {**done, "new": False}
            continue
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            with show(f"frame {number}, step {frame.step}", "bonds") as progress:
                summary = _predict_frame(frame, model, part, settings, progress)
            summary = {"format": FORMAT, "number": number, "content": content, **summary}
            write_text(part / SUMMARY, json.dumps(summary, indent=1, allow_nan=False) + "\n")
            shutil.rmtree(target, ignore_errors=True)  # one that lacks a file asked for now
            part.replace(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        yield {**summary, "new": True}


def _predict_frame(
    frame: Frame,
    model: PredictionModel,
    part: Path,
    settings: PredictionSettings,
    progress: Progress,
) -> dict[str, Any]:
    """Predict one frame into a folder and return its summary."""
    began = time.monotonic()
    atoms = frame.atoms
    spool = Spool(part / "spool")
    bonds, seen = 0, 0
    blocks = cut_blocks(atoms, model.window, settings.block_atoms)
    jobs = (_Job(model.loader, model.window, block) for block in blocks)
    if settings.workers <= 1:
        _loaded(model.loader)
    with _one_thread():
        for owned, rows in map_in_order(_predict_block, jobs, settings.workers):
            spool.add(rows)
            bonds, seen = bonds + len(rows), seen + owned
            progress(bonds, bonds if seen == len(atoms) else round(bonds / seen * len(atoms)))
    sums = AtomSums.empty(len(atoms))
    writer = BondWriter(part, atoms, frame.step, model.method, lobster=settings.lobster)
    with closing(writer):
        summary = summarise(atoms, _written(spool, writer, sums))
    (part / "spool").rmdir()
    write_atoms(part, atoms, frame.ids, frame.step, sums, extxyz=settings.extxyz)
    return {
        "step": frame.step,
        **summary,
        "drift": structure_drift(summary, model.card),
        "seconds": round(time.monotonic() - began, 3),
    }


def _written(spool: Spool, writer: BondWriter, sums: AtomSums) -> Iterator[NDArray[np.void]]:
    """Yield the bonds in order, written and summed up."""
    for rows in spool.sorted_parts():
        writer.write(rows)
        sums.add(rows)
        yield rows


@dataclass(frozen=True)
class _Job:
    """One block on its way to a worker."""

    loader: Loader
    window: Window
    block: Block


@lru_cache(maxsize=1)
def _loaded(loader: Loader) -> BondPredictor:
    return loader()


def _predict_block(job: _Job) -> tuple[int, NDArray[np.void]]:
    """Return how many atoms a block owns, and its bonds with dtype `ROW`."""
    cluster = job.block.cluster()
    bonds = block_bonds(job.block, cluster, job.window)
    rows = np.zeros(len(bonds.i), dtype=ROW)
    if len(rows):
        prediction = _loaded(job.loader).predict(cluster, bonds.pairs)
        rows["i"], rows["j"], rows["image"] = bonds.i, bonds.j, bonds.image
        rows["length"] = bonds.pairs.distance
        rows["mean"], rows["sigma"] = prediction.mean_eV, prediction.sigma_eV
        rows["flag"] = prediction.flag
    return job.block.owned, rows


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: sums in another order would give other last digits."""
    if "torch" not in sys.modules:  # the model does without
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _claim(folder: Path, model: PredictionModel) -> None:
    """Note in the folder which model its numbers are from.

    Raises:
        InputError: they are from another.
    """
    window = model.window
    header = {
        "format": FORMAT,
        "method": model.method,
        "window_A": [window.min_length_A, window.max_length_A],
        "environment_A": window.environment_A,
        "card": model.card,
    }
    path = folder / "prediction.json"
    if path.is_file():
        held = read_json(path)
        if held.get("method") != model.method:
            raise InputError(
                f"{folder} holds predictions of another model ({held.get('method')}); name another "
                "folder with --out."
            )
        return
    write_text(path, json.dumps(header, indent=1, allow_nan=False) + "\n")


def _finished(target: Path, content: str, settings: PredictionSettings) -> dict[str, Any] | None:
    """Return the summary of a frame that is done with every file that is asked for.

    Raises:
        InputError: another structure was predicted there.
    """
    if not (target / SUMMARY).is_file():
        return None
    summary = read_json(target / SUMMARY)
    if summary.get("content") != content:
        raise InputError(
            f"{target} holds the prediction of another structure; name another folder with --out."
        )
    wanted = [(settings.lobster, LOBSTER), (settings.extxyz, EXTXYZ)]
    return summary if all((target / name).is_file() for yes, name in wanted if yes) else None


def read_json(path: Path) -> dict[str, Any]:
    """Return a stored record.

    Raises:
        InputError: it is not there or damaged.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); predict again.") from None
    if not isinstance(record, dict):
        raise InputError(f"{path} holds no record of a prediction; predict again.")
    return record
