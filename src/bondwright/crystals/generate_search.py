"""The crystals of an arm that are found by tree search: the whole search, then the best of it."""

from __future__ import annotations

from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.evaluation_known import Known
from bondwright.crystals.generate_arm import Arm
from bondwright.crystals.sampling import SamplingSettings
from bondwright.crystals.sampling_text import Sample
from bondwright.crystals.search import TreeSettings, tree_search
from bondwright.crystals.search_reward import CrystalReward


def searched(
    arm: Arm, model: LoadedModel, known: Known | None, settings: SamplingSettings
) -> list[tuple[Sample, float]]:
    """Return the different texts that a search wrote and their rewards, best first.

    Args:
        arm: with the search "tree".
        model: that writes the texts.
        known: crystals that are not new; None where nothing is known.
        settings: how tokens are chosen; with `top_k`, the tree has no more branches than that.
    """
    wish = arm.wish
    usual = TreeSettings()
    tree = TreeSettings(simulations=wish.texts, width=min(usual.width, wish.top_k or usual.width))
    reward = CrystalReward(known, wish.asked.get("band_gap"))
    return tree_search(model, wish.request(), wish.asked, reward, arm.seed, settings, tree)
