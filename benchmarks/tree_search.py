"""Does tree search find better crystals than as many plain samples?

    python benchmarks/tree_search.py --texts 80

For a few requests and two seeds: the mean reward (`crystals.search_reward`) of plain samples, each
begun once, and of the texts that a tree search wrote, with the shipped model.
"""

from __future__ import annotations

import argparse

from bondwright.crystals.dialect import Request
from bondwright.crystals.sampling import SamplingSettings, sample
from bondwright.crystals.search import TreeSettings, tree_search
from bondwright.crystals.search_reward import CrystalReward
from bondwright.crystals.shipped import model_place, open_model

REQUESTS: list[tuple[dict[str, int], float | None]] = [
    ({"Cs": 2, "O": 1}, None),
    ({"Ti": 1, "O": 2}, None),
    ({"Ba": 1, "Ti": 1, "O": 3}, None),
    ({"Ca": 1, "Al": 2, "O": 4}, None),
    ({"Li": 3, "P": 1, "S": 4}, None),
    ({"Ti": 1, "O": 2}, 2.0),
]
"""Formula, and the band gap (eV) that the reward asks for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=80)
    parser.add_argument("--model", default="shipped")
    arguments = parser.parse_args()
    model, count = open_model(model_place(arguments.model)), arguments.texts
    settings = SamplingSettings(batch=16, attempts=1)
    for formula, gap in REQUESTS:
        request = Request(formula, max_atoms=24)
        for seed in (1, 2):
            reward = CrystalReward(None, gap)
            texts = sample(model, [request] * count, [{}] * count, seed, settings)
            plain = sum(map(reward, sorted(texts, key=lambda s: s.index))) / count
            reward, tree = CrystalReward(None, gap), TreeSettings(simulations=count)
            found = tree_search(model, request, {}, reward, seed, settings, tree)
            searched = sum(value for _, value in found) / len(found)
            name = "".join(f"{e}{n if n > 1 else ''}" for e, n in formula.items())
            asked = "" if gap is None else f", gap {gap} eV"
            print(f"{name}{asked}, seed {seed}: plain {plain:.3f}, tree {searched:.3f}")


if __name__ == "__main__":
    main()
