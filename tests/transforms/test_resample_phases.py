# SPDX-License-Identifier: Apache-2.0
"""All phases on one grid: what MONAI's whole-volume chain gives, from a part of the voxels."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import (
    Compose,
    EnsureChannelFirst,
    GaussianSmooth,
    LoadImage,
    Orientation,
    Spacing,
    SpatialResample,
)
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.region import BoxRegiond, WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd
from scripts.volumes.grid import sample_volume
from scripts.volumes.open import open_volume

KINDS = ["plain", "flipped", "permuted", "oblique", "sheared"]


def resample(paths: dict[str, str], region=None, reference: str | None = None, **settings) -> dict:
    item = {"case": "p017", "image": paths}
    if region is not None and not callable(region):
        item["box"], region = region, BoxRegiond()
    steps = [
        LoadImagePhasesd(phases=list(paths), reference=reference),
        region or WholeVolumeRegiond(),
        ResamplePhasesd(**settings),
    ]
    for step in steps:  # not in a Compose, which hides errors
        item = step(item)
    return item


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SLA"])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_spatial_resample_of_the_whole_volume(save, smooth, affines, kind: str, orientation: str) -> None:
    path = save("pre", smooth((40, 36, 24)), affines[kind])
    item = resample({"pre": path}, spacing=(1.0, 1.1, 1.3), size=(20, 18, 16), orientation=orientation)
    whole = Compose([LoadImage(image_only=True), EnsureChannelFirst()])(path)
    expected = SpatialResample(mode="bilinear", padding_mode="border")(
        whole, dst_affine=item["grid_affine"], spatial_size=(20, 18, 16)
    )[0]
    inside = item["inside"]["pre"]
    assert inside.float().mean() > 0.9
    torch.testing.assert_close(item["image"]["pre"][inside], expected.as_tensor()[inside], atol=2e-3, rtol=0)
    assert nib.aff2axcodes(item["grid_affine"].numpy()) == tuple(orientation)
    lengths = np.linalg.norm(item["grid_affine"].numpy()[:3, :3], axis=0)
    np.testing.assert_allclose(lengths, [1.0, 1.1, 1.3])


@pytest.mark.parametrize(
    ("kind", "orientation"),
    [(kind, code) for kind in KINDS[:3] for code in ("RAS", "LPS", "SLA")] + [("sheared", "RAS")],
)
def test_equal_to_orientation_then_spacing_then_crop(save, smooth, affines, kind: str, orientation: str) -> None:
    path = save("pre", smooth((40, 36, 24)), affines[kind])
    item = resample({"pre": path}, spacing=(1.0, 1.0, 1.0), size=(20, 18, 16), orientation=orientation)
    whole = Compose(
        [
            LoadImage(image_only=True),
            EnsureChannelFirst(),
            Orientation(orientation, labels=None),
            Spacing((1.0, 1.0, 1.0), mode="bilinear", padding_mode="border"),
        ]
    )(path)
    offset = np.linalg.solve(whole.affine.numpy(), item["grid_affine"].numpy())
    first = np.round(offset[:3, 3]).astype(int)
    np.testing.assert_allclose(offset[:3], np.c_[np.eye(3), first], atol=1e-4)
    crop = whole[0, first[0] : first[0] + 20, first[1] : first[1] + 18, first[2] : first[2] + 16].as_tensor()
    inside = item["inside"]["pre"]
    torch.testing.assert_close(item["image"]["pre"][inside], crop[inside], atol=2e-3, rtol=0)


def test_only_the_block_that_the_grid_needs_is_read(save, smooth, monkeypatch) -> None:
    path = save("pre", smooth((40, 40, 40)), np.diag([1.0, 1.0, 2.0, 1.0]))
    blocks = []
    read = type(open_volume(path)).read
    monkeypatch.setattr(
        "scripts.volumes.volume.Volume.read", lambda self, part=None: blocks.append(part) or read(self, part)
    )
    resample({"pre": path}, region=[[10, 20, 30], [14, 26, 38]], spacing=(1, 1, 1), size=(32, 32, 32))
    (block,) = blocks
    assert [(part.start, part.stop) for part in block] == [(10, 15), (20, 27), (15, 20)]


def test_a_phase_with_the_grid_s_spacing_is_copied(save, smooth) -> None:
    voxels = smooth((20, 20, 20))
    item = resample({"pre": save("pre", voxels, np.diag([-2.0, 2, 2, 1]))}, spacing=(2, 2, 2), size=(8, 8, 8))
    np.testing.assert_array_equal(item["image"]["pre"].numpy(), voxels[::-1][6:14, 6:14, 6:14])


def linear(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """Return a volume whose value at x (mm) is 2 x + 3 y - z + 5: interpolation gives it exactly."""
    points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) @ affine[:3, :3].T + affine[:3, 3]
    return (points @ [2.0, 3.0, -1.0] + 5).astype(np.float32)


@pytest.mark.parametrize("reference", KINDS)
def test_phases_on_different_grids_line_up(save, affines, reference: str) -> None:
    paths = {}
    for kind, affine in affines.items():
        shape = (40, 40, 40)
        affine = affine.copy()
        affine[:3, 3] -= affine[:3, :3] @ [19.5, 19.5, 19.5] + affine[:3, 3]  # centred at 0
        paths[kind] = save(kind, linear(shape, affine), affine)
    item = resample(paths, [[-8, -8, -8], [8, 8, 8]], reference, spacing=(1, 2, 1.5), size=(16, 8, 12))
    grid = item["grid_affine"].numpy()
    expected = torch.from_numpy(linear((16, 8, 12), grid))
    for kind, values in item["image"].items():
        inside = item["inside"][kind]
        assert inside.float().mean() > 0.5
        torch.testing.assert_close(values[inside], expected[inside], atol=2e-3, rtol=0)


def test_outside_the_region_and_the_field_of_view_is_padding(save, smooth) -> None:
    big, small = smooth((40, 40, 40)) + 500, smooth((10, 40, 40)) + 500
    paths = {"pre": save("pre", big), "portal": save("portal", small)}
    item = resample(paths, [[4, 10, 10], [20, 20, 20]], spacing=(1, 1, 1), size=(32, 32, 32))
    centre = np.round(item["grid_affine"].numpy()[:3, 3]).astype(int)
    for phase, last in (("pre", 20), ("portal", 9)):
        expected = torch.zeros(32, 32, 32, dtype=torch.bool)
        low, high = np.array([4, 10, 10]) - centre, np.array([last, 20, 20]) - centre + 1
        expected[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = True
        assert torch.equal(item["inside"][phase], expected)
        assert (item["image"][phase][~expected] == 0).all()
        assert (item["image"][phase][expected] > 100).all()
    assert not item["region_exceeds_grid"]


def test_a_region_larger_than_the_grid_is_cropped_about_its_centre(save, smooth) -> None:
    path = save("pre", smooth((40, 40, 40)))
    item = resample({"pre": path}, [[5, 5, 5], [35, 20, 20]], spacing=(1, 1, 1), size=(16, 16, 16))
    assert item["region_exceeds_grid"]
    assert item["inside"]["pre"].all()
    centre = item["grid_affine"].numpy() @ [7.5, 7.5, 7.5, 1]
    np.testing.assert_allclose(centre[:3], [20, 12.5, 12.5], atol=0.51)


def test_a_region_smaller_than_a_voxel_keeps_one_point(save, smooth) -> None:
    paths = {"pre": save("pre", smooth((40, 40, 40)))}
    item = resample(paths, [[5.2, 5.2, 2.0], [5.3, 5.3, 30.0]], spacing=(4, 4, 4), size=(8, 8, 8))
    assert item["inside"]["pre"].sum() == 7


def test_one_slice(save, smooth) -> None:
    paths = {"pre": save("pre", smooth((20, 20, 1)), np.diag([1.0, 1.0, 5.0, 1.0]))}
    item = resample(paths, spacing=(1, 1, 1), size=(20, 20, 8))
    inside = item["inside"]["pre"]
    assert inside.any(dim=0).any(dim=0).tolist().count(True) == 5  # the slice is 5 mm thick
    filled = item["image"]["pre"][:, :, inside[0, 0]]
    assert (filled == filled[:, :, :1]).all()


def test_parallel_and_oblique_sampling_agree(save, smooth, monkeypatch) -> None:
    volume = open_volume(save("pre", smooth((20, 22, 24)), np.diag([-1.5, 1.2, 2.5, 1.0])))
    grid = np.array([[0, 0, 1.1, -24], [0.9, 0, 0, 3], [0, -1.3, 0, 40], [0, 0, 0, 1]])
    fast, inside = sample_volume(volume, grid, (16, 17, 18))
    monkeypatch.setattr("scripts.volumes.grid._drivers", lambda *_: None)
    slow, inside_again = sample_volume(volume, grid, (16, 17, 18))
    np.testing.assert_array_equal(inside, inside_again)
    np.testing.assert_allclose(fast, slow, atol=2e-3)


def test_anti_alias_is_monai_s_gaussian(save, smooth) -> None:
    voxels = np.random.default_rng(0).normal(size=(64, 64, 64)).astype(np.float32)
    paths = {"pre": save("pre", voxels)}
    plain = resample(paths, spacing=(4, 4, 1), size=(12, 12, 48))["image"]["pre"]
    item = resample(paths, spacing=(4, 4, 1), size=(12, 12, 48), anti_alias=True)
    first = np.round(item["grid_affine"].numpy()[:3, 3]).astype(int)
    slices = GaussianSmooth(sigma=1.5, approx="sampled")(torch.from_numpy(voxels).movedim(2, 0))
    blurred = slices.movedim(0, 2)  # the third axis is not coarser
    expected = blurred[first[0] :: 4, first[1] :: 4, first[2] :][:12, :12, :48]
    torch.testing.assert_close(item["image"]["pre"], expected, atol=5e-3, rtol=0)
    assert item["image"]["pre"].std() < 0.3 * plain.std()


def test_a_phase_outside_the_region(save, smooth) -> None:
    paths = {"pre": save("pre", smooth((40, 40, 40))), "portal": save("portal", smooth((10, 40, 40)))}
    with pytest.raises(ValueError, match=r"^case p017: phase 'portal' must reach the region .*portal.nii.gz; check"):
        resample(paths, [[20, 10, 10], [30, 20, 20]], spacing=(1, 1, 1), size=(16, 16, 16))


def test_a_phase_that_is_constant_in_the_region(save, smooth) -> None:
    voxels = smooth((40, 40, 40))
    voxels[10:] = -7
    with pytest.raises(ValueError, match=r"^case p017: phase 'pre' must have voxels that differ .* found -7 every"):
        resample({"pre": save("pre", voxels)}, [[20, 10, 10], [30, 20, 20]], spacing=(1, 1, 1), size=(16, 16, 16))


def test_voxels_that_are_not_finite_count_only_where_they_are_needed(save, smooth) -> None:
    voxels = smooth((40, 40, 40))
    voxels[0, 0, 0] = np.nan
    paths = {"pre": save("pre", voxels)}
    resample(paths, [[20, 10, 10], [30, 20, 20]], spacing=(1, 1, 1), size=(16, 16, 16))
    with pytest.raises(ValueError, match=r"^case p017: phase 'pre': the volume must have finite voxels"):
        resample(paths, [[0, 0, 0], [30, 20, 20]], spacing=(1, 1, 1), size=(32, 32, 32))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"spacing": (1, 0, 1)}, "three numbers above 0 mm"),
        ({"spacing": (1, 1)}, "three numbers above 0 mm"),
        ({"size": (8, 8, 0.5)}, "three whole numbers"),
        ({"orientation": "RAR"}, "one letter each"),
    ],
)
def test_settings(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ResamplePhasesd(**settings)


def test_order() -> None:
    with pytest.raises(ValueError, match="needs 'region', which a region transform"):
        ResamplePhasesd()({"case": "p017", "volumes": {"pre": None}})
