# SPDX-License-Identifier: Apache-2.0
"""Random geometry: one draw per case, exact where it can be, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.transforms.geometry import RandomGeometry, warp

ANY = RandomGeometry(flip=(0.5, 0.5, 0.5), rotate=20.0, scale=0.1, translate=2.0, spacing=(1.0, 1.0, 2.0))


def diagonal(*values: float) -> torch.Tensor:
    return torch.diag(torch.tensor(values))[None]


def test_all_phases_of_a_case_move_alike_and_cases_do_not() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 1, 10, 11, 12).repeat(4, 3, 1, 1, 1)
    moved = ANY(image)
    assert moved.shape == image.shape
    for phase in (1, 2):
        assert torch.equal(moved[:, 0], moved[:, phase])
    for case in (1, 2, 3):
        assert (moved[0] - moved[case]).abs().max() > 0.1


def test_absent_phases_stay_exactly_zero() -> None:
    torch.manual_seed(0)
    image = torch.rand(4, 3, 10, 11, 12)
    image[:, 1] = 0
    moved = ANY(image)
    assert (moved[:, 1] == 0).all()
    assert moved[:, 0].abs().sum() > 0


def test_one_seed_gives_one_result_and_numpy_has_no_say() -> None:
    image = torch.rand(4, 2, 8, 8, 8)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(ANY(image))
        np.random.random()  # noqa: NPY002 - the global generator, which MONAI's transforms draw from
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    ANY(image)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flip_is_exact(axis: int) -> None:
    image = torch.rand(2, 3, 7, 8, 9)
    flip = [0.0, 0.0, 0.0]
    flip[axis] = 1.0
    torch.testing.assert_close(RandomGeometry(flip=flip)(image), image.flip(2 + axis), atol=2e-6, rtol=0)


def test_a_shift_by_whole_voxels_is_exact_and_brings_in_zeros() -> None:
    image = torch.rand(1, 2, 7, 8, 9)
    moved = warp(image, diagonal(1.0, 1.0, 1.0), torch.tensor([[2.0, 0.0, -3.0]]))
    torch.testing.assert_close(moved[:, :, 2:, :, :-3], image[:, :, :-2, :, 3:], atol=2e-6, rtol=0)
    assert (moved[:, :, :2] == 0).all()
    assert (moved[:, :, :, :, -3:] == 0).all()


def test_a_quarter_turn_is_exact() -> None:
    image = torch.rand(1, 2, 7, 9, 9)
    turn = torch.tensor([[[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]])
    torch.testing.assert_close(warp(image, turn, torch.zeros(1, 3)), torch.rot90(image, 1, (3, 4)), atol=5e-6, rtol=0)


def test_equal_to_scipy() -> None:
    from scipy.ndimage import affine_transform

    torch.manual_seed(0)
    image = torch.rand(5, 2, 9, 12, 7)
    matrices, shifts = ANY.draw(5)
    found, centre = warp(image, matrices, shifts), np.array([4.0, 5.5, 3.0])
    for case in range(5):
        back, shift = np.linalg.inv(matrices[case].numpy()), shifts[case].numpy()
        for phase in range(2):
            padded = np.pad(image[case, phase].numpy(), 1)  # zeros from the border voxels on, as grid_sample has
            offset = centre + 1 - back @ (centre + 1 + shift)
            expected = affine_transform(padded, back, offset, order=1, mode="constant")[1:-1, 1:-1, 1:-1]
            torch.testing.assert_close(found[case, phase], torch.from_numpy(expected), atol=2e-5, rtol=0)


def test_oblong_voxels_are_rotated_not_sheared() -> None:
    """In mm, the drawn map is a similarity: its Gram matrix is a multiple of the identity."""
    torch.manual_seed(0)
    spacing = torch.tensor([1.0, 2.0, 5.0])
    geometry = RandomGeometry((0.5, 0.5, 0.5), rotate=40.0, scale=0.2, spacing=spacing.tolist())
    matrices, _ = geometry.draw(50)
    in_mm = spacing[:, None] * matrices / spacing
    gram = in_mm.transpose(1, 2) @ in_mm
    scale = gram.diagonal(dim1=1, dim2=2).mean(dim=1)
    torch.testing.assert_close(gram, scale[:, None, None] * torch.eye(3).expand(50, 3, 3), atol=1e-4, rtol=0)
    assert (scale.sqrt() > 0.8).all()
    assert (scale.sqrt() < 1.2).all()


def test_strengths_are_the_largest_values_drawn() -> None:
    torch.manual_seed(0)
    matrices, shifts = RandomGeometry(rotate=10.0, translate=3.0).draw(3000)
    angle = torch.rad2deg(torch.arccos((matrices.diagonal(dim1=1, dim2=2).sum(1).clamp(-1, 3) - 1) / 2))
    assert 14 < angle.max() < 10 * 3**0.5 + 0.1
    assert 2.9 < shifts.abs().max() <= 3
    assert shifts.mean(dim=0).abs().max() < 0.15
    flips, _ = RandomGeometry(flip=(0.25, 0.0, 1.0)).draw(3000)
    shares = (flips.diagonal(dim1=1, dim2=2) < 0).float().mean(dim=0)
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.0, 1.0]), atol=0.03, rtol=0)


def test_cases_that_are_not_drawn_are_left_as_they_are() -> None:
    torch.manual_seed(0)
    image = torch.rand(200, 1, 3, 3, 3)
    moved = RandomGeometry(rotate=20.0, translate=1.0, probability=0.3)(image)
    same = (moved == image).flatten(1).all(dim=1)
    assert 0.6 < same.float().mean() < 0.8
    assert torch.equal(RandomGeometry(rotate=20.0, probability=0.0)(image), image)


def test_fixed_geometries_do_not_depend_on_batch_number_or_global_seed() -> None:
    image = torch.rand(5, 3, 8, 9, 10)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    views = ANY.fixed(6, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = ANY.fixed(4, seed=3)
    assert torch.equal(views[0](image), image)
    results = [view(image) for view in views]
    for number, view in enumerate(again):
        torch.testing.assert_close(view(image), results[number], atol=0, rtol=0)
    for result, view in zip(results, views, strict=True):
        torch.testing.assert_close(view(image[3:4]), result[3:4], atol=1e-6, rtol=0)
        torch.testing.assert_close(view(image[:, :1]), result[:, :1], atol=1e-6, rtol=0)
    assert all((a - b).abs().max() > 0.1 for n, a in enumerate(results) for b in results[:n])
    assert not torch.equal(ANY.fixed(2, seed=4)[1](image), results[1])
    assert len(ANY.fixed(1)) == 1


def test_fixed_geometries_are_all_moved_whatever_the_training_probability() -> None:
    image = torch.rand(1, 1, 8, 8, 8)
    views = RandomGeometry(rotate=20.0, probability=0.0).fixed(4)
    assert all(not torch.equal(view(image), image) for view in views[1:])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"flip": (0.5, 0.5)}, "within"),
        ({"flip": (0.5, 0.5, 2.0)}, "within"),
        ({"probability": -0.1}, "within"),
        ({"rotate": -1.0}, "`rotate` must be 0 or more"),
        ({"scale": 1.0}, "below 1"),
        ({"spacing": (1.0, 1.0, 0.0)}, "above 0 mm"),
    ],
)
def test_settings(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RandomGeometry(**settings)
    with pytest.raises(ValueError, match="at least 1"):
        RandomGeometry().fixed(0)


def test_a_single_slice_stays_in_its_plane() -> None:
    geometry = RandomGeometry(rotate=30.0, translate=2.0, spacing=(10.0, 2.0, 2.0))
    slices = torch.zeros(8, 1, 1, 24, 24)
    slices[..., 8:16, 8:16] = 1.0
    moved, mask = geometry.together(slices, slices.to(torch.uint8), 255)
    assert (moved != slices).flatten(1).any(dim=1).all()
    torch.testing.assert_close(moved.flatten(1).sum(dim=1), torch.full((8,), 64.0), rtol=0.1, atol=0.0)
    assert (mask.flatten(1).sum(dim=1) > 55).all()
