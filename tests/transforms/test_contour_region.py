"""A region with the contour of a mask: what lies farther away than the margin is 0."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.transforms import ContourRegiond, LoadImagePhasesd, MaskRegiond, ResamplePhasesd


@pytest.fixture
def case(save) -> dict:
    """Two phases on different grids, and a mask of two labels on a third that is turned and finer."""
    generator = np.random.default_rng(0)
    pre = save("pre", generator.uniform(1, 2, (24, 24, 12)).astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0]))
    portal = save(
        "portal", generator.uniform(1, 2, (12, 12, 12)).astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0])
    )
    mask = np.zeros((24, 48, 48), dtype=np.uint8)  # axes S, A, L
    mask[10:20, 14:30, 20:36] = 1
    mask[14:20, 20:30, 20:30] = 0
    mask[10:14, 14:26, 20:24] = 2
    mask[10:12, 14:20, 20:24] = 1
    turned = np.array([[0, 0, -0.5, 23], [0, 0.5, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    paths = {"pre": pre, "portal": portal}
    roi = save("roi", mask, turned)
    return LoadImagePhasesd(phases=["pre", "portal"])({"case": "p017", "image": paths, "roi": roi})


def on_grid(case: dict, rule) -> dict:
    return ResamplePhasesd(spacing=(1.0, 1.0, 1.0), size=(28, 28, 24))(rule(case))


@pytest.mark.parametrize(("margin", "labels"), [(0.0, None), (2.5, None), (2.5, [2])])
def test_what_is_kept_is_the_mask_and_what_is_near_in_every_phase(case, margin, labels) -> None:
    kept = on_grid(case, ContourRegiond(margin=margin, labels=labels))
    box = on_grid(case, MaskRegiond(margin=margin, labels=labels))
    np.testing.assert_array_equal(kept["grid_affine"], box["grid_affine"])
    mask = case["roi"]
    voxels = mask.read() > 0 if labels is None else np.isin(mask.read(), labels)
    centres = np.argwhere(voxels) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    points = np.stack(np.meshgrid(*map(np.arange, (28, 28, 24)), indexing="ij"), axis=-1)
    points = points @ kept["grid_affine"].numpy()[:3, :3].T + kept["grid_affine"].numpy()[:3, 3]
    far = np.sqrt(((points[..., None, :] - centres) ** 2).sum(-1).min(-1))
    for phase in ("pre", "portal"):
        inside = kept["inside"][phase].numpy()
        assert inside.any()
        # distances run between grid points, at most one grid point's diagonal from the mask's voxel centres
        assert not inside[far > margin + 1].any()
        assert (inside | ~box["inside"][phase].numpy())[far <= max(margin - 1, 0.3)].all()
        expected = np.where(inside, box["image"][phase].numpy(), 0)
        np.testing.assert_array_equal(kept["image"][phase].numpy(), expected)
        assert (kept["image"][phase].numpy() != 0).sum() < (box["image"][phase].numpy() != 0).sum()


def test_a_box_or_a_point_is_no_contour(case) -> None:
    with pytest.raises(ValueError, match=r"^case p017: a region with the contour of a mask needs 'roi'"):
        ContourRegiond()(case | {"roi": None, "point": [3, 4, 8]})
