"""Crystals made for a campaign: parts land as files, and become a table that is read like any.

Used by `bondwright generate`, too, for a table without a campaign.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bondwright.campaign.config import InputSetting
from bondwright.campaign.generated_table import parquet_bytes
from bondwright.campaign.landing import disk_error, keep
from bondwright.campaign.work import Progress
from bondwright.crystals.generate import GenerationError, best_of, make
from bondwright.crystals.generate_arm import Arm, plan_arm
from bondwright.crystals.generate_wish import SEARCHES, Wish
from bondwright.errors import InputError
from bondwright.run import LocalPool, Resources, TaskResult, TaskStatus
from bondwright.structure.write import write_bytes

STAGE = "generate"
CPU_BATCH, GPU_BATCH = 128, 512
_BATCHES_PER_PART = 2
_PARTS_PER_WORKER = 4  # so that the first news of how fast it goes comes early
_SMALLEST_PART = 32
_HALVED = frozenset({TaskStatus.OUT_OF_MEMORY, TaskStatus.KILLED, TaskStatus.CRASHED})


@dataclass(frozen=True)
class Making:
    """How crystals are made; nothing here changes them.

    Attributes:
        workers: worker processes.
        batch: texts that a worker writes at a time; None for what suits the device.
        device: where models compute: "cpu", "cuda", "cuda:1".
        memory_mb: memory that one worker may use, MiB; None for no cap.
    """

    workers: int
    batch: int | None = None
    device: str = "cpu"
    memory_mb: int | None = None

    @property
    def texts(self) -> int:
        """Texts written at a time."""
        return self.batch or (CPU_BATCH if self.device == "cpu" else GPU_BATCH)


@dataclass(frozen=True)
class Part:
    """A piece of an arm, as it is sent to a worker."""

    arm: Arm
    first: int
    count: int
    batch: int
    device: str
    file: Path


def plan_arms(wishes: Sequence[Wish], seed: int) -> list[Arm]:
    """Return the arms of some wishes.

    Raises:
        InputError: one cannot be met (see `plan_arm`), or two are the same.
    """
    arms: dict[str, Arm] = {}
    for number, wish in enumerate(wishes, 1):
        arm = plan_arm(wish, seed)
        if arm.name in arms:
            raise InputError(
                f"two wishes are for the same crystals ({wish.words}, {wish.method}); the "
                f"{number}. of them needs another seed, or a larger n in the first."
            )
        arms[arm.name] = arm
    return list(arms.values())


def input_of(arm: Arm, table: Path, folder: Path) -> InputSetting:
    """Return the input of a campaign that an arm's table is.

    Args:
        arm: the arm.
        table: its table.
        folder: of the campaign.
    """
    return InputSetting(
        files=(table.relative_to(folder).as_posix(),),
        column="cif",
        asked=dict(arm.wish.asked),
        label=arm.wish.label or label_of(arm),
    )


def label_of(arm: Arm) -> str:
    """Return a short name of an arm: who makes it, and what it was asked for."""
    wish = arm.wish
    asked = ", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in sorted(wish.asked.items()))
    if wish.method != "model":
        return wish.method
    parts = ["model", asked or "asked for nothing", SEARCHES[wish.search]]
    return ", ".join(part for part in parts if part)


def make_part(part: Part) -> list[str]:
    """Make the crystals of a part and land them; return their problems, "" where there is none.

    Raises:
        InputError: the model cannot be loaded, or the result cannot be written.
    """
    began = time.monotonic()
    rows = make(part.arm, part.first, part.count, batch=part.batch, device=part.device)
    keep(part.file, {"rows": rows, "seconds": time.monotonic() - began})
    return [problem_of(row) for row in rows]


def problem_of(row: dict[str, Any]) -> str:
    """Return the slug of what is wrong with a row, "" for a crystal."""
    return str(row["problem"] or "").partition(":")[0]


class Workshop:
    """Makes the crystals of arms in one folder, whatever is there already.

    Args:
        folder: where parts and tables lie.
        making: how.
        pool: called for the workers when the first part is sent.
        progress: told how far all arms together are, as stage "generate".
        stopping: asked several times a second; True stops, and what is landed is kept.
    """

    def __init__(
        self,
        folder: Path,
        making: Making,
        pool: Callable[[], LocalPool],
        progress: Callable[[Progress], None],
        stopping: Callable[[], bool],
    ) -> None:
        self.folder, self.making = folder, making
        self._pool, self._progress, self._stopping = pool, progress, stopping
        self._began = time.monotonic()
        self._new, self._before, self._total = 0, 0, 0
        self._problems: Counter[str] = Counter()
        self._batch = making.texts

    def make_all(self, arms: Sequence[Arm]) -> int | None:
        """Make what is missing of some arms; return how many crystals, None when stopped.

        Raises:
            InputError: a model cannot be loaded, or the disk is full.
            GenerationError: workers died although they wrote one text at a time.
        """
        missing = {arm.name: self._missing(arm) for arm in arms}
        self._total = sum(arm.total for arm in arms)
        self._before = self._total - sum(count for m in missing.values() for _, count in m)
        self._tell()
        waiting = deque(part for arm in arms for part in self._parts(arm, missing[arm.name]))
        running: dict[Future[TaskResult], Part] = {}
        while waiting or running:
            if self._stopping():
                return None
            while waiting and len(running) < self.making.workers:
                part = waiting.popleft()
                # A driver of a GPU maps more memory than it uses.
                cap = self.making.memory_mb if self.making.device == "cpu" else None
                limits = Resources(memory_mb=cap)
                running[self._pool().submit(make_part, (part,), limits)] = part
            finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                part = running.pop(future)
                waiting.extendleft(self._take(part, future.result()))
        return self._new

    def rows(self, arm: Arm) -> list[dict[str, Any]]:
        """Return the crystals of an arm: all in order, or the likeliest where these were asked.

        Raises:
            InputError: some are missing.
        """
        found = self._landed(arm)
        numbers = range(arm.total)
        if any(number not in found for number in numbers):
            raise InputError(f"{arm.name} is not finished; run the same command again.")
        rows = [found[number] for number in numbers]
        return best_of(rows, arm.wish.n) if arm.ranked else rows

    def table(self, arm: Arm) -> Path:
        """Return the table of a finished arm; where it is not there, it is made of the parts.

        Raises:
            InputError: some crystals are missing, or it cannot be written.
        """
        path = self._table(arm)
        if not self._has_table(arm):
            rows = self.rows(arm)
            try:
                write_bytes(path, parquet_bytes(rows))
            except OSError as error:
                raise disk_error(error, path) from error
            shutil.rmtree(self.folder / arm.name, ignore_errors=True)
        return path

    def _table(self, arm: Arm) -> Path:
        best = f"-best-of-{arm.wish.best}" if arm.wish.best > 1 else ""
        return self.folder / f"{arm.name}{best}.parquet"

    def _has_table(self, arm: Arm) -> bool:
        """Return whether the table of an arm is there with as many rows as are asked for."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return int(pq.read_metadata(self._table(arm)).num_rows) == arm.wish.n
        except (OSError, pa.ArrowException):
            return False

    def _missing(self, arm: Arm) -> list[tuple[int, int]]:
        """Return the stretches (first, count) that are not there."""
        if self._has_table(arm):
            return []
        found = self._landed(arm)
        stretches: list[tuple[int, int]] = []
        for number in range(arm.total):
            if number in found:
                continue
            if stretches and sum(stretches[-1]) == number:
                stretches[-1] = (stretches[-1][0], stretches[-1][1] + 1)
            else:
                stretches.append((number, 1))
        return stretches

    def _parts(self, arm: Arm, missing: Sequence[tuple[int, int]]) -> Iterator[Part]:
        owed = sum(count for _, count in missing)
        share = -(-owed // (_PARTS_PER_WORKER * self.making.workers))
        size = min(_BATCHES_PER_PART * self._batch, max(share, _SMALLEST_PART))
        if not arm.divisible:
            size = max(owed, 1)
        for first, count in missing:
            for start in range(first, first + count, size):
                yield self._part(arm, start, min(size, first + count - start))

    def _part(self, arm: Arm, first: int, count: int) -> Part:
        file = self.folder / arm.name / f"{first:09}-{count}.json"
        return Part(arm, first, count, self._batch, self.making.device, file)

    def _take(self, part: Part, result: TaskResult) -> list[Part]:
        """Accept what became of a part; return what has to be done again."""
        if result.status is TaskStatus.DONE:
            self._new += part.count
            self._problems.update(result.value)
            self._tell()
            return []
        if result.error_type == InputError.__name__:
            raise InputError(result.message)
        if result.status not in _HALVED:
            raise RuntimeError(result.traceback or result.message)
        if part.batch == 1:
            raise GenerationError(
                f"a worker that wrote one text at a time died ({result.message}); give it more "
                "memory, or take a smaller model."
            )
        self._batch = min(self._batch, part.batch // 2)
        if not part.arm.divisible:
            return [self._part(part.arm, part.first, part.count)]
        half = max(1, part.count // 2)
        pieces = [(part.first, half), (part.first + half, part.count - half)]
        return [self._part(part.arm, first, n) for first, n in reversed(pieces) if n]

    def _landed(self, arm: Arm) -> dict[int, dict[str, Any]]:
        """Return the rows of an arm that are there, in a smaller table or as parts."""
        found = {int(row["number"]): row for row in _rows_of(self._table(arm))}
        for path in sorted((self.folder / arm.name).glob("*.json")):
            try:
                rows = json.loads(path.read_bytes())["rows"]
                found |= {int(row["number"]): row for row in rows}
            except (OSError, ValueError, TypeError, KeyError):
                path.unlink(missing_ok=True)  # torn by a power cut: it is made again
        return found

    def _tell(self) -> None:
        seconds = time.monotonic() - self._began
        problems = {slug: n for slug, n in self._problems.items() if slug}
        counts = {"made": self._problems[""], **problems}
        rate = self._new / seconds if self._new and seconds > 0 else None
        self._progress(Progress(STAGE, self._before + self._new, self._total, counts, rate))


def unfinished(folder: Path) -> dict[str, int]:
    """Return the arms that have no table yet: name -> crystals that have landed."""
    parts = sorted(folder.glob("*/*-*.json"))
    counts: Counter[str] = Counter()
    for path in parts:
        counts[path.parent.name] += int(path.stem.partition("-")[2])
    return dict(counts)


def _rows_of(table: Path) -> list[dict[str, Any]]:
    """Return the rows of a table; none where there is no readable one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(table).to_pylist()
    except (OSError, pa.ArrowException):
        return []
    return rows
