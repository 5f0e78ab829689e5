"""Quench a cell in a folder and kill the process at a step: run by a test."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from bondwright.glasses import melt_quench as module
from bondwright.glasses.composition import parse_composition
from bondwright.glasses.potentials import choose_potential
from bondwright.glasses.protocol import protocol_of


def stop(now: module.Progress) -> None:
    if now.step >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)


module._SELDOM_S = 0.0
module.melt_quench(
    parse_composition("ZrCu"),
    60,
    protocol_of("1e15"),
    1,
    Path(sys.argv[1]),
    choose_potential(["Zr", "Cu"]),
    stop,
    segment_steps=800,
)
