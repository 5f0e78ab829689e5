"""The engines by name."""

from __future__ import annotations

from bondwright.dft.engine import Engine
from bondwright.errors import InputError, nearest

ENGINES = ("gpaw", "espresso")


def get_engine(name: str = "gpaw") -> Engine:
    """Return an engine.

    Whether its program is installed is asked by `Engine.version` and `Engine.open`.

    Raises:
        InputError: there is no engine of that name.
    """
    if name == "gpaw":
        from bondwright.dft.gpaw_engine import GpawEngine

        return GpawEngine()
    if name == "espresso":
        from bondwright.dft.espresso.engine import EspressoEngine

        return EspressoEngine()
    known = ", ".join(ENGINES)
    raise InputError(
        f"there is no DFT engine {name!r}; choose one of {known}." + nearest(name, ENGINES)
    )
