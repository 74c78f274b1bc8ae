# SPDX-License-Identifier: Apache-2.0
"""Masks of the region: told by names and voxels, and never missing without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scripts.cases.folder import MASK_NAMES, read_case_folder
from workbench.prepare.preparing import prepare
from workbench.prepare.quality.quality import check_quality
from workbench.prepare.settings import Settings

SHAPE = (24, 20, 12)
LESION = (slice(8, 14), slice(6, 12), slice(3, 8))


def save(path: Path, voxels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if voxels is None:
        voxels = np.random.default_rng(list(str(path).encode())).normal(100, 20, SHAPE).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


def mask(*pieces: tuple[slice, ...], shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    voxels = np.zeros(shape, dtype=np.uint8)
    for piece in pieces:
        voxels[piece] = 1
    return voxels


@pytest.mark.parametrize(
    "name",
    [
        *("segmentation", "p01_seg", "Label", "tumour", "T1-label", "tumorMask_2", "Läsion", "pre_GT"),
        *("máscara", "病灶", "aggregated_MAJ_seg"),
    ],
)
def test_usual_names_are_masks_where_their_voxels_are(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "p01"
    save(folder / "pre.nii.gz")
    roi = save(folder / f"{name}.nii.gz", mask(LESION))
    found = read_case_folder(folder)
    drawn = {"pre": roi} if name == "pre_GT" else roi
    assert (list(found.images), found.roi) == (["pre"], drawn)
    assert read_case_folder(folder, ["pre", "portal"]).roi == drawn
    save(roi)  # an image of that name
    if name != "p01_seg":
        assert read_case_folder(folder).roi is None
        assert len(read_case_folder(folder).images) == 2


@pytest.mark.parametrize("name", ["asl", "t1_gd", "maximum", "labour", "groin", "segment_free"])
def test_other_names_are_phases_whatever_they_hold(name: str, tmp_path: Path) -> None:
    save(tmp_path / "p01" / f"{name}.nii.gz", mask(LESION))
    assert list(read_case_folder(tmp_path / "p01").images) == [name]


def test_of_several_masks_the_first_is_taken_and_the_others_are_told(tmp_path: Path) -> None:
    for name in ("pre.nii.gz", "notes.txt", "arterial.par", "screenshot.png", "raw/1.dcm"):
        (tmp_path / "p01" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p01" / name).write_bytes(b"")
    save(tmp_path / "p01/pre.nii.gz")
    for name in ("liver_seg", "segmentation", "lesion"):
        save(tmp_path / "p01" / f"{name}.nii.gz", mask(LESION))
    found = read_case_folder(tmp_path / "p01")
    assert found.roi == tmp_path / "p01/lesion.nii.gz"
    assert sorted(found.masks) == ["liver_seg", "segmentation"]
    assert found.unread == ["arterial.par", "notes.txt", "screenshot.png", "raw/"]
    assert list(found.images) == ["pre"]
    assert read_case_folder(tmp_path / "p01", ["pre", "segmentation"]).images["segmentation"]
    assert len(set(MASK_NAMES)) == len(MASK_NAMES)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Twelve cases of one phase and a mask."""
    rows = ["case,label"]
    for number in range(12):
        save(tmp_path / f"images/p{number:02d}/t1.nii.gz")
        save(tmp_path / f"images/p{number:02d}/lesion.nii.gz", mask(LESION))
        rows.append(f"p{number:02d},{'ab'[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


def preparing(cohort: Path, **options: Any) -> Path:
    return prepare(
        Settings(cohort / "images", "folders", cohort / "out", labels=cohort / "labels.csv", workers=2, **options)
    )


def test_missing_and_empty_masks_are_listed_and_the_choice_is_the_users(cohort: Path, capsys) -> None:
    (cohort / "images/p02/lesion.nii.gz").unlink()
    save(cohort / "images/p05/lesion.nii.gz", mask())
    with pytest.raises(ValueError, match=r"^10 of 12 cases .*, p02, p05 \(its mask is empty\) have none; "):
        preparing(cohort)
    with pytest.raises(ValueError, match=r"without_mask must be one of .*leave_out.*found 'leave'"):
        preparing(cohort, without_mask="leave")
    preparing(cohort, without_mask="leave_out")
    assert "cases without a mask, left out: p02, p05" in capsys.readouterr().out
    assert "Cases without a mask, left out: p02, p05" in (cohort / "out/quality.html").read_text()
    preparing(cohort, without_mask="box", overwrite=True)
    assert "box of 6 x 6 x 10 mm in the middle of the volume: p02, p05" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["empty", "no"])
def test_no_mask_at_all_leaves_nothing_to_go_on_with_and_no_box(given: str, cohort: Path, capsys) -> None:
    for file in cohort.glob("images/*/lesion.nii.gz"):
        save(file, mask()) if given == "empty" else file.unlink()
    for choice in ("leave_out", "box", *([None] if given == "empty" else [])):
        with pytest.raises(ValueError, match=r"^at least one case must .* \(cases without: p00, .* \(12 in all\)\); "):
            preparing(cohort, without_mask=choice)
    preparing(cohort, without_mask="whole_volume", quality=False)
    assert "for the whole volume" in capsys.readouterr().out


def test_masks_per_phase_with_names_of_their_values(cohort: Path, capsys) -> None:
    drawn = mask(LESION)
    drawn[LESION][0] = 2
    for folder in sorted((cohort / "images").iterdir()):
        (folder / "lesion.nii.gz").unlink()
        save(folder / "t2.nii.gz")
        save(folder / "lesion_t1.nii.gz", drawn)
        if folder.name != "p01":
            save(folder / "T2_seg.nii.gz", drawn)
    made = json.loads(preparing(cohort, structures=["rim", "core"]).read_text())
    printed = capsys.readouterr().out
    assert made["structures"] == ["rim", "core"]
    entries = {entry["case"]: entry for split in ("training", "validation", "test") for entry in made[split]}
    assert {case: list(entry["roi"]) for case, entry in entries.items() if case in ("p00", "p01")} == {
        "p00": ["t1", "t2"], "p01": ["t1"]
    }  # fmt: skip
    assert "masks: 12 of 12 cases have them: t1 12, t2 11\n" in printed
    assert "structures, by the value of the masks: 1 rim (12 cases), 2 core (12 cases)" in printed
    assert "further masks, not used" not in printed
    assert not check_quality(cohort / "out", workers=1)
    with pytest.raises(ValueError, match=r"case p00: roi of phase 't1'.* 1 to 1 of `structures` \(rim\), found 2 in"):
        preparing(cohort, structures=["rim"], overwrite=True)
    (cohort / "out/dataset.json").write_text(json.dumps(made | {"structures": ["rim"]}))
    findings = check_quality(cohort / "out", workers=1)
    assert len(findings) == 23
    assert all(one.breaks_training and "`structures` (rim), found 2" in one.what for one in findings)


def test_a_mask_named_after_a_phase_is_the_cases_where_no_other_phase_has_one(cohort: Path) -> None:
    for folder in (cohort / "images").iterdir():
        (folder / "lesion.nii.gz").rename(folder / "lesion_t1.nii.gz")
    made = json.loads(preparing(cohort, quality=False).read_text())
    assert Path(made["training"][0]["roi"]).name == "lesion_t1.nii.gz"
    assert "structures" not in made


def test_names_of_structures_need_a_mask(cohort: Path) -> None:
    for folder in (cohort / "images").iterdir():
        (folder / "lesion.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"^--structures names the values of masks, found no case with one; correct"):
        preparing(cohort, structures=["rim"], quality=False)


def test_masks_that_cannot_be_read_are_all_named(cohort: Path) -> None:
    for case in ("p03", "p07"):
        (cohort / f"images/{case}/lesion.nii.gz").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"case p03: region.*\n  case p07: region"):
        preparing(cohort)


def test_a_phase_that_is_a_mask_and_files_that_are_not_read_are_told(cohort: Path, capsys) -> None:
    for number in range(12):
        save(cohort / f"images/p{number:02d}/organs.nii.gz", mask((slice(number, number + 5), *LESION[1:])) * 3)
        (cohort / f"images/p{number:02d}/dose.dcm").write_bytes(b"")
    (cohort / "images/p04/late.par").write_bytes(b"")
    preparing(cohort)
    printed = capsys.readouterr().out
    assert (
        "warning: phase 'organs' holds only the values 0, 3 in the 3 cases looked at: it is probably a mask" in printed
    )
    assert "phase 't1' holds" not in printed
    assert "no image of a kind that is read, left out: dose.dcm (12 cases), late.par (p04)" in printed


def test_two_far_lesions_are_named_on_the_screen_and_in_the_page(cohort: Path, capsys) -> None:
    """The pieces of p06 do not fit into the grid of the others; a speck in p07 is no piece."""
    wide = (120, 20, 12)
    other, speck = (slice(108, 113), *LESION[1:]), (slice(119, 120), slice(0, 1), slice(0, 1))
    for case, pieces in (("p06", [LESION, other]), ("p07", [LESION, speck])):
        voxels = np.random.default_rng(int(case[1:])).normal(100, 20, wide).astype(np.float32)
        save(cohort / f"images/{case}/t1.nii.gz", voxels)
        save(cohort / f"images/{case}/lesion.nii.gz", mask(*pieces, shape=wide))
    preparing(cohort)
    printed = capsys.readouterr().out
    assert "(component: largest): p06 (45% left out), p07 (< 1% left out)" in printed
    what = "case p06, region: its mask has 2 separate pieces, of 55%, 45% of its volume"
    assert f"warning: {what}" in printed
    assert "its mask has 2 separate pieces, of 55%, 45% of its volume" in (cohort / "out/quality.html").read_text()
    places = [finding.case for finding in check_quality(cohort / "out") if "pieces" in finding.what]
    assert places == ["p06"]


def test_masks_that_are_in_several_pieces_as_a_rule_count_as_a_whole(cohort: Path, capsys) -> None:
    for number in range(12):
        voxels = mask((slice(0, 4), *LESION[1:]), (slice(19, 23), *LESION[1:]))
        save(cohort / f"images/p{number:02d}/lesion.nii.gz", voxels)
    preparing(cohort)
    assert "component: all" in (cohort / "out/data.yaml").read_text()
    assert "masks in several pieces, most of all, so that the region holds all of them" in capsys.readouterr().out
