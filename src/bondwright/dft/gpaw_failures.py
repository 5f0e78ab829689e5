"""What stops GPAW, in a session's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bondwright.dft.calculation import Status


class GiveUpError(Exception):
    """The calculation ends with a status other than converged.

    Attributes:
        status: of the calculation.
        reason: a stable slug.
    """

    def __init__(self, status: Status, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class DivergedError(Exception):
    """The SCF ran away; another start may not."""


@contextmanager
def gpaw_failures(log: str) -> Iterator[None]:
    """Turn what GPAW raises into a status, except an SCF that does not settle.

    Args:
        log: name of GPAW's own text, for the messages.

    Raises:
        GiveUpError: there is no ground state to be had.
        DivergedError: numbers that are none came up.
    """
    from gpaw.utilities import AtomsTooClose

    try:
        yield
    except MemoryError:
        raise GiveUpError(
            Status.FAILED,
            "out-of-memory",
            "There is not enough memory; lower the cut-off or the k-points, or use a larger "
            "machine.",
        ) from None
    except AtomsTooClose as error:
        raise GiveUpError(Status.FAILED, "atoms-too-close", f"{error}.") from None
    except (np.linalg.LinAlgError, FloatingPointError) as error:
        raise DivergedError from error
    except (RuntimeError, ValueError, AssertionError) as error:
        if "NaN" in str(error):
            raise DivergedError from error
        raise GiveUpError(
            Status.FAILED,
            "engine-error",
            f"GPAW stopped with {type(error).__name__}: {_first_line(error)}; see {log}.",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
