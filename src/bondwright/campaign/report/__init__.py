"""The report of a campaign: one HTML page that works offline and tells the honest result."""

from __future__ import annotations

from pathlib import Path

from bondwright.campaign.report.page import render_page
from bondwright.campaign.view import CampaignView
from bondwright.errors import InputError
from bondwright.structure.write import write_text

__all__ = ["render_page", "write_report"]


def write_report(view: CampaignView, path: Path, folder: Path | None = None) -> None:
    """Write the report of a campaign to one self-contained HTML file.

    The page holds its styles, scripts and data; it fetches nothing, so it opens from a disk, an
    attachment or an archive years later. The file is replaced in one step: a reader sees the old
    page or the new one, never half of one.

    Args:
        view: the campaign, finished or not.
        path: file to write, usually `report.html` in the campaign's folder.
        folder: the campaign's folder, where the tables of bonds are; without it only their sums
            are shown.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        write_text(path, render_page(view, folder))
    except OSError as error:
        raise InputError(
            f"{path}: the report cannot be written ({error.strerror}); choose a folder that you "
            "may write to and that has room"
        ) from error
