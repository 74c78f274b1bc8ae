# SPDX-License-Identifier: Apache-2.0
"""The predicted class painted over the region, on the grid of the file that the viewer shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.transforms.paint_outlined import PaintOutlined
from scripts.transforms.viewer_answer import PaintPredictiond
from scripts.volumes.open import open_volume
from scripts.volumes.original_grid import GridVolume

PAINT = PaintPredictiond(classes=["a", "b", "c"])
PROBABILITY = torch.tensor([0.1, 0.2, 0.7])


@pytest.fixture
def case(save, affines):
    """Return a function that builds a case of one phase on a grid of each kind."""

    def build(kind: str, **more) -> dict:
        rng = np.random.default_rng(0)
        path = save(f"image_{kind}", rng.normal(size=(9, 10, 11)).astype(np.float32), affines[kind])
        return {"pred": PROBABILITY, "reference": "pre", "volumes": {"pre": open_volume(path)}, **more}

    return build


@pytest.mark.parametrize("kind", ["plain", "flipped", "permuted", "oblique", "sheared"])
def test_mask_box_and_point_land_where_they_are(kind, case, save, affines) -> None:
    affine = affines[kind]
    mask = np.zeros((9, 10, 11), dtype=np.uint8)
    mask[2:4, 5, 6:9] = 4
    painted = PAINT(case(kind, roi=open_volume(save("mask", mask, affine))))
    np.testing.assert_array_equal(painted["pred"][0].numpy(), 3 * (mask > 0))
    np.testing.assert_allclose(painted["image_meta_dict"]["original_affine"], affine, atol=1e-5)

    point = affine[:3, :3] @ [4, 5, 6] + affine[:3, 3]
    ball = PAINT(case(kind, point=[*point, 10.0]))["pred"][0].numpy()
    position = np.moveaxis(np.indices(ball.shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    distance = np.linalg.norm(position - point, axis=-1)
    clear = np.abs(distance - 5.0) > 1e-3
    np.testing.assert_array_equal(ball[clear] == 3, (distance <= 5.0)[clear])

    corners = np.stack([point - 3.0, point + 4.0])
    box = PAINT(case(kind, box=corners.tolist()))["pred"][0].numpy()
    edge = (np.abs(position[..., None, :] - corners) < 1e-3).any(axis=(-1, -2))
    inside = ((position >= corners[0]) & (position <= corners[1])).all(axis=-1)
    np.testing.assert_array_equal((box == 3)[~edge], inside[~edge])


def test_what_a_network_outlined_goes_before_a_mask(case, save) -> None:
    outline, mask = np.zeros((2, 9, 10, 11), dtype=np.uint8)
    outline[2:4, 5, 6:9], mask[7, 7, 7] = 1, 1
    item = case("plain", roi=open_volume(save("mask", mask, np.eye(4))))
    affine = item["volumes"]["pre"].affine
    painted = PAINT(item | {"outline": GridVolume(outline, affine)})["pred"][0].numpy()
    np.testing.assert_array_equal(painted, 3 * outline)


@pytest.mark.parametrize("masks", ["case", "phase"])
def test_an_outline_is_a_label_map_of_the_phase_in_the_file(case, masks) -> None:
    item = case("oblique")
    pre = item["volumes"]["pre"]
    labels = np.random.default_rng(0).integers(0, 3, (2, *pre.shape))
    logits = torch.from_numpy(np.moveaxis(np.eye(3)[labels], -1, 1).reshape(6, *pre.shape))
    if masks == "case":
        logits = logits[:3]
    item |= {"pred": 9 * logits, "grid_affine": pre.affine, "volumes": {"pre": pre, "late": pre}, "reference": "late"}
    paint = PaintOutlined(structures=["wall", "lumen"], phases=["pre", "late"], masks=masks)
    painted = paint(item | {"image_path": str(pre.path)})
    expected = labels[1 if masks == "phase" else 0]  # of several phases in one file the reference
    np.testing.assert_array_equal(painted["pred"][0].numpy(), expected)
    voxel = abs(np.linalg.det(pre.affine[:3, :3])) / 1000
    sizes = {"wall": voxel * (expected == 1).sum(), "lumen": voxel * (expected == 2).sum()}
    assert painted["result"]["volume_ml"] == pytest.approx(sizes)


def test_a_mask_on_a_grid_of_its_own(case, save) -> None:
    fine = np.zeros((30, 30, 30), dtype=np.uint8)
    fine[10:20, 10:20, 10:20] = 1  # 1 mm voxels: 9.5 to 19.5 mm
    item = case("plain", roi=None)
    coarse = save("coarse", np.random.default_rng(1).normal(size=(10, 10, 10)), np.diag([3.0, 3.0, 3.0, 1.0]))
    item["volumes"] = {"pre": open_volume(coarse)}
    item["roi"] = open_volume(save("fine", fine, np.eye(4)))
    expected = np.zeros((10, 10, 10), dtype=np.uint8)
    expected[4:7, 4:7, 4:7] = 3  # centres at 12, 15 and 18 mm
    np.testing.assert_array_equal(PAINT(item)["pred"][0].numpy(), expected)


def test_a_point_between_voxels_still_shows(case) -> None:
    item = case("plain", point=[0.0, 0.0, 0.0])
    far = PAINT({**item, "point": [500.0, 0.0, 0.0]})["pred"]
    assert 1 <= int((far == 3).sum()) <= 2


def test_without_a_region_the_whole_volume_is_painted_and_the_result_is_told(case) -> None:
    item = PAINT(case("plain", image=torch.zeros(1)))
    assert bool((item["pred"] == 3).all())
    assert "image" not in item
    assert item["result"]["prediction"][2] == {"idx": 2, "label": "c", "score": pytest.approx(0.7)}


def test_the_grid_is_that_of_the_file_asked_for(case, save) -> None:
    item = case("plain")
    other = save("other", np.random.default_rng(1).normal(size=(3, 4, 5)))
    item["volumes"]["portal"] = open_volume(other)
    assert PAINT(item)["pred"].shape == (1, 9, 10, 11)
    assert PAINT({**item, "image_path": other})["pred"].shape == (1, 3, 4, 5)


def test_the_answer_says_which_clinical_values_it_had(case) -> None:
    columns = [{"name": name, "kind": "number"} for name in ("age", "psa", "sex")]
    paint = PaintPredictiond(
        classes=["a", "b", "c"], columns=columns, options={"age": "61", "psa": "", "sex": ["", "F"]}
    )
    result = paint(case("plain"))["result"]
    assert result["clinical"] == {"age": "61", "psa": None, "sex": None}
    assert [entry["label"] for entry in result["prediction"]] == ["a", "b", "c"]
    assert "clinical" not in PAINT(case("plain"))["result"]
