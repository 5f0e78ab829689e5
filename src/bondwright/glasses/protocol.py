"""How a glass is made: melted, cooled at a rate, held."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from bondwright.errors import InputError, nearest


@dataclass(frozen=True)
class Stage:
    """One part of a protocol: so many steps while the thermostat goes from one temperature to
    another."""

    name: str
    first_step: int
    last_step: int
    from_K: float
    to_K: float


@dataclass(frozen=True)
class Protocol:
    """A melt-quench at zero pressure (isotropic NPT throughout).

    Attributes:
        name: "quick", "standard", "slow", "published", or "custom".
        cooling_rate_K_per_s: rate of the quench.
        melt_temperature_K: temperature of the melt, and how long it is kept.
        melt_time_ps: see there.
        final_temperature_K: temperature of the glass, and how long it is held there.
        hold_time_ps: see there.
        timestep_fs: of the integration.
        thermostat_damping_ps: of the Nosé-Hoover thermostat.
        barostat_damping_ps: of the Nosé-Hoover barostat.
        pressure_GPa: external pressure.
    """

    name: str
    cooling_rate_K_per_s: float
    melt_time_ps: float
    hold_time_ps: float
    melt_temperature_K: float = 2000.0
    final_temperature_K: float = 300.0
    timestep_fs: float = 2.0
    thermostat_damping_ps: float = 0.2
    barostat_damping_ps: float = 2.0
    pressure_GPa: float = 0.0

    def stages(self) -> tuple[Stage, Stage, Stage]:
        """Return melt, quench and hold with their steps."""
        hot, cold = self.melt_temperature_K, self.final_temperature_K
        quench_ps = (hot - cold) / self.cooling_rate_K_per_s * 1e12
        ends, step = [0], 0
        for time_ps in (self.melt_time_ps, quench_ps, self.hold_time_ps):
            step += max(1, round(time_ps * 1000 / self.timestep_fs))
            ends.append(step)
        return (
            Stage("melt", ends[0], ends[1], hot, hot),
            Stage("quench", ends[1], ends[2], hot, cold),
            Stage("hold", ends[2], ends[3], cold, cold),
        )

    @property
    def steps(self) -> int:
        """Number of time steps in all."""
        return self.stages()[-1].last_step

    def to_json(self) -> dict[str, Any]:
        """Return the protocol as JSON values."""
        return asdict(self)


PRESETS = {
    "quick": Protocol("quick", 1e13, 40.0, 40.0),
    "standard": Protocol("standard", 1e12, 200.0, 200.0),
    "slow": Protocol("slow", 1e11, 1000.0, 1000.0),
    # Phys. Rev. Materials 4, 113603 (2020): 2 ns at 2000 K, 200 ns of cooling, 2 ns at 300 K.
    "published": Protocol("published", 8.5e9, 2000.0, 2000.0),
}
_FASTEST, _SLOWEST = 1e15, 1e8


def protocol_of(rate: str | float, **changes: float) -> Protocol:
    """Return the protocol of a preset or of a cooling rate in K/s.

    Of a rate of one's own, melt and hold last 12 % of the quench, as in the presets, and from 1
    to 2000 ps.

    Args:
        rate: name of a preset, or a number ("1e12", "1e12 K/s").
        changes: other values of `Protocol`, e.g. melt_temperature_K=1800.0.

    Raises:
        InputError: no such preset, or values that make no protocol.
    """
    protocol = PRESETS.get(str(rate).strip().lower())
    if protocol is None:
        text = re.sub(r"\s*K\s*/\s*s\s*$", "", str(rate))
        try:
            speed = float(text)
        except ValueError:
            known = ", ".join(PRESETS)
            raise InputError(
                f"no cooling rate {rate!r}; known are {known}, or a number in K/s such as 1e12."
                f"{nearest(str(rate), PRESETS)}"
            ) from None
        if not _SLOWEST <= speed <= _FASTEST:
            raise InputError(
                f"a cooling rate of {speed:g} K/s is outside {_SLOWEST:g} to {_FASTEST:g} K/s."
            )
        hot = changes.get("melt_temperature_K", 2000.0)
        kept = min(2000.0, max(1.0, 0.12 * (hot - 300.0) / speed * 1e12))
        protocol = Protocol("custom", speed, kept, kept)
    if changes:
        protocol = Protocol(**{**protocol.to_json(), **changes})
    if not 0 < protocol.final_temperature_K < protocol.melt_temperature_K <= 20000:
        raise InputError(
            f"a melt of {protocol.melt_temperature_K:g} K cannot be cooled to "
            f"{protocol.final_temperature_K:g} K."
        )
    if not 0 < protocol.timestep_fs <= 10:
        raise InputError(f"a time step of {protocol.timestep_fs:g} fs is not usable; take 1 or 2.")
    return protocol
