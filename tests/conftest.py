"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Set before torch is imported: several threads on a busy machine wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets; tests that need it are skipped loudly where it is absent."""
    folder = Path(os.environ.get("BONDWRIGHT_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not (folder / "crystals" / "structures.csv.gz").is_file():
        pytest.skip(
            f"REAL DATA ABSENT: no crystals/structures.csv.gz below {folder}; set BONDWRIGHT_DATA"
        )
    return folder


BROWSER_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--force-prefers-reduced-motion",  # no smooth scrolling, which a click would run after
    "--window-size=1366,900",
]


@pytest.fixture(scope="session")
def start_browser(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    """Start a headless Chromium with an empty profile; whoever starts it quits it."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("BROWSER ABSENT: no chromium and chromedriver on the PATH")

    def start() -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in [*BROWSER_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
        driver.set_script_timeout(20)
        return driver

    return start
