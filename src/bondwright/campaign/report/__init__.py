"""The report of a campaign: one HTML page that works offline and tells the honest result."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from bondwright.campaign.report.page import render_page
from bondwright.campaign.view import CampaignView
from bondwright.errors import InputError

__all__ = ["render_page", "write_report"]


def write_report(view: CampaignView, path: Path) -> None:
    """Write the report of a campaign to one self-contained HTML file.

    The page holds its styles, scripts and data; it fetches nothing, so it opens from a disk, an
    attachment or an archive years later. The file is replaced in one step: a reader sees the old
    page or the new one, never half of one.

    Args:
        view: the campaign, finished or not.
        path: file to write, usually `report.html` in the campaign's folder.

    Raises:
        InputError: the file cannot be written.
    """
    text = render_page(view)
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, suffix=".html", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"{path}: the report cannot be written ({error.strerror}); choose a folder that exists "
            "and that you may write to"
        ) from error
