"""The report in a real browser: it works offline, cannot be broken into, and does what it says."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase.geometry import find_mic
from report_views import (
    COLUMBITE,
    campaign,
    candidate,
    judged,
    make,
    minerals,
    nothing_survived,
    property_verdict,
    stability_verdict,
    unreadable,
)

from bondwright.campaign.report import write_report
from bondwright.campaign.view import CampaignView
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.read import read_candidates

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = pytest.mark.browser

NOVEL = Verdict("novelty", Outcome.PASSED, details={"unique": True})


@pytest.fixture(scope="module")
def browser(start_browser: Callable[[], Any]) -> Iterator[Any]:
    """A headless Chromium with an empty profile."""
    driver = start_browser()
    yield driver
    driver.quit()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[[CampaignView], Any]]:
    """Write the report of a campaign and open it; afterwards nothing may have gone wrong."""

    def open_report(view: CampaignView) -> Any:
        path = tmp_path / "report.html"
        write_report(view, path)
        browser.get_log("browser")
        browser.get_log("performance")
        browser.get(path.as_uri())
        wait(browser, lambda d: d.execute_script("return document.documentElement.dataset.ready"))
        return browser

    yield open_report
    complaints = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert complaints == []
    browser.get("about:blank")


def wait(driver: Any, condition: Callable[[Any], Any]) -> Any:
    return WebDriverWait(driver, 20, poll_frequency=0.1).until(condition)


def one(driver: Any, selector: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, selector)


def names(driver: Any, table: str) -> list[str]:
    return [e.text for e in driver.find_elements(By.CSS_SELECTOR, f"#{table} .opener")]


def open_row(driver: Any, table: str, name: str) -> WebElement:
    """Open a row and return its panel."""
    button = next(
        e for e in driver.find_elements(By.CSS_SELECTOR, f"#{table} .opener") if e.text == name
    )
    driver.execute_script("arguments[0].scrollIntoView({block: 'start'})", button)
    driver.execute_script("arguments[0].click()", button)
    return wait(driver, lambda d: one(d, f"#{table} .panel"))


def pixels(element: WebElement) -> np.ndarray:
    """Return what an element looks like, shape (height, width, 3), 0 to 255."""
    from PIL import Image

    picture = Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")
    return np.asarray(picture).astype(int)


def test_nothing_is_fetched(show: Callable[[CampaignView], Any]) -> None:
    driver = show(minerals())
    open_row(driver, "survivor-table", "columbite")
    wait(driver, lambda d: d.find_elements(By.CSS_SELECTOR, ".stage canvas"))
    events = [json.loads(e["message"])["message"] for e in driver.get_log("performance")]
    requests = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    # A browser may open pages of its own at its start: only what this page asked for counts.
    asked = [r["request"]["url"] for r in requests if r["documentURL"] == driver.current_url]
    assert asked  # the log works: the page itself is in it
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert [url for url in asked if url.startswith("file:")] == [driver.current_url]
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_policy_stops_foreign_code_and_requests(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(minerals(), path)
    browser.get(path.as_uri())
    blocked = browser.execute_async_script(
        """
        const done = arguments[0];
        const blocked = [];
        addEventListener("securitypolicyviolation", (e) => blocked.push(e.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.broken = 1";
        document.body.append(script);
        const image = document.createElement("img");
        image.setAttribute("onerror", "window.broken = 1");
        image.src = "http://127.0.0.1:9/x.png";
        document.body.append(image);
        const style = document.createElement("style");
        style.textContent = "body { display: none }";
        document.body.append(style);
        fetch("http://127.0.0.1:9/").catch(() => 0);
        setTimeout(() => done([window.broken === undefined, ...new Set(blocked)]), 600);
        """
    )
    assert blocked[0] is True
    assert {"script-src-elem", "img-src", "style-src-elem", "connect-src"} <= set(blocked[1:])
    browser.get_log("browser")


def test_hostile_text_is_shown_and_not_run(show: Callable[[CampaignView], Any]) -> None:
    """Fault 70, in the browser: every place where text from outside is shown."""
    evil = "</script><img src=x onerror=\"window.broken=1\"><b class='evil'>Ti</b>"
    bad = replace(
        candidate("x", make(COLUMBITE), control=True, asked={evil: 1.5}),
        name=evil,
        notes=(evil,),
        extra={evil: [evil, {evil: evil}]},
    )
    bad = replace(bad, origin=replace(bad.origin, source=evil, generator=evil))
    said = Verdict(
        "novelty", Outcome.REJECTED, evil, evil, 1.0, evil, {evil: evil, "matches": [evil]}, evil
    )
    views = [
        judged(bad, [said, stability_verdict(0.4), property_verdict(1.0)]),
        judged(replace(unreadable(evil, evil, evil), asked={evil: 1.5}, extra={evil: evil})),
    ]
    view = campaign(views, name=evil, description=evil, targets={evil: 1.5})
    driver = show(replace(view, provenance={evil: {evil: [evil]}}))
    for table in ("control-table", "nearest-table", "every-table"):
        open_row(driver, table, evil)
    assert driver.execute_script("return window.broken") is None
    assert driver.find_elements(By.CSS_SELECTOR, ".evil, main img") == []
    assert evil in one(driver, ".description").text
    assert evil in one(driver, "#control-table .panel").text


def test_tables_sort_filter_and_search(show: Callable[[CampaignView], Any]) -> None:
    driver = show(minerals())
    table = "every-table"
    assert len(names(driver, table)) == 5

    def header(title: str) -> WebElement:
        buttons = driver.find_elements(By.CSS_SELECTOR, f"#{table} thead button")
        return next(b for b in buttons if b.text.startswith(title))

    header("Candidate").send_keys(Keys.ENTER)
    ascending = names(driver, table)
    assert ascending == sorted(ascending)
    assert header("Candidate").find_element(By.XPATH, "..").get_attribute("aria-sort") == (
        "ascending"
    )
    header("Candidate").send_keys(Keys.ENTER)
    assert names(driver, table) == ascending[::-1]
    # What has no number stays last in both directions.
    header("Density").send_keys(Keys.ENTER)
    assert names(driver, table)[-1] == "broken"
    header("Density").send_keys(Keys.ENTER)
    assert names(driver, table)[-1] == "broken"

    search = one(driver, f"#{table} input")
    search.send_keys("tio2 close")  # formula without subscripts, and a word of the reason
    assert names(driver, table) == ["overlapping"]
    assert one(driver, f"#{table} .shown").text == "1 of 5 rows"
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys(Keys.DELETE)
    reason = one(driver, f"#{table} label:nth-of-type(3) select")
    reason.send_keys("Same as")
    assert names(driver, table) == ["columbite supercell"]


def test_many_candidates_come_in_pages(show: Callable[[CampaignView], Any]) -> None:
    driver = show(campaign([judged(unreadable(f"row {n:03d}")) for n in range(60)]))
    assert names(driver, "every-table")[0] == "row 000"
    assert len(names(driver, "every-table")) == 25
    one(driver, "#every-table .pager button:last-child").click()
    assert names(driver, "every-table")[0] == "row 025"
    assert "Page 2 of 3" in one(driver, "#every-table .pager").text
    assert one(driver, "h1").text.startswith("None of the 60 candidates could be read.")


def test_a_row_opens_to_its_verdicts_and_files(
    show: Callable[[CampaignView], Any], tmp_path: Path
) -> None:
    view = minerals()
    driver = show(view)
    panel = open_row(driver, "survivor-table", "columbite")
    shown = panel.text
    for text in ("Validity", "Novelty", "Stability", "Property", "Pbcn (60)", "−5.8"):
        assert text in shown
    assert "band gap 1.50" in shown
    panel.find_element(By.CSS_SELECTOR, ".verdict:nth-child(2) summary").click()
    assert "ratio pair" in panel.text

    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    key = view.survivors[0].candidate.key
    for label, name in (("Download CIF", key), ("Download relaxed CIF", f"{key}-relaxed")):
        button = next(b for b in panel.find_elements(By.TAG_NAME, "button") if b.text == label)
        button.click()
        path = tmp_path / f"{name}.cif"
        wait(driver, lambda _, path=path: path.is_file() and path.stat().st_size)
    (back,) = read_candidates(tmp_path / f"{key}-relaxed.cif")
    relaxed = view.survivors[0].relaxed
    assert back.atoms is not None
    assert relaxed is not None
    assert list(back.atoms.symbols) == list(relaxed.symbols)
    assert back.atoms.cell.array == pytest.approx(relaxed.cell.array, abs=1e-5)
    moved, _ = find_mic(back.atoms.positions - relaxed.positions, relaxed.cell, pbc=True)
    assert np.abs(moved).max() < 1e-5


def test_structure_is_drawn_and_changes_with_relaxation(
    show: Callable[[CampaignView], Any],
) -> None:
    driver = show(minerals())
    panel = open_row(driver, "survivor-table", "columbite")
    wait(driver, lambda d: d.find_elements(By.CSS_SELECTOR, ".stage canvas"))
    stage = panel.find_element(By.CSS_SELECTOR, ".stage")

    def oxygen(picture: np.ndarray) -> np.ndarray:
        """Where the picture is red, as oxygen is drawn."""
        red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
        return (red > 120) & (green < 90) & (blue < 90)

    relaxed = pixels(stage)
    share = oxygen(relaxed).mean()
    assert 0.01 < share < 0.5  # atoms are there, and do not fill the view
    rows, columns = np.nonzero(oxygen(relaxed))
    # The cell fills the stage without leaving it.
    assert np.ptp(rows) > 0.4 * relaxed.shape[0]
    assert rows.min() > 2
    assert columns.min() > 2
    before = next(b for b in panel.find_elements(By.TAG_NAME, "button") if b.text == "As received")
    before.click()
    assert before.get_attribute("aria-pressed") == "true"
    assert (oxygen(pixels(stage)) != oxygen(relaxed)).mean() > 0.001
    now = pixels(stage)
    stage.send_keys(Keys.ARROW_LEFT)
    assert (pixels(stage) != now).any()
    legend = panel.find_element(By.TAG_NAME, "figcaption").text
    assert "Ti" in legend
    assert "O" in legend


def test_many_open_rows_keep_few_3d_views_alive(show: Callable[[CampaignView], Any]) -> None:
    views = [
        judged(
            candidate(f"twin {n:02d}", make(COLUMBITE)),
            [NOVEL, stability_verdict(0.01 * n), property_verdict(2.0)],
        )
        for n in range(6)
    ]
    driver = show(campaign(views))
    for n in range(6):
        name = f"twin {n:02d}"
        open_row(driver, "survivor-table", name)
        panel = f"#survivor-table tr[data-key='{views[n].candidate.key}'] + tr .stage"
        stage = one(driver, panel)
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
        wait(driver, lambda d, p=panel: d.find_elements(By.CSS_SELECTOR, f"{p} canvas"))
    assert len(driver.find_elements(By.CSS_SELECTOR, ".stage canvas")) == 4
    # The first ones are pictures now, and turn again when asked to.
    asleep = driver.find_elements(By.CSS_SELECTOR, ".stage img")
    assert len(asleep) == 2
    wake = one(driver, ".wake")
    stage = wake.find_element(By.XPATH, "..")
    driver.execute_script("arguments[0].click()", wake)
    wait(driver, lambda d: stage.find_elements(By.TAG_NAME, "canvas"))


def test_map_names_a_candidate_and_opens_it(show: Callable[[CampaignView], Any]) -> None:
    driver = show(minerals())
    chart = one(driver, "#map-chart svg")
    assert len(driver.find_elements(By.CSS_SELECTOR, "#map-chart .point")) == 3
    assert "threshold" in chart.text
    assert "target and asked: 1.50" in chart.text  # the target is one of the values asked for
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    point = one(driver, "#map-chart .point.survived")
    ActionChains(driver).move_to_element(point).perform()
    tip = wait(driver, lambda d: one(d, "#map-chart .tip.on"))
    assert "columbite" in tip.text
    assert "0.021" in tip.text
    assert "Passed every stage" in tip.text
    point.click()
    panel = wait(driver, lambda d: one(d, "#survivor-table .panel"))
    assert "Stability" in panel.text
    assert driver.execute_script("return location.hash").startswith("#candidate-")
    # The same with the keyboard alone.
    chart = one(driver, "#map-chart svg")
    driver.execute_script("arguments[0].focus()", chart)
    ActionChains(driver).send_keys(Keys.ARROW_RIGHT).perform()
    assert one(driver, "#map-chart .tip.on").text
    one(driver, "#map-property").send_keys("Density")
    assert "Density" in one(driver, "#map-chart svg").text


def test_a_link_to_a_candidate_opens_it(browser: Any, tmp_path: Path) -> None:
    view = minerals()
    path = tmp_path / "report.html"
    write_report(view, path)
    rejected = next(c for c in view.candidates if c.candidate.name == "overlapping")
    browser.get(f"{path.as_uri()}#candidate-{rejected.candidate.key}")
    panel = wait(browser, lambda d: one(d, "#every-table .panel"))
    assert "0.90 Å" in panel.text


CONTRAST = """
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const pen = canvas.getContext("2d", { willReadFrequently: true });
function over(base, layers) {
  pen.fillStyle = base;
  pen.fillRect(0, 0, 1, 1);
  for (const layer of layers) { pen.fillStyle = layer; pen.fillRect(0, 0, 1, 1); }
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
const channel = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const inSvg = node.ownerSVGElement;
  if (!own || !node.checkVisibility?.() || (inSvg && !node.closest(".chart"))) continue;
  if (node.matches("script, style, .visually-hidden, .skip") || node.disabled) continue;
  const layers = [];
  for (let n = node; n; n = n.parentElement) layers.unshift(getComputedStyle(n).backgroundColor);
  const style = getComputedStyle(node);
  const back = over(getComputedStyle(document.body).backgroundColor, layers);
  const text = over(`rgb(${back})`, [inSvg ? style.fill : style.color]);
  const [a, b] = [light(back), light(text)].sort((x, y) => y - x);
  found.push([(a + 0.05) / (b + 0.05), node.className.baseVal ?? node.className,
    node.textContent.slice(0, 40)]);
}
return found.sort((a, b) => a[0] - b[0]);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(
    show: Callable[[CampaignView], Any], scheme: str
) -> None:
    """WCAG 2.2, success criterion 1.4.3: at least 4.5 to 1 for text of any size."""
    driver = show(minerals())
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    open_row(driver, "survivor-table", "columbite")
    driver.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    found = driver.execute_script(CONTRAST)
    assert len(found) > 150
    assert found[0][0] >= 4.5, found[:5]
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    dark = sum(int(x) for x in background.strip("rgb()").split(",")) < 150
    assert dark == (scheme == "dark")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("view", [minerals, nothing_survived, lambda: campaign([])])
def test_page_fits_a_phone_and_does_not_jump(
    show: Callable[[CampaignView], Any], view: Callable[[], CampaignView]
) -> None:
    driver = show(view())
    shift = driver.execute_async_script(
        """
        const done = arguments[0];
        let sum = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((e) => { sum += e.value; }))
          .observe({ type: "layout-shift", buffered: true });
        setTimeout(() => done(sum), 300);
        """
    )
    assert shift < 0.01  # "good" begins at 0.1 (web.dev/cls)
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for button in driver.find_elements(By.CSS_SELECTOR, ".rows tbody tr:first-child .opener"):
        driver.execute_script("arguments[0].click()", button)
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= 360


def test_controls_are_reachable_and_named(show: Callable[[CampaignView], Any]) -> None:
    """Every control has a name for a screen reader; headings and regions are in order."""
    driver = show(minerals())
    open_row(driver, "survivor-table", "columbite")
    tree = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    nodes = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in tree if "role" in n]
    for role in ("button", "combobox", "searchbox", "link", "image", "table", "region"):
        named = [name for r, name in nodes if r == role]
        assert named, role
        assert all(name.strip() for name in named), role
    levels = driver.execute_script(
        "return [...document.querySelectorAll('h1,h2,h3')].map((h) => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    ids = driver.execute_script("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_folded_parts_stand_open_on_paper(show: Callable[[CampaignView], Any]) -> None:
    driver = show(minerals())
    assert not driver.find_elements(By.CSS_SELECTOR, "main > section > details[open]")
    driver.execute_cdp_cmd("Page.printToPDF", {})
    folded = driver.find_elements(By.CSS_SELECTOR, "main > section > details:not([open])")
    assert folded == []


@pytest.mark.data
def test_the_real_tio2_candidates_in_one_page(
    show: Callable[[CampaignView], Any], data_dir: Path
) -> None:
    """The 652 real rows with their authors' unrelaxed hull distances and band gaps."""
    views = []
    for file in sorted((data_dir / "tio2-candidates").glob("*.parquet")):
        table = pd.read_parquet(file)
        rows = read_candidates(file, column="Generated CIF")
        for c, (_, row) in zip(rows, table.iterrows(), strict=True):
            views.append(judged(c, [NOVEL, stability_verdict(float(row["ehull_mace"]))]))
    view = campaign(views)
    assert len(views) == 652
    driver = show(view)
    assert one(driver, "h1").text == "None of the 652 candidates survived."
    by_reason = view.stages[1].rejected
    text = one(driver, "#funnel").text
    for n in by_reason.values():
        assert str(n) in text
    assert one(driver, "#every-table .shown").text == "652 rows"
    placed = sum("stability" in c.verdicts for c in views)
    assert len(driver.find_elements(By.CSS_SELECTOR, "#map-chart .point")) == placed
    size = len(driver.page_source.encode())
    assert size < 6_000_000
    open_row(driver, "nearest-table", names(driver, "nearest-table")[0])
    wait(driver, lambda d: d.find_elements(By.CSS_SELECTOR, ".stage canvas"))
