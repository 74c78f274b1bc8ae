# SPDX-License-Identifier: Apache-2.0
"""Masks on the grid of the phases: one per case or per phase, with names for their values."""

from __future__ import annotations

import numpy as np
import pytest
from monai.transforms import Compose, SelectItemsd
from scripts.transforms.masks import ResampleMasksd, with_masks
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.region import WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd

PHASES = ["ed", "es"]
SCAN = np.diag([2.0, 2.0, 4.0, 1.0])


@pytest.fixture
def prepared(save, smooth):
    """Bring a case of two phases with given masks onto a grid of 2 x 2 x 4 mm."""

    def prepare(roi, **more) -> dict:
        paths = {phase: save(phase, smooth((12, 10, 6), seed), SCAN) for seed, phase in enumerate(PHASES)}
        item = {"case": "p1", "image": paths, "roi": roi, **more}
        for step in (
            LoadImagePhasesd(phases=PHASES, reference="es"),
            WholeVolumeRegiond(),
            ResamplePhasesd(spacing=[2, 2, 4], size=None),
        ):
            item = step(item)
        return item

    return prepare


def drawn(value: int, start: int) -> np.ndarray:
    mask = np.zeros((12, 10, 6), np.uint8)
    mask[start : start + 3, 2:5, 1:4] = value
    return mask


def test_the_grid_of_a_whole_scan_has_its_voxels_and_the_mask_is_a_copy(prepared, save):
    item = prepared(save("roi", drawn(1, 4), SCAN))
    assert item["image"]["ed"].shape == (12, 10, 6)
    mask = ResampleMasksd(phases=PHASES)(item)["mask"].numpy()
    assert mask.dtype == np.uint8
    assert (mask[0] == drawn(1, 4)).all()


def test_a_mask_per_phase_has_the_place_of_its_phase_and_one_that_is_missing_is_not_drawn(prepared, save):
    masks = {"ed": save("m_ed", drawn(1, 1), SCAN), "es": save("m_es", drawn(2, 6), SCAN)}
    both = ResampleMasksd(phases=PHASES, structures=["wall", "lumen"], masks="phase")(prepared(masks))["mask"]
    assert (both.numpy() == np.stack([drawn(1, 1), drawn(2, 6)])).all()
    one = ResampleMasksd(phases=PHASES, structures=["wall", "lumen"], masks="phase")(prepared({"es": masks["es"]}))
    assert (one["mask"][0] == 255).all()
    assert (one["mask"][1].numpy() == drawn(2, 6)).all()
    single = ResampleMasksd(phases=PHASES, masks="phase")(prepared(masks["ed"]))["mask"]
    assert (single[0] == 255).all()  # the mask of a case is that of its reference phase
    assert single[1].any()


@pytest.mark.parametrize(
    ("voxels", "affine", "words"),
    [
        (drawn(3, 4), SCAN, r"p1.*values 1 to 2 of `structures` \(wall, lumen\), found 3 in .*roi.nii.gz; "),
        (drawn(0, 4), SCAN, r"p1: a mask must outline something, found nothing but 0 in .*roi.nii.gz; .*--empty_masks"),
        (None, None, r"p1: outlines are learned from a mask \('roi'\), found none; add it"),
    ],
)
def test_a_mask_that_cannot_be_learned_from_is_named(prepared, save, voxels, affine, words):
    item = prepared(None if voxels is None else save("roi", voxels, affine))
    with pytest.raises(ValueError, match=words):
        ResampleMasksd(phases=PHASES, structures=["wall", "lumen"])(item)


def test_an_empty_mask_is_taken_where_it_is_meant(prepared, save):
    item = prepared(save("roi", drawn(0, 4), SCAN))
    assert not ResampleMasksd(phases=PHASES, empty=True)(item)["mask"].any()


def test_a_step_for_masks_leaves_the_preprocessing_of_others_as_it_is(save, smooth):
    paths = {phase: save(phase, smooth((12, 10, 6), seed), SCAN) for seed, phase in enumerate(PHASES)}
    steps = [
        LoadImagePhasesd(phases=PHASES, reference="es"),
        WholeVolumeRegiond(),
        ResamplePhasesd(spacing=[2, 2, 4], size=None),
        SelectItemsd(["image", "case"]),
    ]
    plain = Compose(steps)
    masked = with_masks(plain, ResampleMasksd(phases=PHASES, optional=True))
    item = {"case": "p1", "image": paths, "roi": save("roi", drawn(1, 4), SCAN)}
    assert (masked(item)["mask"][0].numpy() == drawn(1, 4)).all()
    assert set(plain(item)) == {"image", "case"}
    assert (masked(item | {"roi": None})["mask"] == 255).all()
    with pytest.raises(ValueError, match="need the step ResamplePhasesd before them"):
        with_masks(Compose(steps[:2]), ResampleMasksd())
