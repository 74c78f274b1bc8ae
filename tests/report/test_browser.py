# SPDX-License-Identifier: Apache-2.0
"""Reports of networks that classify and that outline, in headless Chromium: on a desk, on a phone, and on paper."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench.report.report import report_folder

pytestmark = pytest.mark.browser

PHONE, DESK = 390, 1200


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """A Chromium that reaches nothing; skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install -r requirements-dev.txt")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.add_argument("--headless=new")
    options.add_argument("--no-sandbox")  # which root may not have
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module", params=["classifies", "outlines"])
def kind(request) -> str:
    """What the network of the report does."""
    return request.param


@pytest.fixture(scope="module")
def report(kind, bundle, quick, trained, tmp_path_factory) -> Path:
    """The report of a training, with a class or structure whose name has no place to break."""
    folder = tmp_path_factory.mktemp("report") / "copy"
    name = "moderately_differentiated_hepatocellular_carcinoma_with_vascular_invasion"
    if kind == "outlines":
        tiny = {"grid_size": [16, 16, 8], "max_epochs": 1, "val_interval": 1, "patches": 1, "width": 8}
        files = ["configs/train.yaml", "configs/segment.yaml"]
        bundle("segmenting", files, output_dir=str(folder), structures=[name], **(quick | tiny))
        return folder / "report.html"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("scripts", "models", "tensorboard"))
    for file in ("metrics.json", "evaluation.json", "configs/train.yaml"):
        text = (folder / file).read_text()
        (folder / file).write_text(re.sub(r"\bhigh\b", name, text))
    return report_folder(folder)


def show(browser, report: Path, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(report.as_uri())


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_it_shows_everything_without_a_network(browser, report, kind, width):
    show(browser, report, width)
    sizes = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(sizes) == {"classifies": 12, "outlines": 5}[kind]
    assert min(sizes) > 0
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
    assert report.as_uri() in asked
    assert [url[:80] for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_only_tables_scroll_sideways(browser, report, width):
    show(browser, report, width)
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    beyond = """
        return [...document.querySelectorAll('main *')]
            .filter(one => !one.closest('.wide') && one.getBoundingClientRect().right > innerWidth + 1)
            .map(one => one.tagName + ' ' + one.textContent.slice(0, 40))"""
    assert browser.execute_script(beyond) == []


def test_text_stands_out_from_its_ground(browser, report):
    """Contrast of at least 4.5 to 1 (WCAG 2, level AA), of every text against the nearest ground."""
    show(browser, report, DESK)
    pairs = """
        const ground = one => { const c = getComputedStyle(one).backgroundColor;
            return c === 'rgba(0, 0, 0, 0)' ? ground(one.parentElement) : c; };
        return [...document.querySelectorAll('main *')].filter(one => one.textContent.trim())
            .map(one => [getComputedStyle(one).color, ground(one)])"""
    found = {tuple(pair) for pair in browser.execute_script(pairs)}
    assert len(found) > 3
    assert min(contrast(*pair) for pair in found) >= 4.5


def contrast(text: str, ground: str) -> float:
    light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of rgb(r, g, b), as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_it_prints_on_a4_with_whole_figures(browser, report):
    show(browser, report, DESK)
    options = {"preferCSSPageSize": True, "printBackground": True}
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", options)["data"])
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert len(boxes) > 3
    assert {(round(float(wide)), round(float(high))) for wide, high in boxes} == {(595, 842)}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    width = {"width": 680, "height": 1009, "deviceScaleFactor": 1, "mobile": False}  # A4 less its margins, in px
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", width)
    cut = """
        return [...document.querySelectorAll('figure:has(img)')].filter(one =>
            getComputedStyle(one).breakInside !== 'avoid' || one.getBoundingClientRect().height > innerHeight
            || one.querySelector('img').getBoundingClientRect().right > innerWidth).length"""
    assert browser.execute_script(cut) == 0
    wide = """
        return [...document.querySelectorAll('table')].filter(one => one.offsetWidth > innerWidth)
            .map(one => one.textContent.slice(0, 300))"""
    assert browser.execute_script(wide) == []
