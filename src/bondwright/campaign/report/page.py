"""Putting the page together: data, template, scripts and a strict content security policy."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bondwright import __version__
from bondwright.campaign.report import words
from bondwright.campaign.report.arms import find_arms, share
from bondwright.campaign.report.asking import asked_effects
from bondwright.campaign.report.dft import dft_section
from bondwright.campaign.report.funnel import funnel_rows
from bondwright.campaign.report.headline import write_headline
from bondwright.campaign.report.payload import build_payload
from bondwright.campaign.report.sources import sources_for
from bondwright.campaign.report.standing import find_standings
from bondwright.campaign.view import CampaignView

STYLES = ("report.css", "details.css", "print.css")
SCRIPTS = (
    "dom.js",
    "words.js",
    "charts.js",
    "scatter.js",
    "viewer.js",
    "details.js",
    "table.js",
    "bonds.js",
    "main.js",
)
VIEWER = "3Dmol-min.js"


@dataclass(frozen=True)
class Inline:
    """A style sheet or script that stands in the page, and the hash that lets it run."""

    text: Markup
    hash: str


def render_page(view: CampaignView, folder: Path | None = None) -> str:
    """Return the report of a campaign as one HTML page that needs nothing beside it.

    Args:
        view: the campaign.
        folder: where it lies, for the tables of bonds that DFT left there.
    """
    standings = find_standings(view)
    effects = asked_effects(view)
    dft = dft_section(view, folder)
    payload = build_payload(view, standings, effects, dft)
    styles = [inline(name) for name in STYLES]
    scripts = [inline(name) for name in (*SCRIPTS[:-1], VIEWER, SCRIPTS[-1])]
    return (
        environment()
        .get_template("report.html")
        .render(
            view=view,
            version=__version__,
            headline=write_headline(view, standings),
            funnel=funnel_rows(view),
            effects=effects,
            arms=find_arms(view),
            dft=dft,
            payload=payload,
            data=embed_json(payload.data),
            sources=sources_for(view),
            styles=styles,
            scripts=scripts,
            policy=content_policy(styles, scripts),
            candidates=len(view.candidates) - len(view.controls),
        )
    )


def content_policy(styles: Iterable[Inline], scripts: Iterable[Inline]) -> str:
    """Return the policy under which the page runs: its own scripts by hash, nothing remote.

    No `unsafe-inline` and no `unsafe-eval`: text that slips into the page as markup cannot run,
    and no part of the page can fetch anything.
    """
    return "; ".join(
        [
            "default-src 'none'",
            "script-src " + " ".join(f"'{s.hash}'" for s in scripts),
            "style-src " + " ".join(f"'{s.hash}'" for s in styles),
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def embed_json(data: Any) -> Markup:
    """Return JSON that may stand inside a script element whatever its strings hold.

    `<`, `>` and `&` become escapes, so that neither `</script>` nor `<!--` can end or change the
    element, and the two line separators that old JavaScript took for line ends are escaped too.

    Raises:
        ValueError: the data hold NaN or infinity, which are not JSON.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate (from broken input text) cannot be written as UTF-8.
    text = text.encode("utf-8", "replace").decode("utf-8")
    for raw in "<>&\u2028\u2029":
        text = text.replace(raw, f"\\u{ord(raw):04x}")
    return Markup(text)  # noqa: S704


def clean(text: object) -> str:
    """Return text that can be written as UTF-8, without control characters."""
    plain = str(text).encode("utf-8", "replace").decode("utf-8")
    # Python counts the spaces within numbers (no-break, narrow no-break) as not printable.
    return "".join(c for c in plain if c.isprintable() or c in "\n\t\u00a0\u202f")


@cache
def inline(name: str, package: str = __package__ or "") -> Inline:
    """Return an asset of ours as it will stand in a page, with its hash.

    Args:
        name: of the file.
        package: the package of a report, which has a folder `assets`.
    """
    text = files(package).joinpath("assets", name).read_text(encoding="utf-8")
    lowered = text.lower()
    if "\r" in text or "</script" in lowered or "</style" in lowered or "<!--" in lowered:
        raise AssertionError(f"asset {name} cannot stand inside a page as it is")
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return Inline(Markup(text), f"sha256-{digest}")  # noqa: S704


@cache
def environment(package: str = __package__ or "") -> Environment:
    """Return a report's templates: everything escaped, a missing variable is an error.

    Args:
        package: the package of a report, which has a folder `templates`; what is not there comes
            from the templates of this package.
    """
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader(name, "templates") for name in (package, __package__ or "")]
        ),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    environment.filters.update(
        count=words.count,
        duration=words.duration,
        label=words.label,
        number=words.number,
        reason=words.reason_words,
        share=share,
    )
    return environment
