# SPDX-License-Identifier: Apache-2.0
"""N4: a smooth field that was multiplied in is removed, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from workbench.prepare.bias_field import BiasCorrection, correct_cases


def head(bias: float, seed: int = 0) -> np.ndarray:
    """Return two tissues in a ball on a dark ground with a little noise, under a field of 1 +- `bias`."""
    shape = (48, 56, 20)
    axes = np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij")
    ball, core = (sum(axis**2 for axis in axes) < radius**2 for radius in (0.9, 0.45))
    noise = np.random.default_rng(seed).normal(0, 4, shape)
    field = 1 + bias * (0.7 * axes[0] - 0.5 * axes[1] ** 2 + 0.4 * axes[0] * axes[2])
    return ((ball * 300 + core * 200) * field + ball * noise + 10 * np.abs(noise) / 4).astype(np.float32)


def inner(voxels: np.ndarray) -> np.ndarray:
    """Return the voxels of the core, which is uniform but for noise and field."""
    axes = np.meshgrid(*(np.linspace(-1, 1, count) for count in voxels.shape), indexing="ij")
    return voxels[sum(axis**2 for axis in axes) < 0.4**2]


def variation(voxels: np.ndarray) -> float:
    return float(voxels.std() / voxels.mean())


def make_case(folder: Path, **phases: np.ndarray) -> dict:
    folder.mkdir()
    affine = np.array([[0, 1.5, 0, 5], [-1.5, 0, 0, 9], [0, 0, 4, 3], [0, 0, 0, 1.0]])
    for phase, voxels in phases.items():
        nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / f"{phase}.nii.gz")
    return {"case": "a", "image": {phase: str(folder / f"{phase}.nii.gz") for phase in phases}, "label": "low"}


def test_a_field_that_was_multiplied_in_is_removed(tmp_path):
    case = make_case(tmp_path / "a", t1=head(0.5), t2=head(0.5, seed=1))
    (after,) = correct_cases([case], ["t1", "t2"], tmp_path / "out", BiasCorrection("n4", ["t1"]), workers=1)
    assert after["image"]["t2"] == case["image"]["t2"]
    old, new = (nibabel.load(entry["image"]["t1"]) for entry in (case, after))
    before, corrected = np.asarray(old.dataobj), np.asarray(new.dataobj)
    np.testing.assert_array_equal(new.affine, old.affine)
    print(f"variation {variation(inner(before)):.3f} -> {variation(inner(corrected)):.3f}")
    assert variation(inner(corrected)) < variation(inner(before)) / 2
    assert inner(corrected).mean() == pytest.approx(inner(before).mean(), rel=0.15)


def test_a_volume_without_a_field_stays_nearly_as_it_is(tmp_path):
    case = make_case(tmp_path / "a", t1=head(0.0))
    (after,) = correct_cases([case], ["t1"], tmp_path / "out", BiasCorrection("n4"), workers=1)
    ratio = inner(np.asarray(nibabel.load(after["image"]["t1"]).dataobj)) / inner(head(0.0))
    assert np.abs(ratio - 1).max() < 0.05


def test_a_second_run_corrects_nothing_again(tmp_path, monkeypatch):
    case = make_case(tmp_path / "a", t1=head(0.3))
    first = correct_cases([case], ["t1"], tmp_path / "out", BiasCorrection("n4"), workers=1)
    monkeypatch.setattr("workbench.prepare.bias_field.bias_field", lambda *_: pytest.fail("corrected again"))
    assert correct_cases([case], ["t1"], tmp_path / "out", BiasCorrection("n4"), workers=1) == first


def test_ct_is_refused_in_one_line(tmp_path):
    case = make_case(tmp_path / "a", ct=head(0.0) - 400)
    with pytest.raises(ValueError, match=r"case a: phase 'ct': .*above 0 in its foreground.*--bias_phases") as error:
        correct_cases([case], ["ct"], tmp_path / "out", BiasCorrection("n4"), workers=1)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


def test_wrong_settings(tmp_path):
    with pytest.raises(ValueError, match=r"bias_correction must be one of \[none, n4\], found 'n3'"):
        BiasCorrection("n3")
    with pytest.raises(ValueError, match=r"bias_phases: 't3' is not among the phases \[t1, t2\]"):
        correct_cases([], ["t1", "t2"], tmp_path, BiasCorrection("n4", ["t3"]))
