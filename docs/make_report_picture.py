"""Take a picture of a report for the README, with a headless Chromium.

    python docs/make_report_picture.py CAMPAIGN/report.html docs/report.png

Chromium and chromedriver must be on the PATH, and Selenium installed (`pip install -e .[dev]`).
"""

from __future__ import annotations

import argparse
import base64
import shutil
import sys
import tempfile
from pathlib import Path

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
]

# The first of these that the page has is opened, so that the picture shows a structure.
ROWS = ["#survivor-table .opener", "#nearest-table .opener", "#control-table .opener"]


def take_picture(report: Path, picture: Path, *, width: int, height: int, scale: float) -> None:
    """Write a PNG of the upper part of a report, with one candidate opened.

    Args:
        report: the HTML page.
        picture: the PNG to write.
        width: width of the window in CSS pixels.
        height: height of the picture in CSS pixels; 0 up to the end of the opened candidate.
        scale: pixels of the picture per CSS pixel.
    """
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        sys.exit("chromium and chromedriver must be on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory() as profile:
        for flag in [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},1000"]:
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
        try:
            driver.get(report.resolve().as_uri())
            WebDriverWait(driver, 30).until(
                lambda d: d.execute_script("return document.documentElement.dataset.ready")
            )
            found = [e for s in ROWS for e in driver.find_elements(By.CSS_SELECTOR, s)[:1]]
            if found:
                driver.execute_script("arguments[0].click()", found[0])
                panel = driver.find_element(By.CSS_SELECTOR, ".panel")
                driver.execute_script("arguments[0].scrollIntoView()", panel)
                WebDriverWait(driver, 30).until(
                    lambda d: d.find_elements(By.CSS_SELECTOR, ".stage canvas, .no-picture")
                )
            end = driver.execute_script(
                "document.querySelector('.top').style.position = 'static'; scrollTo(0, 0);"
                "document.activeElement.blur();"
                "const p = document.querySelector('.panel');"
                "return p ? p.getBoundingClientRect().bottom + 40 : 1400"
            )
            clip = {"x": 0, "y": 0, "width": width, "height": height or end, "scale": scale}
            shot = driver.execute_cdp_cmd(
                "Page.captureScreenshot",
                {"format": "png", "clip": clip, "captureBeyondViewport": True},
            )
        finally:
            driver.quit()
    picture.write_bytes(base64.b64decode(shot["data"]))


def main() -> None:
    """Read the command line and take the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("report", type=Path, help="report.html of a campaign")
    parser.add_argument("picture", type=Path, help="PNG to write")
    parser.add_argument("--width", type=int, default=1280, help="CSS pixels [1280]")
    parser.add_argument(
        "--height", type=int, default=0, help="CSS pixels [to the opened candidate]"
    )
    parser.add_argument("--scale", type=float, default=1.5, help="pixels per CSS pixel [1.5]")
    arguments = parser.parse_args()
    take_picture(
        arguments.report,
        arguments.picture,
        width=arguments.width,
        height=arguments.height,
        scale=arguments.scale,
    )


if __name__ == "__main__":
    main()
