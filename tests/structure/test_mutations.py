"""Two thousand damaged CIFs: every row comes back, as atoms or with a reason (faults 1 to 18)."""

from __future__ import annotations

import csv
import random
import re
from collections import Counter

import numpy as np
from cif_texts import PI, RUTILE, V1

from bondwright.structure.read import ReadLimits, read_candidates

CODES = {
    "empty", "not-text", "too-large", "truncated", "syntax", "no-cell", "bad-cell", "no-sites",
    "bad-site", "unknown-element", "bad-occupancy", "disordered", "bad-operation",
    "unknown-space-group", "too-many-atoms", "timeout", "crashed", "memory",
}  # fmt: skip
ROWS = 2000
INJECTIONS = [
    "9**9**9**9", "().__class__.__mro__", "__import__('os')", "nan", "inf", "-inf", "1e300",
    "-1e-300", "9" * 5000, "?", ".", "''", "loop_", "data_", "data_x", "_tag", "#", ";", "\n;\n",
    "'", '"', "\u0000", "\ud800".encode("utf-8", "replace").decode(), "é", "𝟙", "٣", "−1", "\u202e",
    "x,y,z", "Xx", "D", "1.5", "0.5", "<bos>", "[", "]", "save_", "global_", "stop_", "{}", "%s",
]  # fmt: skip


def mutate(text: str, rng: random.Random) -> str:
    """Damage a text in one to four ways."""
    for _ in range(rng.randint(1, 4)):
        lines = text.split("\n")
        kind = rng.randrange(8)
        if kind == 0:  # flip bits, as a bad disk would
            data = bytearray(text.encode("utf-8", "surrogatepass"))
            for _ in range(rng.randint(1, 20)):
                if data:
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            text = data.decode("utf-8", "replace")
        elif kind == 1:
            text = text[: rng.randrange(len(text) + 1)]
        elif kind == 2:  # a line many times over
            line = rng.randrange(len(lines))
            lines[line:line] = [lines[line]] * rng.choice([1, 2, 50, 3000])
            text = "\n".join(lines)
        elif kind == 3:
            rng.shuffle(lines)
            text = "\n".join(lines)
        elif kind == 4:  # swap two numbers
            numbers = list(re.finditer(r"\d+\.?\d*", text))
            if len(numbers) > 1:
                first, second = sorted(rng.sample(numbers, 2), key=lambda m: m.start())
                text = (
                    text[: first.start()] + second[0] + text[first.end() : second.start()]
                    + first[0] + text[second.end() :]
                )  # fmt: skip
        elif kind == 5:  # another number, or something that is none
            words = list(re.finditer(r"\S+", text))
            if words:
                word = rng.choice(words)
                text = text[: word.start()] + rng.choice(INJECTIONS) + text[word.end() :]
        elif kind == 6:
            place = rng.randrange(len(text) + 1)
            text = text[:place] + rng.choice(INJECTIONS) + text[place:]
        else:
            del lines[rng.randrange(len(lines))]
            text = "\n".join(lines)
    return text


def test_every_damaged_text_comes_back(tmp_path):
    rng = random.Random(20261121)
    texts = [mutate(rng.choice([RUTILE, V1, PI, RUTILE + V1]), rng) for _ in range(ROWS)]
    # CSV itself cannot hold a lone surrogate; what a file can hold is what is tested.
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    path = tmp_path / "damaged.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "cif"])
        writer.writerows(enumerate(texts))
    limits = ReadLimits(seconds=60)  # a busy machine must not look like a hang of the parser
    candidates = list(read_candidates(path, limits=limits))
    assert sorted({c.origin.row for c in candidates}) == list(range(ROWS))
    assert [c.origin.row for c in candidates] == sorted(c.origin.row for c in candidates)
    assert len({c.key for c in candidates}) == len(candidates)
    outcomes = Counter(c.problem.code if c.problem else "read" for c in candidates)
    assert set(outcomes) <= CODES | {"read"}
    # Not one text may trip the parser itself: these would be faults of ours.
    assert not {"crashed", "timeout", "memory"} & set(outcomes), [
        c.problem.message for c in candidates if c.problem and c.problem.code == "crashed"
    ]
    # The damage is neither harmless nor always fatal, so both ways are really tested.
    assert 200 < outcomes["read"] < 1900
    assert len(outcomes) > 10
    for candidate in candidates:
        if candidate.atoms is None:
            assert candidate.problem is not None
            assert candidate.problem.message
            continue
        assert candidate.problem is None
        assert 0 < len(candidate.atoms) <= limits.atoms
        assert np.isfinite(candidate.atoms.positions).all()
        assert candidate.atoms.cell.volume >= 1
        assert (candidate.atoms.numbers > 0).all()
