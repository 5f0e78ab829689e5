"""Looking for good crystals by Monte Carlo tree search over the choices of the text.

It spends its samples where earlier ones were rewarded (Coulom 2006; the selection rule is that of
Silver et al., Nature 550, 354 (2017), doi:10.1038/nature24270). What is rewarded is up to the
caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.dialect import Request
from bondwright.crystals.dialects import dialect as dialect_by_name
from bondwright.crystals.normaliser import normalise
from bondwright.crystals.sampling import SamplingSettings, most_tokens, write_texts
from bondwright.crystals.sampling_text import Choice, Sample, Text
from bondwright.errors import InputError

Reward = Callable[[Sample], float]
"""How good a sample is, from 0 to 1."""


@dataclass(frozen=True)
class TreeSettings:
    """How the tree is searched.

    Attributes:
        simulations: texts that are written.
        width: most probable tokens that a choice branches into.
        exploration: weight of the model's probabilities against rewards found so far.
        certain: a token more probable than this is taken without branching.
        together: texts written at a time; the result depends on it.
    """

    simulations: int = 200
    width: int = 10
    exploration: float = 1.0
    certain: float = 0.99
    together: int = 16


@dataclass
class _Node:
    """A place in the text where a token is chosen.

    Attributes:
        prior: probability of the token that led here.
        visits: texts that went through here, those being written included.
        total: sum of their rewards; those being written count as 0.
        children: by token; None before anything is known about the choice.
        closed: whether nothing new can come from here.
    """

    prior: float = 1.0
    visits: int = 0
    total: float = 0.0
    children: dict[int, _Node] | None = None
    closed: bool = False

    def best(self, exploration: float) -> tuple[int, _Node]:
        """Return the token and child to follow: its mean reward, and how little it was tried."""
        mean = self.total / max(self.visits, 1)

        def worth(item: tuple[int, _Node]) -> tuple[float, int]:
            token, child = item
            found = child.total / child.visits if child.visits else mean
            bonus = child.prior * math.sqrt(self.visits) / (1 + child.visits)
            return found + exploration * bonus, -token

        open_ = [item for item in (self.children or {}).items() if not item[1].closed]
        return max(open_, key=worth)


def tree_search(
    model: LoadedModel,
    request: Request,
    conditions: Mapping[str, float | None],
    reward: Reward,
    seed: int,
    settings: SamplingSettings | None = None,
    tree: TreeSettings | None = None,
) -> list[tuple[Sample, float]]:
    """Search the texts of one request for those with the highest reward.

    Args:
        model: the model.
        request: what the crystals have to be.
        conditions: property -> value.
        reward: judges a finished sample, also one without a crystal; 0 to 1. It is called in
            the order of the samples' numbers, so it may remember earlier ones.
        seed: decides all random numbers.
        settings: how tokens are chosen; must be constrained.
        tree: how the tree is searched.

    Returns:
        The different texts that were written and their rewards, best first; fewer than the
        simulations when there are no more texts.

    Raises:
        InputError: the request cannot be met, or the settings are not constrained.
    """
    settings, tree = settings or SamplingSettings(), tree or TreeSettings()
    if not settings.constrained:
        raise InputError("tree search works with constraints only; leave them on.")
    found: dict[tuple[int, ...], tuple[Sample, float]] = {}
    for one, value in _simulate(model, request, conditions, reward, seed, settings, tree):
        found.setdefault(one.ids, (one, value))
    return sorted(found.values(), key=lambda item: (-item[1], item[0].index))


@dataclass
class _Path:
    """The way from the root to where a text goes on by itself."""

    nodes: list[_Node]
    tokens: list[int] = field(default_factory=list)


def _simulate(
    model: LoadedModel,
    request: Request,
    conditions: Mapping[str, float | None],
    reward: Reward,
    seed: int,
    settings: SamplingSettings,
    tree: TreeSettings,
) -> Iterator[tuple[Sample, float]]:
    """Write texts, a round at a time, and let the tree learn from each."""
    dialect = dialect_by_name(model.dialect)
    values = tuple(normalise(model.normalisers, conditions)[0])
    limit = most_tokens(model.network, settings)
    root, done = _Node(), 0
    while done < tree.simulations and not root.closed:
        count = min(tree.together, tree.simulations - done)
        paths: dict[int, _Path] = {}
        for index in range(done, done + count):
            if not root.closed:
                paths[index] = _select(root, tree.exploration)
        done += len(paths)

        def begin(index: int, paths: Mapping[int, _Path] = paths) -> Text:
            return Text(
                index,
                request,
                values,
                dialect,
                constrained=True,
                limit=limit,
                seed=seed,
                chosen=paths[index].tokens,
                record=True,
            )

        texts = {t.index: t for t in write_texts(model, begin, list(paths), settings)}
        for index, path in paths.items():
            one = texts[index].sample()
            value = reward(one)
            for node in path.nodes:
                node.total += value
            _grow(path, texts[index].choices, tree, value)
            yield one, value


def _select(root: _Node, exploration: float) -> _Path:
    """Go down to a choice that nothing is known about yet."""
    path, node = _Path([root]), root
    node.visits += 1
    while node.children is not None:
        token, node = node.best(exploration)
        node.visits += 1
        path.nodes.append(node)
        path.tokens.append(token)
    return path


def _grow(path: _Path, choices: Sequence[Choice], tree: TreeSettings, value: float) -> None:
    """Add what a text showed: the choice where it went on by itself, and certain ones after it."""
    node = path.nodes[-1]
    for choice in choices:
        if node.children is not None:  # another text of this round was here before
            break
        node.children = _children(choice, tree)
        if len(node.children) > 1 or choice.taken not in node.children:
            break
        node = node.children[choice.taken]
        node.visits, node.total = node.visits + 1, node.total + value
        path.nodes.append(node)
    else:
        node.closed = node.children is None
    for place in reversed(path.nodes[:-1]):
        children = place.children or {}
        place.closed = bool(children) and all(child.closed for child in children.values())


def _children(choice: Choice, tree: TreeSettings) -> dict[int, _Node]:
    """Return the branches of a choice."""
    ranked = sorted(zip(choice.shares.tolist(), choice.tokens.tolist(), strict=True), reverse=True)
    kept = ranked[:1] if ranked[0][0] > tree.certain else ranked[: tree.width]
    whole = sum(share for share, _ in kept)
    return {token: _Node(prior=share / whole) for share, token in kept}
