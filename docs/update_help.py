"""Keep the command pages true: write the real `--help` of every command into docs/commands/.

Run it after changing a command; the tests fail while a page and its command differ. The text around
the help block is written by hand and left alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGES = Path(__file__).parent / "commands"
BLOCK = re.compile(r"<!-- help: (?P<command>[a-z -]+) -->\n```text\n.*?```\n", re.DOTALL)


def help_text(command: str) -> str:
    """Return what `bondwright COMMAND --help` prints at 100 columns, without colours."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    answer = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "bondwright", *command.split(), "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return "\n".join(line.rstrip() for line in answer.stdout.strip().splitlines())


def refreshed(page: str) -> str:
    """Return the text of a page with every help block renewed."""

    def block(match: re.Match[str]) -> str:
        command = match["command"]
        return f"<!-- help: {command} -->\n```text\n{help_text(command)}\n```\n"

    return BLOCK.sub(block, page)


if __name__ == "__main__":
    for path in sorted(PAGES.glob("*.md")):
        path.write_text(refreshed(path.read_text("utf-8")), "utf-8")
