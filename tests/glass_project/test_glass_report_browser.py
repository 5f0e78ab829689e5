"""The glass report in a real browser: offline, the 3D view turns, keys work, a phone is enough."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from glass_predictors import crowd_model, glass

from bondwright.campaign.glass.analysis import AnalysisSettings, analyse
from bondwright.campaign.glass.predict import predict_frames
from bondwright.campaign.glass.report import write_glass_report
from bondwright.glasses.lammps_files import Frame

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(
    start_browser: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The report of a small trajectory, open in Chromium; nothing may have gone wrong after all."""
    folder = tmp_path_factory.mktemp("report") / "glass"
    frames = [Frame(k, glass(300, 1 + k), np.arange(1, 301)) for k in range(2)]
    list(predict_frames(frames, crowd_model(), folder))
    analyse(folder, settings=AnalysisSettings(figures=False))
    report = write_glass_report(folder)
    driver = start_browser()
    try:
        driver.get(report.as_uri())
        wait(driver, lambda d: d.execute_script("return document.documentElement.dataset.ready"))
        place = one(driver, "[data-scene]")
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", place)
        wait(driver, lambda d: place.get_attribute("data-ready"))
        yield driver
        complaints = [e for e in driver.get_log("browser") if e["level"] == "SEVERE"]
        assert complaints == []
    finally:
        driver.quit()


def wait(driver: Any, condition: Any) -> Any:
    return WebDriverWait(driver, 30, poll_frequency=0.1).until(condition)


def one(driver: Any, selector: str) -> Any:
    return driver.find_element(By.CSS_SELECTOR, selector)


def pixels(driver: Any) -> np.ndarray:
    """Return the 3D view as (height, width, 3), once it has been drawn."""
    from PIL import Image

    done = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));"
    driver.execute_async_script(done)
    picture = Image.open(io.BytesIO(one(driver, ".glass-canvas").screenshot_as_png))
    return np.asarray(picture.convert("RGB")).astype(int)


def choose(driver: Any, label: str, value: str) -> None:
    field = next(
        e for e in driver.find_elements(By.CSS_SELECTOR, ".glass-tools label") if label in e.text
    )
    Select(field.find_element(By.TAG_NAME, "select")).select_by_value(value)


def test_nothing_is_fetched(page: Any) -> None:
    events = [json.loads(e["message"])["message"] for e in page.get_log("performance")]
    requests = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    asked = [r["request"]["url"] for r in requests if r["documentURL"] == page.current_url]
    assert asked
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [page.current_url]


def test_the_glass_is_drawn_turned_cut_and_coloured(page: Any) -> None:
    first = pixels(page)
    paper = first[2, 2]
    drawn = (np.abs(first - paper).max(axis=-1) > 40).mean()
    assert 0.1 < drawn < 0.8  # the glass is there, and does not fill the view
    stage = one(page, ".glass-stage")
    stage.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert (pixels(page) != first).any(axis=-1).mean() > 0.05
    stage.send_keys(Keys.HOME)
    assert (pixels(page) == first).all()
    choose(page, "Colour", "element")
    assert (pixels(page) != first).any(axis=-1).mean() > 0.05
    choose(page, "Colour", "strength")
    slider = one(page, ".glass-tools input[type=range]")
    slider.send_keys(*[Keys.ARROW_LEFT] * 50)
    cut = (np.abs(pixels(page) - paper).max(axis=-1) > 40).mean()
    assert cut < 0.9 * drawn
    slider.send_keys(*[Keys.ARROW_RIGHT] * 50)
    choose(page, "Bonds", "strongest 1 % of each pair")
    few = (np.abs(pixels(page) - paper).max(axis=-1) > 40).mean()
    assert 0 < few < 0.3 * drawn
    choose(page, "Bonds", "none")
    assert (pixels(page) == first).all()


def test_an_atom_tells_its_numbers(page: Any) -> None:
    canvas = one(page, ".glass-canvas")
    ActionChains(page).move_to_element(canvas).perform()
    ActionChains(page).move_by_offset(3, 3).perform()
    told = wait(page, lambda d: "atom" in one(d, ".glass-told").text and one(d, ".glass-told").text)
    assert "eV" in told


def test_a_series_is_hidden_by_its_button(page: Any) -> None:
    figure = one(page, "[data-plot='strengths-glass']")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
    lines = len(figure.find_elements(By.CSS_SELECTOR, ".plotted .step"))
    button = figure.find_element(By.CSS_SELECTOR, ".switches button")
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-pressed") == "false"
    assert len(figure.find_elements(By.CSS_SELECTOR, ".plotted .step")) == lines - 1
    button.send_keys(Keys.ENTER)


def test_controls_have_names(page: Any) -> None:
    tree = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    nodes = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in tree if "role" in n]
    for role in ("button", "combobox", "slider", "link", "image", "table", "region"):
        named = [name for r, name in nodes if r == role]
        assert named, role
        assert all(name.strip() for name in named), role
    ids = page.execute_script("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_a_phone_is_wide_enough(page: Any) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wide = page.execute_script("return document.documentElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= 360
