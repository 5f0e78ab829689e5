"""Driving a campaign: every stage in order of cost, every result kept, nothing done twice.

The same function starts, continues and finishes a campaign: it looks at what is in the store and
does what is missing. It may be killed at any moment.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from bondwright.campaign.config import CampaignConfig, leave_out, load_config
from bondwright.campaign.folder import NETWORK_FILE_SYSTEMS, CampaignFolder, file_system_type
from bondwright.campaign.generating import STAGE, Making, Workshop, input_of, plan_arms
from bondwright.campaign.known import formulas_of, index_of_formulas
from bondwright.campaign.landing import landed
from bondwright.campaign.plan import Plan, apply_pointers, plan_stage
from bondwright.campaign.provenance import config_json, host_facts, private_command, versions
from bondwright.campaign.reading import Stopped, read_inputs
from bondwright.campaign.stages import CheckTask, GroupTask, run_check, run_group
from bondwright.campaign.store import Store
from bondwright.campaign.work import Arrivals, Progress, make_tasks
from bondwright.run import LocalPool, Resources, TaskResult
from bondwright.screen.verdict import Outcome

__all__ = ["Progress", "RunSummary", "run_campaign"]


@dataclass
class RunSummary:
    """What one run did.

    Attributes:
        new: stage -> number of results that this run added.
        recovered: results found on the disk that a killed run had left behind.
        interrupted: True when the user stopped it before the end.
        warnings: sentences that the user should see.
        seconds: wall-clock seconds.
    """

    new: dict[str, int] = field(default_factory=dict)
    recovered: int = 0
    interrupted: bool = False
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def idle(self) -> bool:
        """True when everything had been done before."""
        return not self.interrupted and not any(self.new.values()) and not self.recovered


def run_campaign(
    root: Path,
    *,
    workers: int | None = None,
    retry_failed: bool = False,
    without: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
    command: list[str] | None = None,
) -> RunSummary:
    """Bring a campaign to its end, from wherever it stands.

    SIGINT and SIGTERM stop it cleanly (when called in the main thread): finished results are
    kept, and the next call continues.

    Args:
        root: the campaign's folder; it holds campaign.toml.
        workers: worker processes; None for what campaign.toml says. Results do not depend on it.
        retry_failed: try again what timed out, crashed or ran out of memory before.
        without: stages that this run leaves out, as if campaign.toml had disabled them.
        progress: called with the state of a stage, several times a second.
        command: the command line to note down; paths in it lose their folders.

    Raises:
        BusyError: another process drives this campaign.
        InputError: the configuration, an input file or the folder cannot be used.
    """
    folder = CampaignFolder(root)
    config = load_config(folder.config)
    if workers is not None:
        config = replace(config, run=replace(config.run, workers=workers))
    config = leave_out(config, without)
    with folder.driver_lock(), _stop_signals() as stopping, ExitStack() as stack:
        store = Store.open(folder.store)
        stack.callback(store.close)
        driver = _Driver(folder, config, store, stopping, progress, retry_failed, stack)
        return driver.run(private_command(command or []))


class _Driver:
    """The state of one run."""

    def __init__(
        self,
        folder: CampaignFolder,
        config: CampaignConfig,
        store: Store,
        stopping: threading.Event,
        progress: Callable[[Progress], None] | None,
        retry_failed: bool,
        stack: ExitStack,
    ) -> None:
        self.folder = folder
        self.config = config
        self.store = store
        self.stopping = stopping
        self.progress = progress or (lambda _: None)
        self.retry_failed = retry_failed
        self.summary = RunSummary()
        self._stack = stack
        self._pool: LocalPool | None = None

    def run(self, command: str) -> RunSummary:
        """Do all that is missing and return what was done."""
        began = time.monotonic()
        self._warn()
        config = config_json(self.config)
        with self.store.transaction():
            number = self.store.begin_invocation(command, host_facts(), versions(), config)
            self.store.set_meta("config", config)
        outcome = "failed"
        try:
            self._recover()
            self._generate()
            self._read()
            self._find_known(number)
            self._screen()
            outcome = "interrupted" if self.summary.interrupted else "finished"
        except Stopped:
            self.summary.interrupted = True
            outcome = "interrupted"
        finally:
            with self.store.transaction():
                self.store.end_invocation(number, outcome)
        self.summary.seconds = time.monotonic() - began
        return self.summary

    def _warn(self) -> None:
        kind = file_system_type(self.folder.root)
        if kind in NETWORK_FILE_SYSTEMS:
            self.summary.warnings.append(
                f"{self.folder.root.name} is on a network file system ({kind}); the database uses "
                "its slower, safer journal there. A local disk is faster and safer still."
            )

    def _recover(self) -> None:
        """Take in what a killed run had finished but not stored."""
        known = {s: self.store.findings(s) for s in self.config.stages}
        for path, records in landed(self.folder.results):
            new = [r for r in records if r.content_key not in known.get(r.verdict.stage, {})]
            with self.store.transaction():
                self.store.add_records(new)
            path.unlink()
            self.summary.recovered += len(new)

    def _generate(self) -> None:
        """Make the crystals that are wished for; from here on their tables are inputs."""
        if not self.config.generate:
            return
        arms = plan_arms(self.config.generate, self.config.seed)
        run = self.config.run
        making = Making(run.worker_count, device=run.device, memory_mb=run.memory_mb)
        stop = self.stopping.is_set
        shop = Workshop(self.folder.generated, making, self._get_pool, self.progress, stop)
        made = shop.make_all(arms)
        if made is None:
            raise Stopped
        self.summary.new[STAGE] = made
        tables = [input_of(arm, shop.table(arm), self.folder.root) for arm in arms]
        self.config = replace(self.config, inputs=(*self.config.inputs, *tables))
        self.summary.warnings += [warning for arm in arms for warning in arm.warnings]

    def _read(self) -> None:
        began = time.monotonic()
        self.summary.new["read"] = read_inputs(
            self.store,
            self.config,
            lambda _, n: self.progress(
                Progress("read", n, None, {}, n / max(time.monotonic() - began, 1e-9))
            ),
            self.stopping.is_set,
        )

    def _find_known(self, number: int) -> None:
        """Index the known structures of this campaign's formulas, where no index was given."""
        stages = self.config.stages
        tables = {s: found.known for s, found in stages.items() if found.enabled and found.known}
        if not tables:
            return
        formulas = formulas_of(c.atoms for c in self.store.candidates() if c.atoms is not None)
        for stage, table in tables.items():
            index = index_of_formulas(table, formulas, self.folder.root)
            stages = {**stages, stage: replace(stages[stage], reference=index)}
        self.config = replace(self.config, stages=stages)
        config = config_json(self.config)
        with self.store.transaction():
            self.store.set_settings(number, config)
            self.store.set_meta("config", config)

    def _screen(self) -> None:
        funnel = self.config.funnel
        with self.store.transaction():
            for stage in self.config.stages.keys() - set(funnel):
                self.store.unpoint(stage)
        entering = self.store.standings()
        for place, stage in enumerate(funnel):
            if stage != "read":
                plan = plan_stage(self.store, self.config, stage, entering, self.retry_failed)
                apply_pointers(self.store, plan, funnel[place + 1 :])
                self._work(plan)
                if self.summary.interrupted:
                    return
                said = self.store.meta(f"warnings {stage}") or []
                self.summary.warnings += [w for w in said if w not in self.summary.warnings]
            now = self.store.current(stage)
            entering = [
                c
                for c in entering
                if (c.control and c.readable)
                or (c.key in now and now[c.key].outcome is Outcome.PASSED)
            ]

    def _work(self, plan: Plan) -> None:
        """Do what a stage is missing, keeping the pool busy and storing results as they come."""
        arriving = Arrivals(self.store, plan, self.progress)
        tasks = make_tasks(self.store, self.config, plan, self.folder.results)
        running: dict[Future[TaskResult], CheckTask | GroupTask] = {}
        try:
            while not self.stopping.is_set():
                for task, resources in islice(tasks, 2 * self._workers - len(running)):
                    running[self._submit(task, resources)] = task
                if not running:
                    break
                finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    arriving.take(running.pop(future), future.result())
                arriving.store_if_due()
        finally:
            for future, task in running.items():
                if future.done():
                    arriving.take(task, future.result())
            arriving.store_now()
            self.summary.new[plan.stage] = arriving.new
        self.summary.interrupted = self.stopping.is_set()

    @property
    def _workers(self) -> int:
        return self.config.run.worker_count

    def _submit(self, task: CheckTask | GroupTask, resources: Resources) -> Future[TaskResult]:
        function = run_check if isinstance(task, CheckTask) else run_group
        return self._get_pool().submit(function, (task,), resources)

    def _get_pool(self) -> LocalPool:
        if self._pool is None:
            self._pool = self._stack.enter_context(LocalPool(self._workers, log=self.folder.log))
        return self._pool


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into a request to stop; a second SIGINT acts at once."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def ask(number: int, _: object) -> None:
        if stopping.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopping.set()

    old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
