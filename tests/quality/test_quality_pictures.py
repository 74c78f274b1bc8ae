"""Pictures of a case lie at the place of its region in every phase; what says the same is told once."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from scripts.quality import check_quality
from scripts.quality.look import look_at_case
from scripts.quality.thumbnail import OUTLINE
from tests.reporting.page import Page

LESION_MM = 33.0


def save(file: Path, spacing: float, flip: bool = False, lesion: bool = False) -> str:
    """Save a volume of 40 x 40 x 48 mm whose grey is the height in mm, or the mask of a lesion."""
    shape = (20, 20, int(48 / spacing))
    height = np.broadcast_to(np.arange(shape[2]) * spacing, shape).astype(np.float32)
    voxels = height
    if lesion:  # large at 33 mm, small at 9 mm
        voxels = np.zeros(shape, np.uint8)
        voxels[4:8, 5:15][:, :, np.isclose(height[0, 0], LESION_MM)] = 1
        voxels[4:6, 5:7][:, :, np.isclose(height[0, 0], 9.0)] = 1
    affine = np.diag([2.0, 2.0, spacing, 1.0])
    if flip:
        voxels = voxels[::-1, :, ::-1]
        affine = affine @ np.array([[-1, 0, 0, 19], [0, 1, 0, 0], [0, 0, -1, shape[2] - 1], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels), affine), file)
    return str(file)


def item(folder: Path, roi: bool = True, **more) -> dict:
    image = {
        "a": save(folder / "a.nii", 1.0),
        "b": save(folder / "b.nii", 3.0),
        "c": save(folder / "c.nii", 1.5, flip=True),
    }
    mask = save(folder / "m.nii", 3.0, lesion=True) if roi else None
    return {"case": "c1", "patient": "c1", "split": "training", "image": image, "roi": mask, **more}


def shown(seen, phase: str) -> tuple[float, np.ndarray]:
    """Return the height in mm that a picture shows, and where it is outlined."""
    values = seen.phases[phase].values
    picture = values.thumbnail if values.thumbnail.ndim == 3 else np.repeat(values.thumbnail[..., None], 3, 2)
    outline = (picture == OUTLINE).all(axis=2)
    grey = float(picture[~outline][:, 0].mean())
    return values.low + grey / 255 * (values.high - values.low), outline


def test_every_phase_is_cut_where_the_mask_is_largest_and_outlined(tmp_path):
    seen = look_at_case(item(tmp_path))
    for phase in "abc":
        height, outline = shown(seen, phase)
        assert height == pytest.approx(LESION_MM, abs=1.0), phase
        rows, columns = np.nonzero(outline)
        # voxels 4 to 8 of 20 towards the right, which is at the picture's left; 5 to 15 towards the front
        assert columns.min() / 190 == pytest.approx(12 / 20, abs=0.02)
        assert columns.max() / 190 == pytest.approx(16 / 20, abs=0.02)
        assert rows.min() / 190 == pytest.approx(5 / 20, abs=0.02)
        assert rows.max() / 190 == pytest.approx(15 / 20, abs=0.02)


def test_a_box_is_outlined_and_without_a_region_all_phases_show_the_middle_of_the_first(tmp_path):
    height, outline = shown(look_at_case(item(tmp_path, False, box=[[4, 4, 6], [20, 20, 12]])), "a")
    assert height == pytest.approx(9.0, abs=1.0)
    assert outline.any()
    for phase in "abc":
        height, outline = shown(look_at_case(item(tmp_path, False)), phase)
        assert height == pytest.approx(23, abs=1.6)
        assert not outline.any()


def test_the_page_tells_alike_findings_and_pairs_of_copies_once(tmp_path, capsys):
    entries = []
    for number in range(6):
        folder = tmp_path / f"p{number}"
        folder.mkdir()
        random = np.random.default_rng(0 if number < 2 else number)
        for phase in ("pre", "late"):
            voxels = random.normal(size=(8, 8, 8)).astype(np.float32)
            if phase == "pre" and number > 1:
                voxels[:number, 0, 0] = np.nan
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"{phase}.nii")
        image = {
            phase: f"p{number}/{phase}.nii" for phase in ("pre", "late") if number != 5 or phase == "pre"
        }
        entries.append({"case": f"p{number}", "image": image, "label": "ab"[number % 2]})
    document = {"name": "n", "phases": ["pre", "late"], "classes": ["a", "b"], "training": entries}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    check_quality(tmp_path, workers=1)
    page = Page((tmp_path / "quality.html").read_text())
    told = [one.text for one in page.all("strong")]
    assert sum("it holds the same voxels" in one.text for one in page.all("li")) == 1
    assert sum(text.startswith("4 times alike, phase 'pre'") for text in told) == 1
    assert any("Cases: p2, p3, p4, p5." in one.text for one in page.all("li"))
    rows = [figure for figure in page.all("figure") if figure.all("img")]
    columns = [[bold.text for bold in figure.all("b")] for figure in rows]
    assert columns == [["pre", "late"]] * 6
    assert "missing" in rows[[figure.all("figcaption")[0].text for figure in rows].index("p5")].text
    assert all("middle slice: no mask" in figure.text for figure in rows)
