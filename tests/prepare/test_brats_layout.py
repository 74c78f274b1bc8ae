# SPDX-License-Identifier: Apache-2.0
"""Layout `brats`: the three ways in which the editions are laid out."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.cases.read import read_cases
from scripts.volumes.open import open_volume
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

PHASES = ["t1", "t1ce", "t2", "flair"]


def tumour() -> np.ndarray:
    mask = np.zeros((16, 16, 12), np.uint8)
    mask[4:9, 5:8, 3:6] = 4
    return mask


def everyone(cases) -> dict[str, dict]:
    return {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}


def test_the_edition_of_2020_with_its_name_mapping(save_volume, tmp_path):
    rows = ["Grade,BraTS_2017_subject_ID,BraTS_2020_subject_ID"]
    for number in range(1, 11):
        case = f"BraTS20_Training_{number:03d}"
        for name in ("t1", "t1ce", "t2", "flair"):
            save_volume(tmp_path / "data" / case / f"{case}_{name}.nii")
        save_volume(tmp_path / "data" / case / f"{case}_seg.nii", tumour())
        rows.append(f"{['HGG', 'LGG'][number % 2]},NA,{case}")
    (tmp_path / "data/name_mapping.csv").write_text("\n".join(rows))
    cases = read_cases(prepare(Settings(tmp_path / "data", "brats", tmp_path / "out")), PHASES, ["HGG", "LGG"])
    item = everyone(cases)["BraTS20_Training_003"]
    assert (item["label"], list(item["image"])) == (1, PHASES)
    assert item["roi"] == str(tmp_path / "out/masks/BraTS20_Training_003.nii.gz")
    np.testing.assert_array_equal(open_volume(item["roi"]).read(), np.where(tumour() == 4, 3, 0))
    assert cases.structures == ["necrotic core", "oedema", "enhancing tumour"]
    assert "BraTS_2017_subject_ID" not in (tmp_path / "out/dataset.json").read_text()


def test_grades_as_folders(save_volume, tmp_path):
    for number in range(8):
        grade, case = ["HGG", "LGG"][number % 2], f"Brats18_CBICA_A{number}_1"
        for name in PHASES:
            save_volume(tmp_path / "data" / grade / case / f"{case}_{name}.nii.gz")
    cases = read_cases(prepare(Settings(tmp_path / "data", "brats", tmp_path / "out")), PHASES, ["HGG", "LGG"])
    assert everyone(cases)["Brats18_CBICA_A3_1"]["label"] == 1
    assert cases.class_counts == [2, 2]


def test_time_points_of_a_patient_stay_together(save_volume, tmp_path, capsys):
    rows = ["case,label,age"]
    for number in range(16):
        case = f"BraTS-GLI-{number // 2:05d}-{100 + number % 2}"
        for name in ("t1n", "t1c", "t2w", "t2f"):
            save_volume(tmp_path / "data" / case / f"{case}-{name}.nii.gz")
        rows.append(f"{case},{'01'[number // 2 % 2]},{number}")
    (tmp_path / "labels.csv").write_text("\n".join(rows[:-1]))
    file = prepare(Settings(tmp_path / "data", "brats", tmp_path / "out", labels=tmp_path / "labels.csv"))
    cases = read_cases(file, PHASES, ["0", "1"], ["age"])
    items = everyone(cases)
    for number in range(7):
        first, second = (items[f"BraTS-GLI-{number:05d}-{time}"] for time in (100, 101))
        assert first["patient"] == second["patient"] == f"BraTS-GLI-{number:05d}"
        assert first["split"] == second["split"]
        assert first["image"]["t1ce"].endswith("-t1c.nii.gz")
    assert [item["case"] for item in cases.unlabelled] == ["BraTS-GLI-00007-101"]
    assert "cases without a mask: BraTS-GLI-00000-100" in capsys.readouterr().out


def test_mistakes_are_one_line(save_volume, tmp_path):
    save_volume(tmp_path / "data/A/A_t1.nii.gz")
    with pytest.raises(ValueError, match=r"layout 'brats' needs a label .* e.g. A; pass --labels"):
        prepare(Settings(tmp_path / "data", "brats", tmp_path / "out"))
    save_volume(tmp_path / "data/A/A_t1n.nii.gz")
    with pytest.raises(ValueError, match=r"case A: phase 't1' must be one file, found A_t1.nii.gz and A_t1n.nii.gz"):
        prepare(Settings(tmp_path / "data", "brats", tmp_path / "out"))
    with pytest.raises(ValueError, match=r"must hold folders like BraTS20_Training_001"):
        prepare(Settings(tmp_path / "data/A", "brats", tmp_path / "out"))
