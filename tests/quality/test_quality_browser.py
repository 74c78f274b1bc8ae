"""quality.html in headless Chromium without a network: on a desk and on a phone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scripts.quality import check_quality
from tests.reporting.test_browser import DESK, PHONE, browser, show  # noqa: F401

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(small_phantom, tmp_path_factory) -> Path:
    """The page of a phantom with a case that has a long name and a broken file."""
    folder = tmp_path_factory.mktemp("quality") / "copy"
    shutil.copytree(small_phantom, folder)
    content = json.loads((folder / "dataset.json").read_text())
    case = content["training"][0]
    (folder / next(iter(case["image"].values()))).write_bytes(b"nothing")
    case["case"] = "liver_centre_7_patient_0123456789_second_examination_after_treatment"
    (folder / "dataset.json").write_text(json.dumps(content))
    check_quality(folder, workers=1)
    return folder / "quality.html"


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_pictures_load_and_only_tables_scroll_sideways(browser, page, width):  # noqa: F811
    show(browser, page, width)
    sizes = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(sizes) > 40
    assert min(sizes) > 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
