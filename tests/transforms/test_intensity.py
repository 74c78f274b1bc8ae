# SPDX-License-Identifier: Apache-2.0
"""Intensity transforms on known values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.transforms.intensity import PercentileIntensityd, WindowIntensityd, ZScoreIntensityd
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.region import WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd


@pytest.fixture
def item() -> dict:
    """Two phases on a common grid; the second has twice the values of the first, and less of it is inside."""
    generator = torch.Generator().manual_seed(0)
    pre = 100 + 20 * torch.randn(6, 6, 6, generator=generator)
    inside = torch.ones(6, 6, 6, dtype=torch.bool)
    inside[0] = False
    less = inside.clone()
    less[:, 0] = False
    return {
        "case": "p017",
        "image": {"pre": torch.where(inside, pre, 0.0), "portal": torch.where(less, 2 * pre, 0.0)},
        "inside": {"pre": inside, "portal": less},
    }


ALL = [
    WindowIntensityd(lower=0.0, upper=400.0),
    *[ZScoreIntensityd(joint=joint) for joint in (False, True)],
    *[PercentileIntensityd(joint=joint) for joint in (False, True)],
]


@pytest.mark.parametrize("transform", ALL)
def test_padding_is_exactly_0_and_the_item_given_is_kept(item, transform) -> None:
    before = {phase: values.clone() for phase, values in item["image"].items()}
    result = transform(item)
    for phase, values in result["image"].items():
        assert (values[~item["inside"][phase]] == 0).all()
        assert values[item["inside"][phase]].std() > 0.01
        assert torch.equal(item["image"][phase], before[phase])


def test_window(item) -> None:
    item["image"]["pre"][1, 0, :3] = torch.tensor([-500.0, 120.0, 900.0])
    result = WindowIntensityd(lower=20.0, upper=220.0)(item)["image"]["pre"]
    torch.testing.assert_close(result[1, 0, :3], torch.tensor([0.0, 0.5, 1.0]))


def inside_values(item: dict, phase: str) -> torch.Tensor:
    return item["image"][phase][item["inside"][phase]]


def test_z_score_of_each_phase(item) -> None:
    result = ZScoreIntensityd()(item)
    for phase in ("pre", "portal"):
        values = inside_values(result, phase)
        assert values.mean().item() == pytest.approx(0, abs=1e-5)
        assert values.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_joint_z_score_pools_the_voxels_and_keeps_the_relation(item) -> None:
    result = ZScoreIntensityd(joint=True)(item)
    pooled = torch.cat([inside_values(result, phase) for phase in ("pre", "portal")])
    assert pooled.mean().item() == pytest.approx(0, abs=1e-5)
    assert pooled.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    before = inside_values(item, "pre").mean() - inside_values(item, "portal").mean()
    raw = torch.cat([inside_values(item, phase) for phase in ("pre", "portal")])
    after = inside_values(result, "pre").mean() - inside_values(result, "portal").mean()
    assert after.item() == pytest.approx((before / raw.std(correction=0)).item(), rel=1e-4)


def test_percentiles_of_each_phase_and_of_all(item) -> None:
    alone = PercentileIntensityd(lower=10.0, upper=90.0)(item)
    joint = PercentileIntensityd(lower=10.0, upper=90.0, joint=True)(item)
    for phase in ("pre", "portal"):
        raw = inside_values(item, phase).numpy()
        low, high = np.percentile(raw, [10, 90])
        np.testing.assert_allclose(inside_values(alone, phase), np.clip((raw - low) / (high - low), 0, 1), atol=1e-5)
    raw = np.concatenate([inside_values(item, phase).numpy() for phase in ("pre", "portal")])
    low, high = np.percentile(raw, [10, 90])
    expected = np.clip((inside_values(item, "pre").numpy() - low) / (high - low), 0, 1)
    np.testing.assert_allclose(inside_values(joint, "pre"), expected, atol=1e-5)


@pytest.mark.parametrize("joint", [False, True])
def test_statistics_of_the_whole_volume(save, smooth, joint: bool) -> None:
    voxels = {"pre": smooth((20, 20, 20)) + 50, "portal": 3 * smooth((16, 20, 20), 1)}
    item = {"case": "p017", "image": {phase: save(phase, values) for phase, values in voxels.items()}}
    for step in (LoadImagePhasesd(phases=list(voxels)), WholeVolumeRegiond(), ResamplePhasesd(size=(8, 8, 8))):
        item = step(item)
    scored = ZScoreIntensityd(joint=joint, statistics="volume")(item)
    ranged = PercentileIntensityd(lower=5.0, upper=95.0, joint=joint, statistics="volume")(item)
    for phase, own in voxels.items():
        counted = np.concatenate([part.ravel() for part in voxels.values()]) if joint else own
        raw = item["image"][phase].numpy()
        expected = np.where(item["inside"][phase], (raw - counted.mean()) / counted.std(), 0)
        np.testing.assert_allclose(scored["image"][phase], expected, atol=1e-4)
        low, high = np.percentile(counted, [5, 95])
        expected = np.where(item["inside"][phase], np.clip((raw - low) / (high - low), 0, 1), 0)
        np.testing.assert_allclose(ranged["image"][phase], expected, atol=1e-4)


def test_percentiles_without_extent(item) -> None:
    item["image"]["pre"][item["inside"]["pre"]] = 5.0
    item["image"]["pre"][1, 1, 1] = 9.0
    for transform in (PercentileIntensityd(lower=5, upper=95), ZScoreIntensityd()):
        flat = {**item, "image": {**item["image"]}}
        if isinstance(transform, ZScoreIntensityd):
            flat["image"]["pre"] = torch.where(item["inside"]["pre"], 5.0, 0.0)
        with pytest.raises(ValueError, match=r"^case p017: phase 'pre' must have values that differ .*found 5 at both"):
            transform(flat)


def test_settings() -> None:
    with pytest.raises(ValueError, match="nearest: 'region'"):
        ZScoreIntensityd(statistics="regions")
    with pytest.raises(ValueError, match="`upper` must be above `lower`"):
        WindowIntensityd(lower=1.0, upper=1.0)
    with pytest.raises(ValueError, match="100 percent must hold, found 5 and 101"):
        PercentileIntensityd(lower=5, upper=101)


def test_order(item) -> None:
    item.pop("inside")
    with pytest.raises(ValueError, match="put ResamplePhasesd before it"):
        ZScoreIntensityd()(item)
