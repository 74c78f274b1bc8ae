# SPDX-License-Identifier: Apache-2.0
"""Pictures as volumes of one slice, all in the same field."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
import torch
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.region import WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd
from scripts.volumes.open import brightest, open_volume


def write(file, pixels: np.ndarray, colours: bool = False):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels, isVector=colours), str(file))
    return file


def resized(file, size: list[int]) -> torch.Tensor:
    item = {"case": "p1", "image": {"pre": str(file)}}
    for transform in (
        LoadImagePhasesd(phases=["pre"]),
        WholeVolumeRegiond("image"),
        ResamplePhasesd(spacing=[1.0, 100 / size[1], 100 / size[2]], size=size, orientation="SPL", anti_alias=False),
    ):
        item = transform(item)
    return item["image"]["pre"]


@pytest.mark.parametrize("ending", ["png", "bmp", "tif"])
def test_rows_and_columns_stay_where_they_are(tmp_path, ending):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20), dtype=np.uint8)
    volume = open_volume(write(tmp_path / f"a.{ending}", pixels))
    assert volume.shape == (1, 12, 20)
    assert np.array_equal(volume.read()[0], pixels)
    assert np.array_equal(volume.read((slice(0, 1), slice(3, 5), slice(2, 9)))[0], pixels[3:5, 2:9])
    assert torch.equal(resized(volume.path, [1, 12, 20])[0], torch.from_numpy(pixels.astype(np.float32)))


def test_colours_become_brightness_and_transparency_is_left_out(tmp_path):
    pixels = np.zeros((4, 5, 4), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2], pixels[..., 3] = 100, 50, 200, 7
    found = open_volume(write(tmp_path / "a.png", pixels, colours=True)).read()
    np.testing.assert_allclose(found, 0.299 * 100 + 0.587 * 50 + 0.114 * 200, rtol=1e-6)


def test_images_of_any_size_fill_the_same_grid(tmp_path):
    for rows in (16, 48, 97):
        ramp = 240 * (np.arange(rows) + 0.5) / rows
        pixels = np.repeat(ramp[:, None], 30, axis=1).round().astype(np.uint8)
        found = resized(write(tmp_path / f"{rows}.png", pixels), [1, 24, 24])
        assert found.shape == (1, 24, 24)
        expected = 240 * (torch.arange(24) + 0.5) / 24
        assert (found[0, 1:-1, 12] - expected[1:-1]).abs().max() < 6  # half a pixel of the grid is 5


def test_a_stripe_pattern_is_smoothed_away_not_aliased(tmp_path):
    pixels = np.zeros((64, 64), dtype=np.uint8)
    pixels[::2] = 200
    found = resized(write(tmp_path / "stripes.png", pixels), [1, 16, 16])
    assert (found[0, 4:-4] - 100).abs().max() < 15


def test_white_is_that_of_the_file(tmp_path):
    assert brightest(write(tmp_path / "a.png", np.zeros((3, 3), dtype=np.uint8))) == 255
    assert brightest(write(tmp_path / "b.png", np.zeros((3, 3), dtype=np.uint16))) == 65535


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    with pytest.raises(ValueError, match=r"case p1: phase 'pre': the volume must be readable.*a.png") as caught:
        open_volume(tmp_path / "a.png", "case p1: phase 'pre'")
    assert "\n" not in str(caught.value)
