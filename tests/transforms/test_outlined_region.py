# SPDX-License-Identifier: Apache-2.0
"""A region that nobody draws: the box around what a network outlines."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
import torch
from scripts.transforms.intensity import WindowIntensityd
from scripts.transforms.mask_region import MaskRegiond
from scripts.transforms.outlined_region import OutlinedRegiond
from scripts.transforms.phases import LoadImagePhasesd, StackPhasesd
from scripts.transforms.viewer_answer import PaintPredictiond
from scripts.volumes.fingerprint import content_hash
from torch import nn

PHASES = ["pre", "portal"]
SCAN = np.diag([2.0, 1.5, 4.0, 1.0])
STEPS = [WindowIntensityd(lower=0, upper=100), StackPhasesd(phases=PHASES)]


class Bright(nn.Module):
    """Outlines what is bright in all phases that are there, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.5))
        self.asked = 0

    def forward(self, image, present=None):
        self.asked += 1
        bright = torch.where(present[:, :, None, None, None], image, 1.0).amin(dim=1, keepdim=True)
        return torch.cat([self.level.expand_as(bright), bright], dim=1)


def whole(image, network, present):
    return network(image, present=present)


def scan(save, blobs=((4, 9),), name="portal") -> tuple[str, np.ndarray]:
    """A dark scan with bright bodies, and a mask of the largest."""
    voxels = np.random.default_rng(0).normal(10, 2, (24, 20, 12)).astype(np.float32)
    mask = np.zeros(voxels.shape, np.uint8)
    for number, (start, stop) in enumerate(blobs):
        voxels[start:stop, 5:11, 3:7] = 90
        mask[start:stop, 5:11, 3:7] = not number
    return save(name, voxels, SCAN), mask


def outlined(**more) -> OutlinedRegiond:
    settings = {"network": Bright(), "inferer": whole, "steps": STEPS, "spacing": [2.0, 1.5, 4.0]} | more
    return OutlinedRegiond(**settings)


def opened(path, **more) -> dict:
    return LoadImagePhasesd(phases=PHASES)({"case": "p1", "image": {"portal": path}, **more})


def test_the_region_is_that_of_a_mask_of_the_same_voxels_of_the_largest_piece(save):
    path, mask = scan(save, [(4, 9), (16, 18)])
    found = outlined(margin=5.0)(opened(path))
    expected = MaskRegiond(margin=5.0)(opened(path, roi=save("roi", mask, SCAN)))
    np.testing.assert_allclose(found["region"], expected["region"], atol=1e-4)


@pytest.mark.parametrize("mask", [False, True])
def test_where_nothing_is_outlined_nothing_is_painted_as_if_it_were(save, mask):
    path, drawn = scan(save)
    given = {"roi": save("roi", drawn, SCAN)} if mask else {}
    rule = outlined(drawn=False, nothing="whole", network=Bright())
    rule.network.level.data.fill_(9.0)  # nothing is so bright
    item = rule(opened(path, **given)) | {"pred": torch.tensor([0.3, 0.7])}
    painted = PaintPredictiond(classes=["low", "high"])(item)
    assert painted["pred"].shape == (1, *drawn.shape)
    assert not painted["pred"].any()
    assert painted["result"]["prediction"][1]["score"] == pytest.approx(0.7)  # of the whole volume


def test_a_box_or_point_goes_first_and_a_drawn_mask_where_that_is_asked(save):
    path, _ = scan(save)
    elsewhere = np.zeros((24, 20, 12), np.uint8)
    elsewhere[18:20, 15:17, 8:9] = 1
    roi = save("roi", elsewhere, SCAN)
    drawn = MaskRegiond()(opened(path, roi=roi))["region"]
    rule = outlined(drawn=True)
    np.testing.assert_allclose(rule(opened(path, roi=roi))["region"], drawn, atol=1e-4)
    assert rule.network.asked == 0
    ignored = outlined(drawn=False)(opened(path, roi=roi))["region"]
    assert not np.allclose(ignored, drawn)
    point = outlined(drawn=False)(opened(path, roi=roi, point=[10.0, 10.0, 10.0, 4.0]))["region"]
    np.testing.assert_allclose(point.mean(axis=0), [10, 10, 10], atol=1e-4)


def test_where_nothing_is_outlined_one_line_or_the_whole_volume(save, caplog):
    path, _ = scan(save, [])
    with pytest.raises(ValueError, match=r"p1: the network must outline something.*found nothing in .*portal.nii.gz; "):
        outlined()(opened(path))
    region = outlined(nothing="whole")(opened(path))["region"]
    np.testing.assert_allclose(region[1] - region[0], [48, 30, 48], atol=1e-4)
    assert "p1: nothing is outlined in" in caplog.text


def test_a_scan_of_the_training_split_is_outlined_by_the_file_of_a_network_that_did_not_see_it(save, tmp_path):
    path, mask = scan(save)
    other, _ = scan(save, [(12, 15)], name="other")
    folder = tmp_path / "outlines"
    folder.mkdir()
    shifted = np.roll(mask, 3, axis=1)
    nibabel.save(nibabel.Nifti1Image(shifted, SCAN), folder / "p9.nii.gz")
    (folder / "origin.json").write_text(json.dumps({"p9": {"fold": "fold_1", "sha256": content_hash(path)}}))
    rule = outlined(outlines=folder)
    expected = MaskRegiond()(opened(path, roi=str(folder / "p9.nii.gz")))["region"]
    np.testing.assert_allclose(rule(opened(path))["region"], expected, atol=1e-4)  # whatever the case is called
    assert rule.network.asked == 0
    rule(opened(other))
    assert rule.network.asked == 1
