# SPDX-License-Identifier: Apache-2.0
"""Pictures of a case lie at the place of its region in every phase; what says the same is told once."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from workbench.prepare.quality.cohort import Finding, together
from workbench.prepare.quality.look import look_at_case
from workbench.prepare.quality.page import write_quality_page
from workbench.prepare.quality.quality import check_quality
from workbench.prepare.quality.thumbnail import OUTLINE, mask_region

from tests.report.page import Page

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


def test_of_two_pieces_the_one_that_the_grid_is_centred_on_is_shown(tmp_path):
    """The flat piece has the largest area of any slice, the tall one the larger volume."""
    inside = np.zeros((20, 20, 16), bool)
    inside[1:11, 1:11, 2] = True
    inside[14:19, 14:19, 8:13] = True
    region = mask_region(inside, np.diag([2.0, 2.0, 3.0, 1.0]))
    assert region.point.tolist() == [32.0, 32.0, 30.0]
    assert region.contains(np.array([[8.0, 8.0, 6.0]])).all(), "the other piece is outlined where it is cut"


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
        image = {phase: f"p{number}/{phase}.nii" for phase in ("pre", "late") if number != 5 or phase == "pre"}
        entries.append({"case": f"p{number}", "image": image, "label": "ab"[number % 2]})
    document = {"name": "n", "phases": ["pre", "late"], "classes": ["a", "b"], "training": entries}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    check_quality(tmp_path, workers=1)
    said = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("breaks training: case p") for line in said) == 4
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


def region_case(folder: Path, mask: np.ndarray, mask_affine: np.ndarray, planes: float = 1.0, tilt: float = 0.0):
    """Look at a case of 80 x 80 x 48 mm with one phase; planes are that many mm apart, tilt is in degrees."""
    folder.mkdir()
    shape = (40, 40, round(48 / planes))
    sine, cosine = np.sin(np.radians(tilt)), np.cos(np.radians(tilt))
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([2.0, 2.0, planes])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    voxels = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / "a.nii")
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), mask_affine), folder / "m.nii")
    return look_at_case(
        {
            "case": "c1",
            "patient": "c1",
            "split": "",
            "image": {"a": str(folder / "a.nii")},
            "roi": str(folder / "m.nii"),
        }
    )


def centred(shape: tuple[int, ...], spacing: tuple[float, ...], shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.array(shift) - np.array(spacing) * (np.array(shape) - 1) / 2
    return affine


@pytest.mark.parametrize(("planes", "tilt"), [(1.0, 0.0), (16.0, 0.0), (3.0, 25.0), (16.0, 25.0)], ids=str)
@pytest.mark.parametrize(
    ("size", "shift"),
    [((4, 4, 2), (6, 6, 6)), ((1, 1, 1), (6, 6, 6)), ((60, 1, 1), (6, 6, 6)), ((1, 1, 1), (-11.3, 5.2, -6.9))],
    ids=str,
)
def test_a_region_is_outlined_however_small_and_however_far_apart_the_planes(tmp_path, planes, tilt, size, shift):
    mask = np.ones(size)
    seen = region_case(tmp_path / "c", mask, centred(size, (0.5, 0.5, 0.5), shift), planes, tilt)
    assert seen.phases["a"].values.through_region
    _, outline = shown(seen, "a")
    rows, columns = np.nonzero(outline)
    assert len(rows), "nothing is outlined"
    # the patient's left, -x, is at the picture's right; its front, +y, at the top
    assert (columns.min() + columns.max()) / 2 == pytest.approx(95 - shift[0] * 190 / 80, abs=2.5)
    along = np.array([0, np.cos(np.radians(tilt)), np.sin(np.radians(tilt))]) @ np.array(shift)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(95 - along * 190 / 80, abs=2.5)


def test_a_mask_whose_slices_are_equally_large_is_cut_in_its_middle(tmp_path):
    voxels = np.zeros((20, 20, 48), np.uint8)
    voxels[4:8, 5:15, 11:30] = 1
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 1.0, 1.0])), tmp_path / "m.nii")
    seen = look_at_case(item(tmp_path, False) | {"roi": str(tmp_path / "m.nii")})
    assert shown(seen, "a")[0] == pytest.approx(20, abs=1)


def test_a_mask_that_fills_the_picture_is_framed(tmp_path):
    shape = (60, 60, 60)
    seen = region_case(tmp_path / "c", np.ones(shape), centred(shape, (2.0, 2.0, 2.0)))
    _, outline = shown(seen, "a")
    assert all(outline[border].all() for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]))
    assert not outline[1:-1, 1:-1].any()


@pytest.mark.parametrize(
    ("shift", "said"),
    [((300, 0, 0), "its mask lies beside this picture"), ((0, 0, 300), "does not reach this slice: its middle")],
)
def test_a_mask_that_the_picture_cannot_show_is_said(tmp_path, shift, said):
    seen = region_case(tmp_path / "c", np.ones((4, 4, 4)), centred((4, 4, 4), (2.0, 2.0, 2.0), shift))
    page = Page(write_quality_page(tmp_path, "n", ["a"], [seen], []).read_text())
    assert said in page.all("figure")[-1].text


def found_alike(*names: str, what: str, phases: tuple[str, ...] = ("late",)) -> list[Finding]:
    return [Finding(name, phase, what.format(name), "restore it") for name in names for phase in phases]


@pytest.mark.parametrize(
    "what",
    [
        "it ended in /my study (x)/{0}/a.nii",
        "Empty file: '/my study (x)/{0}/a.nii' in /my study (x)/{0}/a.nii",
        "File /my study (x)/{0}/a.nii is not a gzip file",
        "slice /my study (x)/{0}/a.nii/IM7 cannot be read",
        "3% of the mask (/my study (x)/{0}/a.nii) lie inside",
    ],
)
def test_findings_that_differ_in_the_file_alone_are_one_whatever_its_path(what):
    names = ["anna", "bob k", "cem"]
    files = {name: [f"/my study (x)/{name}", f"/my study (x)/{name}/a.nii"] for name in names}
    (alike,) = together(found_alike(*names, what=what), files)
    assert alike.cases == "anna, bob k, cem"
    assert len(together(found_alike(*names, what="the value {0} is unknown"), files)) == 3


def test_one_fault_in_several_phases_is_told_once_with_the_phases():
    found = found_alike("p1", "p2", what="0% of the mask lie inside", phases=("T1", "T2", "DWI"))
    (alike,) = together(found)
    assert (len(alike.findings), alike.cases, alike.place) == (6, "p1, p2", "phases 'T1', 'T2', 'DWI'")
    assert together(found_alike("p1", "p2", what="x", phases=("region",)))[0].place == "region"
    assert together(found[:1])[0].place == "phase 'T1'"
    assert str(alike) == f"phases 'T1', 'T2', 'DWI' of 2 cases: p1, p2; the first: {found[0]}"
    assert str(together(found[:1])[0]) == str(found[0])
    names = together(found_alike(*"abcdefg", what="x"))[0]
    assert " of 7 cases: a, b, c, d, e, ... (7 in all); the first: case a, " in str(names)


def test_the_screen_says_each_kind_of_warning_once(tmp_path, capsys):
    entries = []
    for number in range(7):
        voxels = np.random.default_rng(number).normal(size=(12, 12, 12)).astype(np.float32)
        voxels[:, :, 7] = voxels[:, :, 6] if number else voxels[:, :, 7]
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / f"p{number}.nii")
        entries.append({"case": f"p{number}", "image": {"pre": f"p{number}.nii"}, "label": "ab"[number % 2]})
    document = {"name": "n", "phases": ["pre"], "classes": ["a", "b"], "training": entries}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    assert len(check_quality(tmp_path, workers=1)) == 6
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "warning: " in line]
    assert "phase 'pre' of 6 cases: p1, p2, p3, p4, p5, ... (6 in all); the first: case p1, phase" in line


def test_the_outline_lies_on_the_voxels_that_it_is_of(tmp_path):
    """A fine image that is its own mask: every pixel inside the outline is white, none outside."""
    voxels = np.zeros((500, 500, 3), np.float32)
    voxels[101:318, 207:399] = 1
    affine = np.diag([0.4, 0.4, 4.0, 1.0])
    for name in ("a", "m"):
        nibabel.save(nibabel.Nifti1Image(voxels.astype(np.uint8), affine), tmp_path / f"{name}.nii")
    case = {"case": "c", "patient": "c", "split": "", "image": {"a": str(tmp_path / "a.nii")}}
    seen = look_at_case(case | {"roi": str(tmp_path / "m.nii")})
    plain = look_at_case(case | {"roi": None}).phases["a"].values.thumbnail
    _, outline = shown(seen, "a")
    assert outline.any()
    assert (plain[outline] == 0).all()
    white = plain == 255
    assert (binary_dilation(white, np.ones((3, 3))) & ~white == outline).all()
