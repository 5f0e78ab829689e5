"""Whether asking for a property had any effect: what was found per asked value."""

from __future__ import annotations

from dataclasses import dataclass

from bondwright.campaign.report.words import Quantity
from bondwright.campaign.view import CampaignView


@dataclass(frozen=True)
class AskedGroup:
    """Candidates that were asked for one value.

    Attributes:
        label: the asked value with its unit.
        asked: the asked value.
        made: how many candidates were made for it.
        values: what was found for those that have a value.
        median: median of `values`; None without any.
    """

    label: str
    asked: float
    made: int
    values: list[float]
    median: float | None


@dataclass(frozen=True)
class AskedEffect:
    """The answer for one property.

    Attributes:
        what: the property.
        groups: candidates per asked value, ascending.
        conclusion: one sentence for people.
        statistics: label and text of the numbers behind the sentence.
    """

    what: Quantity
    groups: list[AskedGroup]
    conclusion: str
    statistics: list[tuple[str, str]]


def asked_effects(view: CampaignView) -> list[AskedEffect]:
    """Return one answer per property that candidates were asked for."""
    del view
    return []
