# SPDX-License-Identifier: Apache-2.0
"""The phases of a case from one path: a folder, files side by side, a 4D file."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.server_inputs import FindPhasesd

PHASES = ["pre", "late_portal", "portal"]
FIND = FindPhasesd(phases=PHASES)


@pytest.fixture
def volumes(smooth) -> dict[str, np.ndarray]:
    return {phase: smooth((6, 7, 8), seed) for seed, phase in enumerate(PHASES)}


def voxels(item: dict) -> dict[str, np.ndarray]:
    """Return what the loader reads for each phase that was found."""
    opened = LoadImagePhasesd(phases=PHASES)(item)["volumes"]
    return {phase: volume.read() for phase, volume in opened.items()}


def test_three_layouts_of_one_case_are_the_same_case(volumes, save, tmp_path: Path) -> None:
    affine = np.diag([-2.0, 1.0, 3.0, 1.0])
    mask = np.ones((6, 7, 8), dtype=np.uint8)
    (tmp_path / "p001").mkdir()
    for phase, values in volumes.items():
        save(f"p001/{phase}", values, affine)
        save(f"p001_{phase}", values, affine)
    for name in ("p001/lesion", "p001_lesion", "p002_seg"):
        save(name, mask, affine)
    whole = save("p002", np.stack(list(volumes.values()), axis=-1), affine)
    for path, case in ((tmp_path / "p001", "p001"), (tmp_path / "p001_portal.nii.gz", "p001"), (whole, "p002")):
        item = FIND({"image": str(path)})
        assert item["case"] == item["patient"] == case
        assert Path(item["roi"]).name in ("lesion.nii.gz", "p001_lesion.nii.gz", "p002_seg.nii.gz")
        read = voxels(item)
        assert list(read) == PHASES
        for phase in PHASES:
            np.testing.assert_array_equal(read[phase], volumes[phase])


def test_the_longest_phase_name_counts_and_a_missing_phase_stays_away(volumes, save, tmp_path: Path) -> None:
    save("a_b_late_portal", volumes["late_portal"])
    save("a_b_pre", volumes["pre"])
    save("a_portal", volumes["portal"])
    item = FIND({"image": str(tmp_path / "a_b_late_portal.nii.gz")})
    assert item["case"] == "a_b"
    assert set(item["image"]) == {"pre", "late_portal"}


def test_each_phase_may_have_a_mask_of_its_own(volumes, save, tmp_path: Path) -> None:
    mask = np.zeros((6, 7, 8), dtype=np.uint8)
    mask[2:4, 2:4, 2:4] = 1
    (tmp_path / "p001").mkdir()
    for phase in ("pre", "portal"):
        save(f"p001/{phase}", volumes[phase])
        save(f"p001_{phase}", volumes[phase])
        save(f"p001/lesion_{phase}", mask)
        save(f"p001_{phase}_lesion", mask)
    folder = FIND({"image": str(tmp_path / "p001")})
    assert {phase: Path(path).name for phase, path in folder["roi"].items()} == {
        "pre": "lesion_pre.nii.gz", "portal": "lesion_portal.nii.gz"
    }  # fmt: skip
    beside = FIND({"image": str(tmp_path / "p001_portal.nii.gz")})
    assert list(beside["image"]) == list(beside["roi"]) == ["pre", "portal"]
    assert beside["roi"]["portal"].endswith("p001_portal_lesion.nii.gz")
    save("p001/lesion", mask)
    assert FIND({"image": str(tmp_path / "p001")})["roi"].endswith("lesion.nii.gz"), "one of the whole case goes first"


def test_a_constant_volume_of_a_4d_file_is_an_absent_phase(volumes, save) -> None:
    stacked = np.stack([volumes["pre"], np.zeros((6, 7, 8), np.float32), volumes["portal"]], axis=-1)
    read = voxels(FIND({"image": save("p003", stacked)}))
    assert list(read) == ["pre", "portal"]
    np.testing.assert_array_equal(read["portal"], volumes["portal"])


def test_phases_by_name_stay_as_they_are() -> None:
    item = {"case": "p001", "image": {"pre": "a.nii"}, "roi": None}
    assert FIND(item) == item


@pytest.mark.parametrize("where", [{"box": [[0, 0, 0], [1, 1, 1]]}, {"point": "1 2 3"}])
def test_what_is_asked_for_counts_more_than_a_mask(where, volumes, save) -> None:
    save("p001_lesion", np.ones((6, 7, 8), dtype=np.uint8))
    path = save("p001_pre", volumes["pre"])
    assert FIND({"image": path, **where})["roi"] is None
    assert FIND({"image": path, "point": " "})["roi"] is not None


def test_errors_say_what_to_do(volumes, save, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be one of those listed"):
        FIND({"image": ""})
    with pytest.raises(FileNotFoundError, match=r"^case p9.nii.gz: .* must exist"):
        FIND({"image": str(tmp_path / "p9.nii.gz")})
    with pytest.raises(ValueError, match=r"^case p001: .* must be a 4D NIfTI file of 3 phases, or end in"):
        FIND({"image": save("p001", volumes["pre"])})
    two = save("p004", np.stack([volumes["pre"]] * 2, axis=-1))
    with pytest.raises(ValueError, match=r"^case p004: the fourth axis .* must be the 3 phases .* found 2"):
        FIND({"image": two})
    with pytest.raises(ValueError, match=r"^case p005: .* must hold a phase, found constant volumes only"):
        FIND({"image": save("p005", np.ones((4, 4, 4, 3), np.float32))})
    (tmp_path / "p006").mkdir()
    with pytest.raises(ValueError, match=r"^case p006: .* must hold one file per phase named after it"):
        FIND({"image": str(tmp_path / "p006")})
    (tmp_path / "p007.nii.gz").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"^case p007: the volume must be readable"):
        FIND({"image": str(tmp_path / "p007.nii.gz")})


def test_a_truncated_4d_file_is_refused(volumes, tmp_path: Path) -> None:
    path = tmp_path / "p008.nii"
    nibabel.save(nibabel.Nifti1Image(np.stack(list(volumes.values()), axis=-1), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated"):
        FIND({"image": str(path)})
