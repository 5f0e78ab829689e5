"""The documentation is a contract: every command has a page, and the page shows its true help."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("update_help", ROOT / "docs" / "update_help.py")
assert spec is not None
assert spec.loader is not None
update_help = importlib.util.module_from_spec(spec)
spec.loader.exec_module(update_help)

PAGES = sorted((ROOT / "docs" / "commands").glob("*.md"))


def commands() -> list[str]:
    """Every command of the program, sub-commands as "group command"."""
    from bondwright.cli.app import app

    names: list[str] = []

    def walk(group: typer.Typer, prefix: str) -> None:
        for command in group.registered_commands:
            assert command.callback is not None
            names.append(f"{prefix}{command.name or command.callback.__name__}".replace("_", "-"))
        for sub in group.registered_groups:
            assert sub.typer_instance is not None
            walk(sub.typer_instance, f"{prefix}{sub.name} ")

    walk(app, "")
    return names


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    missing = [name for name in commands() if f"<!-- help: {name} -->" not in text]
    assert missing == [], "no page in docs/commands/ shows the help of these"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_shows_the_true_help(page: Path) -> None:
    text = page.read_text("utf-8")
    assert update_help.refreshed(text) == text, "run: .venv/bin/python docs/update_help.py"


def test_local_links_of_the_documentation_exist() -> None:
    import re

    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
