"""What can go wrong while a glass is made."""

from __future__ import annotations

from bondwright.errors import BondwrightError


class GlassError(BondwrightError):
    """A simulation that ended without the glass that was asked for.

    Attributes:
        reason: stable slug for counting ("lost-atoms", "engine-error").
    """

    exit_code = 4

    def __init__(self, message: str, reason: str = "engine-error") -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[GlassError], tuple[str, str]]:
        return type(self), (str(self), self.reason)
