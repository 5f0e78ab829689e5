"""Turning a TOML table into a frozen dataclass, with errors that name file, key and remedy."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from bondwright.errors import BondwrightError, InputError, nearest

T = TypeVar("T")


def read_settings(path: Path, made_by: str) -> str:
    """Return the text of a settings file.

    Args:
        path: the file.
        made_by: the command that makes a folder with one, for the message.

    Raises:
        InputError: it is not there, or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; {made_by}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error}).") from error


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Return the table of a TOML text.

    Raises:
        InputError: it is not TOML; `where` stands before the reason.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not valid TOML: {error}.") from error


def refuse_unknown(table: dict[str, Any], known: list[str], where: str) -> None:
    """Raise for a key that is not known.

    Args:
        table: the table as read.
        known: the keys that may stand in it.
        where: file and table, for the message.

    Raises:
        InputError: a key is unknown; names the nearest known one.
    """
    for key in table:
        if key not in known:
            hint = nearest(key, known) or f" Known are: {', '.join(sorted(known))}."
            raise InputError(f"{where}: unknown key {key!r}.{hint}")


def from_table(kind: type[T], table: Any, where: str, folder: Path) -> T:
    """Build the dataclass `kind` from a TOML table.

    Args:
        kind: a dataclass whose fields are plain values, tuples, dictionaries or dataclasses.
        table: the table as read.
        where: file and table, for messages.
        folder: folder that a `Path` field is relative to.

    Raises:
        InputError: an unknown key, a missing key, a wrong type or a value the dataclass refuses.
    """
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table, found {_say(table)}.")
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    refuse_unknown(table, list(fields), where)
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in table:
            raise InputError(f"{where}: the key {name!r} is missing.")
    hints = typing.get_type_hints(kind)
    values = {
        key: _convert(value, hints[key], f"{where}: {key}", folder) for key, value in table.items()
    }
    try:
        return kind(**values)
    except BondwrightError as error:
        raise InputError(f"{where}: {error}") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: {error}.") from error


def _convert(value: Any, hint: Any, where: str, folder: Path) -> Any:
    """Return `value` as the type that `hint` asks for, or raise InputError."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(value, hint, arguments, where, folder)
    if origin is Literal:
        if value not in arguments:
            words = [str(a) for a in arguments]
            raise _wrong(value, f"one of {', '.join(words)}", where, nearest(str(value), words))
        return value
    if origin in (tuple, list):
        return _convert_sequence(value, origin, arguments, where, folder)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(value, "a table", where)
        return {k: _convert(v, arguments[1], f"{where}.{k}", folder) for k, v in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_table(hint, value, where, folder)
    if isinstance(hint, type) and issubclass(hint, Enum):
        words = [str(m.value) for m in hint]
        if value not in words:
            raise _wrong(value, f"one of {', '.join(words)}", where, nearest(str(value), words))
        return hint(value)
    if hint is Path:
        if not isinstance(value, str):
            raise _wrong(value, "a path in quotes", where)
        return existing_file(value, folder, where)
    return _convert_plain(value, hint, where)


def _convert_union(
    value: Any, hint: Any, arguments: tuple[Any, ...], where: str, folder: Path
) -> Any:
    options = [a for a in arguments if a is not type(None)]
    for option in options:
        try:
            return _convert(value, option, where, folder)
        except InputError:
            if len(options) == 1:
                raise
    raise _wrong(value, f"a value of type {hint}", where)


def _convert_sequence(
    value: Any, origin: Any, arguments: tuple[Any, ...], where: str, folder: Path
) -> Any:
    if not isinstance(value, list):
        raise _wrong(value, "a list", where)
    if origin is list or arguments[-1:] == (Ellipsis,):
        return origin(_convert(v, arguments[0], where, folder) for v in value)
    if len(value) != len(arguments):
        raise _wrong(value, f"a list of {len(arguments)} values", where)
    return tuple(_convert(v, a, where, folder) for v, a in zip(value, arguments, strict=True))


def _convert_plain(value: Any, hint: Any, where: str) -> Any:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes"}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise _wrong(value, names.get(hint, str(hint)), where)
    if (hint is float and value != value) or value in (float("inf"), float("-inf")):
        raise _wrong(value, "a finite number", where)
    return value


def existing_file(text: str, folder: Path, where: str) -> Path:
    """Return the file named `text`, relative to `folder`.

    Raises:
        InputError: there is no such file.
    """
    path = (folder / Path(text).expanduser()).resolve()
    if not path.is_file():
        raise InputError(f"{where}: there is no file {text!r} (looked in {folder}).")
    return path


def _wrong(value: Any, wanted: str, where: str, hint: str = "") -> InputError:
    return InputError(f"{where}: expected {wanted}, found {_say(value)}.{hint}")


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    return repr(value) if len(repr(value)) < 60 else repr(value)[:57] + "..."
