"""The report of a glass project: one HTML page that works offline."""

from __future__ import annotations

from pathlib import Path

from bondwright.campaign.glass.report.page import render_glass_page
from bondwright.errors import InputError
from bondwright.structure.write import write_text

__all__ = ["render_glass_page", "write_glass_report"]


def write_glass_report(root: Path, path: Path | None = None) -> Path:
    """Write the report of a glass project, finished or not, or of one prediction.

    Args:
        root: the project's folder, or a folder that `predict_frames` wrote.
        path: file to write; report.html in the folder when None.

    Returns:
        The file.

    Raises:
        InputError: the folder is neither, or the file cannot be written.
    """
    target = path or root / "report.html"
    text = render_glass_page(root)
    try:
        write_text(target, text)
    except OSError as error:
        raise InputError(
            f"{target}: the report cannot be written ({error.strerror}); name another file."
        ) from error
    return target
