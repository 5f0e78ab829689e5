"""Running pw.x: in a process group of its own, within a time limit, watched while it works."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from bondwright.dft.engine import ScfProgress
from bondwright.dft.espresso.units import RYDBERG_EV
from bondwright.errors import InputError
from bondwright.structure.write import write_text

INPUT = "pw.in"
OUTPUT = "pw.out"
ERRORS = "pw.err"
_PROCESS = "pw.process.json"
_GRACE_S = 5.0
_LOOK_S = 0.1
_ITERATION = re.compile(rb"^\s+iteration #\s*(\d+)", re.MULTILINE)
_ENERGY = re.compile(rb"^!?\s+total energy\s+=\s*(-?\d+\.\d+)\s*Ry", re.MULTILINE)


@dataclass(frozen=True)
class RunEnd:
    """How the process ended.

    Attributes:
        returncode: exit code, negative for a signal.
        timed_out: it was killed at the time limit.
        seconds: wall-clock time.
        errors: what it and MPI wrote to standard error, the last 10,000 characters.
    """

    returncode: int
    timed_out: bool
    seconds: float
    errors: str


def find_program(program: str) -> Path:
    """Return where a program of Quantum ESPRESSO is.

    Args:
        program: name on the PATH, or a path.

    Raises:
        InputError: it is not there.
    """
    found = shutil.which(program)
    if found is None:
        raise InputError(
            f"{program} is not installed or not on the PATH; install Quantum ESPRESSO (Debian, "
            "Ubuntu: apt install quantum-espresso), or give the program's full path."
        )
    return Path(found).resolve()


@lru_cache(maxsize=8)
def program_version(program: Path) -> str:
    """Return the version that pw.x prints about itself, e.g. "6.7MaX".

    Raises:
        InputError: it does not start, or prints none.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(  # noqa: S603  (the user's own program)
                [str(program)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=folder,
                timeout=60,
                check=False,
                env=_environment(),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"{program}: does not start ({error}); is it pw.x?") from error
    found = re.search(rb"Program PWSCF v\.?\s*(\S+)", done.stdout)
    if not found:
        raise InputError(f"{program}: prints no version of PWSCF; is it pw.x?")
    return found[1].decode(errors="replace")


def run_pw(
    command: Sequence[str],
    folder: Path,
    *,
    time_limit_s: float | None = None,
    progress: ScfProgress | None = None,
) -> RunEnd:
    """Run pw.x on the file `pw.in` of a folder; its output goes to `pw.out` and `pw.err`.

    A process of an earlier call that outlived its driver is ended first, so that two never write
    to the same files. Whatever happens here, the whole process group is ended on leaving.

    Args:
        command: program and what stands before it, e.g. ["mpirun", "-np", "4", "/usr/bin/pw.x"].
        folder: working folder.
        time_limit_s: seconds after which everything is killed; None for no limit.
        progress: called after each SCF iteration.

    Raises:
        InputError: the command cannot be started.
    """
    end_leftover(folder)
    (folder / "CRASH").unlink(missing_ok=True)
    begin = time.monotonic()
    watcher = _Watcher(folder / OUTPUT, progress)
    timed_out = False
    with (folder / OUTPUT).open("wb") as out, (folder / ERRORS).open("wb") as err:
        try:
            process = subprocess.Popen(  # noqa: S603  (a list, never a shell)
                [*command, "-in", INPUT],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise InputError(
                f"{command[0]}: cannot be started ({error.strerror}); is it installed?"
            ) from error
        try:
            _note_process(folder, process.pid)
            while process.poll() is None:
                watcher.look()
                if time_limit_s is not None and time.monotonic() - begin > time_limit_s:
                    timed_out = True
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)
        finally:
            _end_group(process)
            (folder / _PROCESS).unlink(missing_ok=True)
    watcher.look()
    errors = (folder / ERRORS).read_bytes()[-10_000:].decode("utf-8", errors="replace")
    return RunEnd(process.returncode, timed_out, time.monotonic() - begin, errors)


def end_leftover(folder: Path) -> None:
    """End the process that an earlier driver left in a folder, if it still runs on this machine."""
    try:
        note = json.loads((folder / _PROCESS).read_bytes())
        pid, born, host = int(note["pid"]), float(note["born"]), str(note["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if host == socket.gethostname():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            leftover = psutil.Process(pid)
            if abs(leftover.create_time() - born) < 1.0:
                os.killpg(pid, signal.SIGKILL)
                leftover.wait(_GRACE_S)
    (folder / _PROCESS).unlink(missing_ok=True)


class _Watcher:
    """Follows an output file and reports its SCF iterations."""

    def __init__(self, path: Path, progress: ScfProgress | None) -> None:
        self._path, self._progress = path, progress
        self._read, self._rest = 0, b""
        self._number, self._energy = 0, None  # type: int, float | None

    def look(self) -> None:
        if self._progress is None:
            return
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:
            return
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            if found := _ITERATION.match(line):
                self._number = int(found[1])
            elif found := _ENERGY.match(line):
                energy = float(found[1]) * RYDBERG_EV
                change = None if self._energy is None else energy - self._energy
                self._progress(self._number, change)
                self._energy = energy


def _note_process(folder: Path, pid: int) -> None:
    try:
        born = psutil.Process(pid).create_time()
    except psutil.Error:
        return  # it has ended already
    note = {"pid": pid, "born": born, "host": socket.gethostname()}
    write_text(folder / _PROCESS, json.dumps(note))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process group, gently first; its leader is waited for."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment() -> dict[str, str]:
    """One thread per process unless the user says otherwise: MPI does the rest."""
    return {"OMP_NUM_THREADS": "1", **os.environ}
