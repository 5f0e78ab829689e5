"""The README's example runs, and prints what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def test_example_prints_what_the_readme_says() -> None:
    found = EXAMPLE.search((ROOT / "README.md").read_text("utf-8"))
    assert found is not None, "README.md has no example followed by its output"
    code, output = found.groups()
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == output.strip()
