# SPDX-License-Identifier: Apache-2.0
"""A mask of several pieces: the grid shows a lesion, not what lies between two."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from monai.transforms import SelectItemsd
from scripts.cases.cache import cached_dataset
from scripts.transforms.mask_region import ContourRegiond, MaskRegiond
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.resample import ResamplePhasesd

SHAPE = (64, 48, 32)
LARGE, SMALL = (slice(6, 14), slice(8, 16), slice(8, 14)), (slice(50, 56), slice(30, 36), slice(20, 25))
NEAR = (slice(18, 24), slice(8, 14), slice(8, 14))


@pytest.fixture
def centre_of(save):
    """Return a function: pieces of a mask -> centre of the grid of 24 mm, in mm, and the item."""
    voxels = np.random.default_rng(0).uniform(1, 2, SHAPE).astype(np.float32)
    image = save("image", voxels, np.eye(4))

    def centre(*pieces, rule=MaskRegiond, turned: bool = False, orientation: str = "RAS", **settings):
        mask, affine = np.zeros(SHAPE, dtype=np.uint8), np.eye(4)
        for number, piece in enumerate(pieces):
            mask[piece] = number + 1
        if turned:  # the same mask, its voxels in another order
            mask = mask.transpose(2, 0, 1)[:, ::-1]
            affine = np.array([[0, -1.0, 0, 63], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
        item = {"case": "p", "image": {"pre": image}, "roi": save("roi", np.ascontiguousarray(mask), affine)}
        item = LoadImagePhasesd(phases=["pre"])(item)
        item = rule(**{"component": "largest", "margin": 2.0} | settings)(item)
        item = ResamplePhasesd(spacing=(1, 1, 1), size=(24, 24, 24), orientation=orientation)(item)
        return (item["grid_affine"].numpy() @ [11.5, 11.5, 11.5, 1])[:3], item

    return centre


def middle(*pieces) -> np.ndarray:
    low = np.min([[part.start for part in piece] for piece in pieces], axis=0)
    return (low + np.max([[part.stop for part in piece] for piece in pieces], axis=0) - 1) / 2


@pytest.mark.parametrize("rule", [MaskRegiond, ContourRegiond])
@pytest.mark.parametrize("orientation", ["RAS", "SRA", "LPI"])
@pytest.mark.parametrize("order", [(LARGE, SMALL), (SMALL, LARGE)])
def test_of_two_far_lesions_the_larger_one_is_the_region(centre_of, rule, orientation, order) -> None:
    centre, item = centre_of(*order, rule=rule, orientation=orientation)
    np.testing.assert_allclose(centre, middle(LARGE), atol=0.51)
    assert item["region_left_out"] == pytest.approx(180 / (180 + 384))
    assert not item["region_exceeds_grid"]
    assert {"pieces", "contour"}.isdisjoint(item)


def test_as_before_all_pieces_are_the_region(centre_of) -> None:
    centre, item = centre_of(LARGE, SMALL, component="all")
    np.testing.assert_allclose(centre, middle(LARGE, SMALL), atol=0.51)
    assert item["region_exceeds_grid"]
    assert "region_left_out" not in item


def test_pieces_that_fit_into_the_grid_together_stay_together(centre_of) -> None:
    centre, item = centre_of(LARGE, NEAR)
    np.testing.assert_allclose(centre, middle(LARGE, NEAR), atol=0.51)
    assert item["region_left_out"] == 0
    inside = item["inside"]["pre"].numpy()
    assert inside[tuple(slice(3, 20) for _ in range(2))].any()
    centre, item = centre_of(LARGE, NEAR, SMALL)
    np.testing.assert_allclose(centre, middle(LARGE, NEAR), atol=0.51)
    assert 0 < item["region_left_out"] < 0.3


@pytest.mark.parametrize("speck", [(63, 47, 31), (18, 12, 11), (0, 0, 0)])
def test_a_speck_does_not_move_the_grid(centre_of, speck) -> None:
    centre, item = centre_of(LARGE, tuple(slice(at, at + 1) for at in speck))
    np.testing.assert_allclose(centre, middle(LARGE), atol=0.51)
    assert item["region_left_out"] == pytest.approx(1 / 385)


def test_voxels_that_touch_by_a_corner_are_one_piece_and_size_is_that_of_the_values_that_count(centre_of) -> None:
    touching = (slice(14, 30), slice(16, 30), slice(14, 30))
    centre, item = centre_of(LARGE, touching, SMALL)
    assert item["region_exceeds_grid"]  # one piece, larger than the grid
    np.testing.assert_allclose(centre, middle(LARGE, touching), atol=0.51)
    centre, _ = centre_of(LARGE, SMALL, labels=[2])
    np.testing.assert_allclose(centre, middle(SMALL), atol=0.51)


def test_a_tie_does_not_depend_on_the_order_of_the_voxels(centre_of) -> None:
    other = tuple(slice(part.start + 15, part.stop + 15) for part in LARGE)
    far = (slice(50, 58), slice(30, 38), slice(20, 26))
    for pieces in ((LARGE, far), (far, LARGE), (LARGE, other, far)):
        for turned in (False, True):
            centre, item = centre_of(*pieces, turned=turned)
            np.testing.assert_allclose(centre, middle(LARGE), atol=0.51)
            assert item["region_left_out"] == pytest.approx(1 - 1 / len(pieces))


def test_an_unknown_component_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`component` must be one of \[all, largest\] .*found 'large'"):
        MaskRegiond(component="large")


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_the_cases_are_named_once(cache, save, tmp_path, caplog) -> None:
    voxels = np.random.default_rng(0).uniform(1, 2, SHAPE).astype(np.float32)
    items = []
    for case, pieces in (("one", [LARGE]), ("two", [LARGE, SMALL])):
        mask = np.zeros(SHAPE, dtype=np.uint8)
        for piece in pieces:
            mask[piece] = 1
        paths = {"pre": save(f"{case}_image", voxels, np.eye(4))}
        items.append({"case": case, "image": paths, "roi": save(f"{case}_roi", mask, np.eye(4))})
    steps = [
        LoadImagePhasesd(phases=["pre"]),
        MaskRegiond(margin=2.0, component="largest"),
        ResamplePhasesd(spacing=(1, 1, 1), size=(24, 24, 24)),
        SelectItemsd(keys="image"),
    ]
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            dataset = cached_dataset(items, steps, cache, tmp_path / "cache", progress=False)
            for _ in range(2):
                assert len([dataset[index] for index in range(2)]) == 2
    told = [record.message for record in caplog.records if "several pieces" in record.message]
    assert len(told) == 2
    assert all("in 1 of 2 cases" in text and "two (32%)" in text and "one" not in text.split(":")[-2] for text in told)
