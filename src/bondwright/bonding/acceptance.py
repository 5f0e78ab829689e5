"""Whether the -ICOHPs of a table may be used as labels."""

from __future__ import annotations

from dataclasses import dataclass

from bondwright.bonding.table import BondTable

MAX_CHARGE_SPILLING = 0.05
"""Largest share of the occupied charge that a usable projection may lose."""


@dataclass(frozen=True)
class LabelVerdict:
    """Whether a label may be used; why not as a stable slug and as a sentence with numbers."""

    accepted: bool
    reason: str = ""
    message: str = ""


def accept_label(
    table: BondTable, *, max_charge_spilling: float = MAX_CHARGE_SPILLING
) -> LabelVerdict:
    """Decide whether a table's -ICOHPs may be used.

    Args:
        table: the bonds with what is known of their calculation.
        max_charge_spilling: largest share of the occupied charge that may be lost, 0..1.

    Returns:
        Accepted, or one of the reasons `unfinished`, `too-few-bands`, `charge-spilling-unknown`
        and `charge-spilling`.
    """
    run = table.details.get("lobster", {})
    if run.get("finished") is False:
        return LabelVerdict(False, "unfinished", f"{table.method} did not finish; run it again.")
    if run.get("too_few_bands"):
        return LabelVerdict(
            False, "too-few-bands", "the DFT run had fewer bands than the local basis has orbitals."
        )
    lost = table.charge_spilling
    if lost is None:
        return LabelVerdict(
            False, "charge-spilling-unknown", "the charge spilling of the projection is not known."
        )
    if lost > max_charge_spilling:
        return LabelVerdict(
            False,
            "charge-spilling",
            f"the projection lost {lost:.2%} of the charge; at most {max_charge_spilling:.2%} "
            "is allowed. Choose a larger local basis.",
        )
    return LabelVerdict(True)
