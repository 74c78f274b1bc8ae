# SPDX-License-Identifier: Apache-2.0
"""quality.html in headless Chromium without a network: on a desk and on a phone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from workbench.prepare.quality.quality import check_quality

from tests.report.test_browser import DESK, PHONE, browser, show  # noqa: F401

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


@pytest.mark.parametrize("width", [PHONE, 1100, DESK, 1600])
def test_nothing_is_cut_and_what_is_wider_says_how_to_see_it(browser, page, width):  # noqa: F811
    show(browser, page, width)
    browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    boxes = """return [...document.querySelectorAll('.wide')].map(one =>
        [one.scrollWidth - one.clientWidth, one.querySelector('.sideways').offsetHeight,
         getComputedStyle(one).overflowX])"""
    found = browser.execute_script(boxes)
    assert len(found) >= 3
    assert all((wider > 0) == (hint > 0) and scroll == "auto" for wider, hint, scroll in found)
    if width != PHONE:
        assert not any(wider > 0 for wider, _, _ in found)
    else:
        assert any(wider > 0 for wider, _, _ in found)
    beyond = """return [...document.querySelectorAll('main *')].filter(one =>
        !one.closest('.wide') && one.getBoundingClientRect().right > innerWidth + 1).length"""
    assert browser.execute_script(beyond) == 0


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_pictures_load_and_only_tables_scroll_sideways(browser, page, width):  # noqa: F811
    show(browser, page, width)
    sizes = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(sizes) > 40
    assert min(sizes) > 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_pictures_of_one_row_and_their_names_are_level(browser, page, width):  # noqa: F811
    show(browser, page, width)
    browser.execute_async_script("""
        const flat = 'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="190" height="60"/>';
        const every = [...document.querySelectorAll('.thumbs img')].filter((_, n) => n % 2);
        every.forEach(one => { one.src = flat; one.height = 60; });
        Promise.all(every.map(one => one.decode())).then(arguments[0])""")
    rows = browser.execute_script("""
        return [...document.querySelectorAll('.thumbs figure > div')].map(row =>
            [...row.children].map(one => [one.getBoundingClientRect().top,
                one.querySelector('b').getBoundingClientRect().top]))""")
    assert len(rows) > 10
    for row in rows:
        tops: dict[float, set[int]] = {}
        for top, name in row:
            tops.setdefault(top, set()).add(round(name))
        assert all(len(names) == 1 for names in tops.values())
