# SPDX-License-Identifier: Apache-2.0
"""Image files and masks as public reports describe them: read rightly, or named with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scripts.volumes.open import open_volume
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings


def made(folder: Path, output: Path, layout: str = "folders", **options: Any) -> dict[str, dict[str, Any]]:
    """Run `preparing` and return the entries of its dataset.json by case."""
    labels = {"labels": folder / "labels.csv"} if layout == "folders" else {}
    prepare(Settings(folder / "data", layout, output, **labels, quality=False, workers=2, **options))
    content = json.loads((output / "dataset.json").read_text())
    splits = ("training", "validation", "test", "unlabelled")
    return {entry["case"]: entry for split in splits for entry in content.get(split, [])}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("5", ["phase 'arterial' of 1 case: it is not packed, whatever its name says; it was read by"]),
        ("7", []),
        ("26", ["phase 'arterial' of 12 cases: it is in metres, and was brought to mm: p000"]),
    ],
)  # fmt: skip
def test_every_phase_is_read_with_its_voxels_in_mm(number, said, awkward, tmp_path, capsys) -> None:
    cases = made(awkward(number), tmp_path)
    printed = capsys.readouterr().out
    assert len(cases) == 12
    for case in cases.values():
        assert sorted(case["image"]) == ["arterial", "pre"], case["case"]
        volumes = [open_volume(file) for file in case["image"].values()]
        for volume in volumes:
            np.testing.assert_allclose(volume.spacing, [1, 1, 2], rtol=1e-5)
            assert volume.shape == (24, 24, 12)
            assert volume.statistics().std > 10
        np.testing.assert_allclose(volumes[0].affine, volumes[1].affine, atol=1e-4)
    for line in said:
        assert line in printed
    assert "1 x 1 x 2 mm" in printed


def test_the_mask_of_kits_is_the_region_and_no_phase(awkward, tmp_path, capsys) -> None:
    cases = made(awkward("8"), tmp_path)
    for case in cases.values():
        assert list(case["image"]) == ["imaging"]
        assert Path(case["roi"]).name == "segmentation.nii.gz"
    assert "by name and voxels: segmentation.nii.gz (12 cases)" in capsys.readouterr().out
    assert "component: largest" in (tmp_path / "data.yaml").read_text()


@pytest.mark.parametrize(
    ("number", "layout", "lacks", "probable"),
    [("9", "folders", "p007", ""), ("28", "brats", "BraTS20_Training_355", "W39_1998.09.19_Segm.nii")],
)
def test_a_case_without_a_mask_is_never_a_silent_change_for_all(
    number, layout, lacks, probable, awkward, tmp_path, capsys
) -> None:
    folder = awkward(number)
    with pytest.raises(ValueError, match=rf"^11 of 12 cases have a mask.*, {lacks}.* has none; ") as caught:
        made(folder, tmp_path / "refused", layout)
    text = str(caught.value)
    assert "\n" not in text
    assert probable in text
    assert all(f"--without_mask {choice}" in text for choice in ("leave_out", "box", "whole_volume"))

    cases = made(folder, tmp_path / "left", layout, without_mask="leave_out")
    assert len(cases) == 11
    assert lacks not in cases
    assert f"cases without a mask, left out: {lacks}" in capsys.readouterr().out
    assert "MaskRegiond" in (tmp_path / "left/data.yaml").read_text()

    cases = made(folder, tmp_path / "box", layout, without_mask="box")
    low, high = np.array(cases[lacks]["box"])
    volume = open_volume(next(iter(cases[lacks]["image"].values())))
    middle = (np.subtract(volume.shape, 1) / 2) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    np.testing.assert_allclose((low + high) / 2, middle, atol=0.01)
    assert "MaskRegiond" in (tmp_path / "box/data.yaml").read_text()

    cases = made(folder, tmp_path / "whole", layout, without_mask="whole_volume")
    assert len(cases) == 12
    assert "whole volumes are the region of all 12 cases" in capsys.readouterr().out
    assert "WholeVolumeRegiond" in (tmp_path / "whole/data.yaml").read_text()


def test_a_misnamed_mask_is_proposed_and_renaming_it_is_enough(awkward, tmp_path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(awkward("9"), folder)
    for case, name in (("p003", "leison.nii.gz"), ("p004", "p004_Läsion 2.nii.gz")):
        (folder / "data" / case / "lesion.nii.gz").rename(folder / "data" / case / name)
    with pytest.raises(ValueError, match=r"10 of 12 cases .*p003 \(probably leison.nii.gz\), p007 have none"):
        made(folder, tmp_path / "out")
    assert not (tmp_path / "out/dataset.json").exists()
    (folder / "data/p003/leison.nii.gz").rename(folder / "data/p003/lesion.nii.gz")
    nib.save(nib.load(folder / "data/p004/p004_Läsion 2.nii.gz"), folder / "data/p007/Maske.nii")
    assert all("roi" in case for case in made(folder, tmp_path / "out").values())
