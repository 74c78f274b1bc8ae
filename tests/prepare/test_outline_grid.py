# SPDX-License-Identifier: Apache-2.0
"""Voxels and patches for outlines: nnU-Net's rule on spacings and sizes, and where `preparing` says so."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.networks.plan import divisors, plan_stages
from workbench.prepare.outlines import MOST_VOXELS, plan_outlines
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings


def plan(*spacings, edges=(300.0, 300.0, 150.0)):
    return plan_outlines(np.array(spacings, dtype=float), np.array([edges] * len(spacings)))


def test_the_spacing_is_the_median_and_of_thick_slices_the_lowest_tenth():
    thin = [(0.7, 0.7, 1.0), (0.8, 0.8, 2.0), (0.9, 0.9, 1.5)]
    assert plan(*thin).spacing == [0.8, 0.8, 1.5]
    thick = [(0.8, 0.8, 2.0), *[(0.8, 0.8, 5.0)] * 9]
    assert plan(*thick).spacing == [0.8, 0.8, pytest.approx(np.percentile([2.0] + [5.0] * 9, 10), abs=0.05)]
    assert plan(*[(1.6, 1.6, 5.0)] * 2, *[(1.6, 1.6, 10.0)] * 8, edges=(160, 160, 100)).patch[2] == 20
    finer = [(0.8, 0.8, 0.3)] * 2 + [(0.8, 0.8, 5.0)] * 8  # never below the pixels' width
    assert plan(*finer).spacing == [0.8, 0.8, 0.8]


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 0.8, 5), (2, 2, 4), (3, 1, 1)])
def test_a_patch_is_a_cube_in_mm_where_the_scan_allows_and_the_network_can_halve_it(spacing):
    found = plan(spacing)
    mm = np.multiply(found.patch, found.spacing)
    assert mm.max() / mm.min() < 1.5
    assert np.prod(found.patch) < 1.3 * MOST_VOXELS
    assert not (np.array(found.patch) % divisors(plan_stages(found.spacing, found.patch, 4)[1])).any()


def test_few_or_very_thick_slices_are_read_in_2d():
    assert plan((1.5, 1.5, 10), edges=(300, 300, 70)).patch[2] == 1
    assert plan((1.5, 1.5, 10), edges=(300, 300, 80)).patch[2] == 8
    assert plan((10, 1.2, 1.2)).patch[0] == 1
    kernels, _ = plan_stages([1.2, 1.2, 10], [96, 96, 12], 4)
    assert [kernel[2] for kernel in kernels] == [1, 1, 1, 3]  # in 3D they would meet in the last stage alone


def test_preparing_says_so_for_both_uses_and_only_where_there_are_masks(save_volume, tmp_path, capsys):
    drawn = np.zeros((16, 16, 12), np.uint8)
    drawn[4:9, 5:8, 3:6] = 1
    for number in range(8):
        save_volume(tmp_path / f"data/p{number}/pre.nii.gz")
        save_volume(tmp_path / f"data/p{number}/lesion.nii.gz", drawn)
    (tmp_path / "labels.csv").write_text("case,label\n" + "".join(f"p{n},{'ab'[n % 2]}\n" for n in range(8)))
    given = {"labels": tmp_path / "labels.csv", "quality": False}
    prepare(Settings(tmp_path / "data", "folders", tmp_path / "out", **given))
    overlay = (tmp_path / "out/data.yaml").read_text()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("outlines: patches of ")]
    assert f"# {line}" in overlay
    for words in ("run segmenting", ' --spacing "[', ' --outline_spacing "[', "configs/regions/outlined.yaml"):
        assert words in overlay
    for file in (tmp_path / "data").glob("*/lesion.nii.gz"):
        file.unlink()
    prepare(Settings(tmp_path / "data", "folders", tmp_path / "no", **given))
    assert "outlin" not in (tmp_path / "no/data.yaml").read_text()
