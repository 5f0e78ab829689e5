"""The syntax of CIF: from text to data blocks of tags and values, forgiving where that is safe.

Written for text of any origin, so it never raises on the text's account except `Unreadable`, and
its cost is linear in the length of the text. Syntax: Hall, Allen & Brown, Acta Cryst. A47, 655
(1991), doi:10.1107/S010876739101067X.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from bondwright.structure.parsed import Unreadable

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<quoted>'[^\n]*?'(?=\s|\Z)|\"[^\n]*?\"(?=\s|\Z))"
    r"|(?P<open>['\"][^\n]*)"
    r"|(?P<bare>\S+)"
)
# Brackets and marks that CrystaLLM-pi sets around what varies; none is part of the CIF.
_MODEL_MARKS = re.compile(r"<(?:bos|eos|pad|unk)>")
_BRACKET_LINE = re.compile(r"^[ \t]*[\[\]][ \t]*$", re.MULTILINE)
_OPERATION_TAGS = frozenset({"_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz"})
_BRACKETED = re.compile(
    r"^([ \t]*(?:data_|_\S+[ \t]+)['\"]?)\[([^\n]*)\](['\"]?)[ \t]*$", re.MULTILINE
)


@dataclass
class Block:
    """One data block.

    Attributes:
        name: what follows `data_`.
        columns: tag (lower case, "." as "_") -> values in order; a single value is a column of
            one. None stands for "?" and ".".
        broken: tags of loops whose values do not fill their rows -> the reason.
        notes: what had to be forgiven.
        cut: True for the last block of a text that does not end with its line.
    """

    name: str
    columns: dict[str, list[str | None]] = field(default_factory=dict)
    broken: dict[str, Unreadable] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cut: bool = False

    def first(self, *tags: str) -> str | None:
        """Return the first known value among these tags."""
        for tag in tags:
            for value in self.columns.get(tag, ()):
                if value is not None:
                    return value
        return None


class _Token(NamedTuple):
    """A token: its text, whether it was quoted, and the number of its line."""

    text: str
    quoted: bool
    line: int


def read_blocks(text: str) -> list[Block]:
    """Split CIF text into its data blocks.

    Raises:
        Unreadable: `syntax` (no data, an unclosed quote or text field, values that belong to
            nothing) or `truncated` (the text stops where a value must follow).
    """
    text = _without_model_marks(text)
    blocks: list[Block] = []
    tokens = list(_tokens(text))
    place = 0
    while place < len(tokens):
        token = tokens[place]
        word = "" if token.quoted else token.text.casefold()
        if word.startswith("data_"):
            blocks.append(Block(token.text[5:]))
            place += 1
        elif not blocks and not (word.startswith("_") or word == "loop_"):
            place += 1  # words before the first block are a heading, not data
        else:
            if not blocks:
                blocks.append(Block("", notes=["the text has no data_ line"]))
            place = _read_item(tokens, place, blocks[-1])
    if not blocks:
        raise Unreadable("syntax", "the text holds no CIF data block.")
    blocks[-1].cut = not text.endswith("\n")
    return blocks


def _without_model_marks(text: str) -> str:
    """Remove the marks of CrystaLLM-pi, where the text has them."""
    if "<" in text:
        text = _MODEL_MARKS.sub(" ", text)
    if "[" in text:
        text = _BRACKETED.sub(r"\1\2\3", _BRACKET_LINE.sub("", text))
    return text


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens of a text."""
    place, line = 0, 1
    while place < len(text):
        if text[place] == ";" and (place == 0 or text[place - 1] == "\n"):
            end = text.find("\n;", place)
            if end < 0:
                raise Unreadable("syntax", f"the text field of line {line} is never closed.")
            yield _Token(text[place + 1 : end].strip(), True, line)
            line += text.count("\n", place, end) + 1
            place = end + 2
            continue
        match = _TOKEN.match(text, place)
        if match is None:  # every character is blank or not, so one alternative always matches
            raise AssertionError(f"no token at {place}")
        kind, found = match.lastgroup, match.group()
        if kind == "open":
            raise Unreadable("syntax", f"the quote opened in line {line} is never closed.")
        if kind == "quoted":
            yield _Token(found[1:-1].strip(), True, line)
        elif kind == "bare":
            yield _Token(found, False, line)
        line += found.count("\n")
        place += len(found)


def _is_value(token: _Token) -> bool:
    """Say whether a token is a value, not a tag or a reserved word."""
    if token.quoted:
        return True
    word = token.text.casefold()
    return not (word.startswith(("_", "data_", "save_")) or word in ("loop_", "stop_", "global_"))


def _normal(tag: str) -> str:
    """Return a tag as it is looked up: CIF 2 dictionaries write "." where CIF 1 wrote "_"."""
    return tag.casefold().replace(".", "_")


def _known(token: _Token) -> str | None:
    """Return the value of a token, None for the marks of an unknown one."""
    return None if not token.quoted and token.text in ("?", ".") else token.text


def _read_item(tokens: list[_Token], place: int, block: Block) -> int:
    """Read the tag, loop or stray word at `place` into the block; return the next place."""
    token = tokens[place]
    if not token.quoted and token.text.casefold() == "loop_":
        return _read_loop(tokens, place + 1, block)
    if token.quoted or not token.text.startswith("_"):
        if _is_value(token):
            block.notes.append(f"line {token.line}: {token.text[:40]!r} belongs to no tag, ignored")
        return place + 1
    tag, place = _normal(token.text), place + 1
    values: list[_Token] = []
    while place < len(tokens) and _is_value(tokens[place]):
        if values and (values[0].quoted or tokens[place].line != token.line):
            break
        values.append(tokens[place])
        place += 1
    if not values:
        if place == len(tokens):
            raise Unreadable("truncated", f"the text stops after {token.text[:40]!r}.")
        block.notes.append(f"line {token.line}: {token.text[:40]} has no value")
    elif len(values) > 1:  # an unquoted symbol with blanks, such as P 42/m n m
        values = [_Token(" ".join(v.text for v in values), True, token.line)]
    _store(block, {tag: [_known(v) for v in values] or [None]})
    return place


def _read_loop(tokens: list[_Token], place: int, block: Block) -> int:
    """Read the loop whose `loop_` stands before `place`; return the place after it."""
    tags: list[str] = []
    values: list[_Token] = []
    while place < len(tokens) and tokens[place].text.startswith("_") and not tokens[place].quoted:
        tags.append(_normal(tokens[place].text))
        place += 1
    while place < len(tokens) and _is_value(tokens[place]):
        values.append(tokens[place])
        place += 1
    if not tags:
        block.notes.append("a loop without tags, ignored")
        return place
    if _OPERATION_TAGS.intersection(tags):
        values = _joined_lines(values, len(tags))
    if not values or len(values) % len(tags):
        ended = place == len(tokens)
        message = f"the loop of {tags[0]} has {len(tags)} tags and {len(values)} values" + (
            "; the text stops in it." if ended else "."
        )
        reason = Unreadable("truncated" if ended else "syntax", message)
        block.broken.update((tag, reason) for tag in tags if tag not in block.columns)
        return place
    columns = {
        tag: [_known(v) for v in values[index :: len(tags)]] for index, tag in enumerate(tags)
    }
    _store(block, columns)
    return place


def _joined_lines(values: list[_Token], width: int) -> list[_Token]:
    """Join what an operation written without quotes, such as "2 -x, y, -z", was split into."""
    lines: dict[int, list[_Token]] = {}
    for value in values:
        lines.setdefault(value.line, []).append(value)
    joined: list[_Token] = []
    for line, words in lines.items():
        if len(words) > width and not any(word.quoted for word in words):
            tail = " ".join(word.text for word in words[width - 1 :])
            words = [*words[: width - 1], _Token(tail, True, line)]
        joined += words
    return joined


def _store(block: Block, columns: dict[str, list[str | None]]) -> None:
    """Add columns to a block; of a tag that is given twice the first stays."""
    for tag, values in columns.items():
        if tag not in block.columns:
            block.columns[tag] = values
            block.broken.pop(tag, None)
        elif block.columns[tag] != values:
            block.notes.append(f"{tag} is given twice with different values; the first is used")
