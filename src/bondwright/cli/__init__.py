"""The command line: one file per command.

Modules import the science inside their functions, so that `--help` answers at once.
"""

from __future__ import annotations

import sys

from bondwright.errors import BondwrightError


def main() -> None:
    """Run the command line; what a user can mend is one line on stderr, never a traceback."""
    from bondwright.cli.app import app

    try:
        app(prog_name="bondwright")
    except BondwrightError as error:
        print(f"bondwright: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        sys.exit(error.exit_code)
