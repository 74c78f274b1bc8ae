# SPDX-License-Identifier: Apache-2.0
"""Patches show what they should, as often as they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import Dataset
from scripts.cases.patches import Patches

SIZE = (4, 6, 3)


def scan(*shape: int) -> dict[str, torch.Tensor]:
    """An image whose voxels tell their position, and a mask of a large structure and a single voxel."""
    image = torch.arange(float(torch.tensor(shape).prod())).reshape(1, *shape) + 1
    mask = torch.zeros(1, *shape, dtype=torch.uint8)
    mask[0, : shape[0] // 2] = 1
    mask[0, -1, -1, -1] = 2
    return {"image": image, "mask": mask, "case": "a"}


def test_image_and_mask_are_cut_at_the_same_place_within_the_scan():
    item = scan(9, 10, 8)
    torch.manual_seed(0)
    patches = Patches(Dataset([item]), SIZE, number=50)
    assert len(patches) == 50
    for index in range(50):
        patch = patches[index]
        assert patch["image"].shape == (1, *SIZE)
        assert (patch["image"] > 0).all()  # no padding
        at = (patch["image"][0].long() - 1).flatten()
        assert (patch["mask"].flatten() == item["mask"].flatten()[at]).all()


def test_small_structures_are_as_often_in_the_middle_as_large_ones():
    torch.manual_seed(0)
    patches = Patches(Dataset([scan(20, 20, 20)]), (3, 3, 3), number=400, foreground=1.0)
    small = sum(bool((patches[index]["mask"] == 2).any()) for index in range(400))
    assert 160 < small < 240
    torch.manual_seed(0)
    anywhere = Patches(Dataset([scan(20, 20, 20)]), (3, 3, 3), number=400, foreground=0.0)
    assert sum(bool((anywhere[index]["mask"] == 2).any()) for index in range(400)) < 20


def test_one_seed_gives_the_same_patches():
    patches = Patches(Dataset([scan(9, 9, 9)]), SIZE, number=5)
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(torch.stack([patches[index]["image"] for index in range(5)]))
    assert torch.equal(*runs)


def test_a_scan_smaller_than_a_patch_is_padded_and_a_mask_not_drawn_stays_so():
    item = scan(2, 9, 1)
    item["mask"] = torch.cat([item["mask"], torch.full_like(item["mask"], 255)])
    patch = Patches(Dataset([item]), SIZE)[0]
    assert patch["image"].shape == (1, *SIZE)
    assert (patch["image"] != 0).sum() == 2 * 6 * 1
    assert (patch["mask"][1] == 255).all()
    assert (patch["mask"][0][patch["image"][0] == 0] == 0).all()


@pytest.mark.parametrize(("number", "foreground"), [(0, 0.5), (1, 1.5)])
def test_impossible_patches_are_refused(number, foreground):
    with pytest.raises(ValueError, match="`foreground` must be within"):
        Patches(Dataset([]), SIZE, number, foreground)


def test_a_mask_without_names_is_one_lesion_whatever_its_values(tmp_path, save_volume):
    roi = str(save_volume(tmp_path / "roi.nii.gz", np.full((3, 3, 3), 4, np.uint8)))
    cases = [{"case": "a", "roi": roi}]
    assert len(Patches(Dataset([scan(9, 10, 8)]), SIZE, structures=["lesion"], cases=cases)) == 1
    with pytest.raises(ValueError, match="must hold 0 and the values 1 to 2"):
        Patches(Dataset([scan(9, 10, 8)]), SIZE, structures=["wall", "lumen"], cases=cases)
