"""A glass project's folder: where its cells, labels, features and models are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.campaign.folder import CampaignFolder
from bondwright.errors import InputError
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.sandbox import parse_texts
from bondwright.structure.texts import decode, read_bytes
from bondwright.structure.write import write_extxyz, write_text

CONFIG_NAME = "glass.toml"
REFERENCE = "0"
"""Variant name of the quenched cell itself."""
_KIND = "extxyz"
_PROVENANCE = "provenance.json"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class CellName:
    """Which cell: "<composition>/<run>/<variant>", e.g. "Zr49Cu49Al2/21/0".

    Attributes:
        composition: e.g. "Zr49Cu49Al2".
        number: which of the composition's runs, e.g. "21".
        variant: "0" is the quenched cell.
    """

    composition: str
    number: str
    variant: str = REFERENCE

    def __post_init__(self) -> None:
        for part in (self.composition, self.number, self.variant):
            if not _PART.fullmatch(part) or ".." in part:
                raise InputError(
                    f"{self}: {part!r} cannot be part of a cell's name; use letters, digits and "
                    ". _ + -, as in Zr49Cu49Al2/21/0."
                )

    @classmethod
    def parse(cls, text: str) -> CellName:
        """Read a name of two parts (the reference cell of a run) or three.

        Raises:
            InputError: it has another form.
        """
        parts = text.split("/")
        if len(parts) not in (2, 3):
            raise InputError(
                f"{text!r} names no cell; write <composition>/<run>/<variant>: Zr49Cu49Al2/21/0."
            )
        return cls(*parts)

    @property
    def run(self) -> str:
        """The run, e.g. "Zr49Cu49Al2/21"."""
        return f"{self.composition}/{self.number}"

    def __str__(self) -> str:
        return f"{self.run}/{self.variant}"

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key: runs and variants that are numbers in the order of numbers."""
        return self.composition, *_numbers_first(self.number), *_numbers_first(self.variant)


@dataclass(frozen=True)
class GlassFolder:
    """The files of one glass project.

    Attributes:
        root: the folder.
    """

    root: Path

    @property
    def config(self) -> Path:
        """The file that the user writes."""
        return self.root / CONFIG_NAME

    @property
    def cells(self) -> Path:
        """Structures: <composition>/<run>/cell.extxyz and <variant>/structure.extxyz."""
        return self.root / "cells"

    @property
    def labels(self) -> Path:
        """One record and one bond table per label, named by content."""
        return self.root / "labels"

    @property
    def calculations(self) -> Path:
        """What the label engine keeps: converged densities, one folder per structure."""
        return self.root / "calculations"

    @property
    def features(self) -> Path:
        """Descriptors of the labelled bonds."""
        return self.root / "features"

    @property
    def training(self) -> Path:
        """Recorded draws of training sets."""
        return self.root / "training"

    @property
    def models(self) -> Path:
        """One folder per model version."""
        return self.root / "models"

    @property
    def predictions(self) -> Path:
        """What models predicted for large glasses."""
        return self.root / "predictions"

    @property
    def rounds(self) -> Path:
        """One record per round of active learning."""
        return self.root / "rounds"

    @property
    def comparison(self) -> Path:
        """Active learning beside random choice, over several seeds."""
        return self.root / "active-learning.json"

    @property
    def report(self) -> Path:
        """The page that sums it all up."""
        return self.root / "report.html"

    @property
    def costs(self) -> Path:
        """What each step cost, one JSON line each."""
        return self.root / "cost.jsonl"

    @property
    def log(self) -> Path:
        """What the workers printed, tracebacks of crashes included."""
        return self.root / "workers.log"

    def driver_lock(self) -> AbstractContextManager[None]:
        """Hold the right to change this project.

        Raises:
            BusyError: another process drives it.
            InputError: the folder cannot be written.
        """
        return CampaignFolder(self.root).driver_lock()

    def run_folder(self, name: CellName) -> Path:
        """Return the folder of a cell's run."""
        return self.cells / name.composition / name.number

    def structure_file(self, name: CellName) -> Path:
        """Return where the structure of a cell lies, whether it exists or not."""
        if name.variant == REFERENCE:
            return self.run_folder(name) / "cell.extxyz"
        return self.run_folder(name) / name.variant / "structure.extxyz"

    def names(self) -> list[CellName]:
        """Return every cell of the project whose structure is there, in order."""
        return sorted(self._found(), key=lambda name: name.order)

    def _found(self) -> Iterator[CellName]:
        for path in self.cells.glob("*/*/cell.extxyz"):
            yield CellName(*path.parts[-3:-1])
        for path in self.cells.glob("*/*/*/structure.extxyz"):
            name = CellName(*path.parts[-4:-1])
            if name.variant != REFERENCE:
                yield name

    def runs(self, composition: str | None = None) -> list[CellName]:
        """Return the reference cell of every run (of one composition)."""
        return [
            name
            for name in self.names()
            if name.variant == REFERENCE and composition in (None, name.composition)
        ]

    def read(self, name: CellName) -> Atoms:
        """Return the structure of a cell (Å).

        Raises:
            InputError: it is not there, or cannot be read.
        """
        return next(self.read_all([name]))[1]

    def read_all(self, names: Iterable[CellName]) -> Iterator[tuple[CellName, Atoms]]:
        """Yield the structures of several cells, which are parsed in one go.

        Raises:
            InputError: one is not there, or cannot be read.
        """
        wanted = list(names)
        limits = ReadLimits()
        texts = ((_KIND, self._text(name, limits)) for name in wanted)
        for name, found in zip(wanted, parse_texts(texts, limits, processes=1), strict=True):
            atoms, problem = found[0].atoms, found[0].problem
            if atoms is None:
                why = problem.message if problem else "it holds no structure."
                raise InputError(f"{name}: its structure cannot be read: {why}")
            yield name, atoms

    def _text(self, name: CellName, limits: ReadLimits) -> str:
        path = self.structure_file(name)
        if not path.is_file():
            raise InputError(f"{name}: there is no {path.relative_to(self.root)} in the project.")
        return decode(read_bytes(path, limits.text_bytes))[0]

    def add(self, name: CellName, atoms: Atoms, provenance: dict[str, Any]) -> Path:
        """Write a structure and where it comes from; a cell that is there already is kept.

        Args:
            name: the cell.
            atoms: its structure (Å).
            provenance: JSON values, written beside it as provenance.json.

        Returns:
            The structure's file.
        """
        path = self.structure_file(name)
        if not path.is_file():
            text = json.dumps({"name": str(name), **provenance}, indent=1, allow_nan=False)
            write_text(path.with_name(_PROVENANCE), text + "\n")
            write_extxyz(path, [atoms])
        return path

    def provenance(self, name: CellName) -> dict[str, Any]:
        """Return what is known of where a structure comes from; nothing where nothing was kept."""
        path = self.structure_file(name).with_name(_PROVENANCE)
        if not path.is_file():
            return {}
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found


def _numbers_first(text: str) -> tuple[bool, int, str]:
    return (False, int(text), "") if text.isdigit() else (True, 0, text)
