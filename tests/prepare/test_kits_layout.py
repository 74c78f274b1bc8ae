# SPDX-License-Identifier: Apache-2.0
"""Layout `kits`: the editions with and without cysts, with classes and without."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings


def test_masks_name_what_the_edition_draws_and_a_table_gives_classes(save_volume, tmp_path):
    for number in range(8):
        case = tmp_path / "data" / f"case_{number:05d}"
        save_volume(case / "imaging.nii.gz")
        drawn = np.zeros((16, 16, 12), np.uint8)
        drawn[4:9, 5:8, 3:6], drawn[4:6, 5:7, 3:5] = 1, 2
        if number < 7:
            save_volume(case / "segmentation.nii.gz", drawn)
    file = prepare(Settings(tmp_path / "data", "kits", tmp_path / "out", quality=False))
    outlines = read_cases(file, ["ct"], [], labels=False)
    assert outlines.structures == ["kidney", "tumor"]
    assert [item["case"] for item in outlines.unlabelled] == ["case_00007"]
    (tmp_path / "data/case_00000/instances").mkdir()
    (tmp_path / "data/case_00007/imaging.nii.gz").unlink()
    (tmp_path / "labels.csv").write_text("case,label\n" + "\n".join(f"case_{n:05d},{'ab'[n % 2]}" for n in range(7)))
    labels = tmp_path / "labels.csv"
    file = prepare(Settings(tmp_path / "data", "kits", tmp_path / "two", labels=labels, quality=False))
    classes = read_cases(file, ["ct"], ["a", "b"])
    assert classes.structures == ["kidney", "tumor", "cyst"]
    assert {item["label"] for item in classes.training} == {0, 1}


def test_a_folder_without_images_is_refused_in_one_line(tmp_path):
    (tmp_path / "data/case_00000").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"must hold folders like case_00000 with imaging.nii.gz, found none"):
        prepare(Settings(tmp_path / "data", "kits", tmp_path / "out"))
