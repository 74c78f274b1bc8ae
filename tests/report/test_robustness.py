# SPDX-License-Identifier: Apache-2.0
"""Faults of images: their strength is what it says, they are seeded by case, and the curves are of the evaluation."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts.metrics.paired import delong_test
from torch import Tensor
from workbench.report.perturb import FAULTS, Fault, perturb, spread
from workbench.report.robustness import robustness_rows

SPACING = (2.0, 1.0, 4.0)
NAMED = {fault.name: fault for fault in FAULTS}


def blob(size: tuple[int, int, int] = (24, 40, 16), at: tuple[float, ...] = (12, 20, 8)) -> Tensor:
    """A smooth ball of 2 voxels' SD."""
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in size), indexing="ij")
    return torch.exp(-sum((axis - centre) ** 2 for axis, centre in zip(axes, at, strict=True)) / 8)


def centre(volume: Tensor) -> np.ndarray:
    """Centre of mass in mm."""
    axes = torch.meshgrid(*(torch.arange(n) * s for n, s in zip(volume.shape, SPACING, strict=True)), indexing="ij")
    return np.array([float((axis * volume).sum() / volume.sum()) for axis in axes])


def worse(image: Tensor, name: str, strength: float, cases: list[str] | None = None, seed: int = 0) -> Tensor:
    present = (image != 0).flatten(2).any(dim=2)
    return perturb(image, present, NAMED[name], strength, cases or ["p1"] * len(image), seed, SPACING)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_grows_is_seeded_by_case_and_leaves_absent_phases_alone(fault: Fault) -> None:
    image = torch.stack([blob(), blob() * 0.7, torch.zeros(24, 40, 16)])[None].repeat(2, 1, 1, 1, 1)
    cases = ["p1", "p2"]
    changes = [worse(image, fault.name, strength, cases) for strength in fault.strengths]
    sizes = [float((changed - image).square().mean()) for changed in changes]
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert not changes[2][:, 2].any()
    assert changes[2].isfinite().all()
    again = worse(image.flip(0), fault.name, fault.strengths[2], cases[::-1]).flip(0)
    torch.testing.assert_close(again, changes[2], atol=1e-5, rtol=0)
    if fault.name not in ("blur", "ringing"):
        assert not torch.equal(changes[2][0], changes[2][1])
        assert not torch.equal(worse(image, fault.name, fault.strengths[2], cases, seed=1), changes[2])


def test_strengths_are_what_they_say() -> None:
    image = torch.stack([blob() + 1, blob() + 1])[None]
    sd = spread(image[0]).flatten()
    noise = worse(image, "noise", 0.5) - image
    assert noise.std().item() == pytest.approx(0.5 * float(sd[0]), rel=0.03)
    ripple = worse(image, "k-space spike", 0.5) - image
    assert ripple.abs().max().item() == pytest.approx(0.5 * float(sd[0]), rel=0.1)
    balls = torch.stack([blob(), blob()])[None]
    shifted = worse(balls, "shift between phases", 6.0)
    assert torch.equal(shifted[0, 0], balls[0, 0])
    assert np.linalg.norm(centre(shifted[0, 1]) - centre(balls[0, 1])) == pytest.approx(6.0, abs=0.1)
    wide = worse(balls, "blur", 4.0)[0, 0]
    line = wide.sum(dim=(1, 2))  # along the first axis, of 2 mm voxels: 2² + (4 / 2)² voxels²
    at = torch.arange(len(line))
    middle = (at * line).sum() / line.sum()
    assert float(((at - middle) ** 2 * line).sum() / line.sum()) == pytest.approx(8.0, rel=0.05)


def test_a_whole_movement_is_a_shift_of_the_image() -> None:
    from workbench.report.perturb import moved

    ball = blob().double()
    found = torch.fft.ifftn(moved(torch.fft.fftn(ball), np.array([3.0, -2.0, 1.0]))).real
    assert torch.allclose(found, ball.roll((3, -2, 1), (0, 1, 2)), atol=1e-9)


def test_one_phase_cannot_be_shifted_against_itself() -> None:
    image = torch.stack([blob(), torch.zeros(24, 40, 16)])[None]
    assert torch.equal(worse(image, "shift between phases", 8.0), image)


def test_rows_have_paired_changes_by_patient() -> None:
    random = np.random.default_rng(0)
    label = np.arange(40) % 2
    patients = [f"p{i // 2}" for i in range(40)]
    risk = np.clip(np.stack([0.4 * label + random.random(40) * s for s in (0.5, 1.0)]), 0.01, 0.99)
    probability = np.stack([1 - risk, risk], axis=2)
    clean, noisy = robustness_rows(probability, label, patients, [(NAMED["noise"], 0.5)], ["a", "b"])
    by = delong_test(probability[1], probability[0], label, patients)
    assert (noisy.auc_change, noisy.auc_change_lower) == (pytest.approx(by.difference), pytest.approx(by.lower))
    assert noisy.auc == pytest.approx(clean.auc + noisy.auc_change)
    assert (clean.strength, clean.auc_change, noisy.unit) == (0.0, None, "SD")


def test_an_evaluation_tries_faults_if_asked(bundle, trained: Path, tmp_path: Path, without_pixels) -> None:
    files = [str(trained / "configs" / f"{name}.yaml") for name in ("train", "evaluate")]
    output = tmp_path / "robust"
    bundle("evaluating", files, bundle_root=str(trained), output_dir=str(output), robustness=True, missing_phases=False)
    with (output / "robustness.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["fault"], row["strength"]) for row in rows[:2]] == [("none", "0.0"), ("noise", "0.25")]
    assert len(rows) == 1 + 3 * len(FAULTS)
    macro = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["macro"]
    assert float(rows[0]["auc"]) == pytest.approx(macro["auc"])
    assert [float(rows[0]["auc_lower"]), float(rows[0]["auc_upper"])] == pytest.approx(macro["auc_interval"])
    assert {row["n"] for row in rows} == {"8"}
    assert (output / "robustness.png").exists()
    assert "robustness.csv" in (output / "checklist.md").read_text(encoding="utf-8")
