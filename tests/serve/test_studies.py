# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder MONAI Label lists as cases, by its own matching rules."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import nibabel
import numpy as np
import pytest
from workbench.serve.command import study_patterns

PHASES = ["pre", "portal"]


def listed(folder: Path) -> dict[str, str]:
    """Return id -> file as MONAI Label 0.8.5 finds them (monailabel/datastore/local.py)."""
    patterns = study_patterns(folder, PHASES, "portal")
    names = [entry.name for entry in folder.iterdir()]
    found = {}
    for name in sorted({name for pattern in patterns for name in fnmatch.filter(names, pattern)}):
        extension = "".join(Path(name).suffixes)
        for ending in (pattern.replace("*", "") for pattern in patterns):
            extension = ending if name.endswith(ending) else extension
        found[name.replace(extension, "") if extension else name] = name
    return found


@pytest.fixture
def make(tmp_path: Path):
    def write(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True, parents=True)
            nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), path)
        (tmp_path / "labels" / "final").mkdir(parents=True, exist_ok=True)
        (tmp_path / "datastore_v2.json").write_text("{}")
        return tmp_path

    return write


def test_a_folder_per_case(make) -> None:
    folder = make("p001/pre.nii.gz", "p001/portal.nii.gz", "p001/lesion.nii.gz", "p[2]/pre.nii.gz")
    assert listed(folder) == {"p001": "p001", "p[2]": "p[2]"}


def test_files_side_by_side_are_one_case_each_and_masks_none(make) -> None:
    folder = make("p001_pre.nii.gz", "p001_portal.nii.gz", "p001_lesion.nii.gz", "p002_portal.nii.gz")
    assert listed(folder) == {"p001": "p001_portal.nii.gz", "p002": "p002_portal.nii.gz"}


def test_a_case_without_the_reference_phase_is_listed_by_its_first(make) -> None:
    folder = make("p001_pre.nii.gz", "p001_portal.nii.gz", "p002_pre.nii.gz")
    assert listed(folder) == {"p001": "p001_portal.nii.gz", "p002_pre": "p002_pre.nii.gz"}


def test_4d_files_and_their_masks(make) -> None:
    folder = make("p001.nii.gz", "p002.nii.gz", "p002_seg.nii.gz")
    assert listed(folder) == {"p001": "p001.nii.gz", "p002": "p002.nii.gz"}


def test_4d_files_without_masks_leave_room_for_new_ones(make) -> None:
    assert study_patterns(make("p001.nii.gz", "p002.nii"), PHASES, "portal") == ["*.nii", "*.nii.gz"]


def test_no_case_and_mixed_layouts_are_errors(make, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be a folder"):
        study_patterns(tmp_path / "none", PHASES, "portal")
    with pytest.raises(ValueError, match=r"of one layout .* found none; the phases are pre, portal"):
        study_patterns(make(), PHASES, "portal")
    with pytest.raises(ValueError, match="found files per phase and 4D files"):
        study_patterns(make("p001_pre.nii.gz", "p002.nii.gz"), PHASES, "portal")
