# SPDX-License-Identifier: Apache-2.0
"""Real cases whose phases lie on different grids: they must line up on one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.transforms import Compose, SelectItemsd
from scripts.cases.cache import cached_dataset
from scripts.transforms.intensity import ZScoreIntensityd
from scripts.transforms.mask_region import MaskRegiond
from scripts.transforms.phases import LoadImagePhasesd, StackPhasesd
from scripts.transforms.region import WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd

SEQUENCES = ["fla", "t1", "t1c", "t2"]


def on_one_grid(item: dict, phases: list[str], reference: str, region=None, **settings) -> dict:
    for step in (
        LoadImagePhasesd(phases=phases, reference=reference),
        region or WholeVolumeRegiond(),
        ResamplePhasesd(**settings),
    ):
        item = step(item)
    return item


def correlation(item: dict, first: str, second: str) -> float:
    inside = item["inside"][first] & item["inside"][second]
    return float(np.corrcoef(item["image"][first][inside], item["image"][second][inside])[0, 1])


@pytest.mark.parametrize(
    ("patient", "least"),
    [("TCGA-DU-7294", 0.95), ("TCGA-FG-6692", 0.80)],  # the second moved between the series, which overlap in part
)
def test_four_sequences_of_a_glioma(test_data, patient: str, least: float) -> None:
    """Four shapes, two spacings, sform 0 in one file: the skull-stripped brains overlap."""
    folder = test_data("tcia_glioma_4seq")
    paths = {name: str(folder / f"{patient}_bet_native_{name}.nii.gz") for name in SEQUENCES}
    item = on_one_grid({"case": patient, "image": paths}, SEQUENCES, "t1c", spacing=(2, 2, 2), size=(96, 112, 80))
    shared = torch.stack(list(item["inside"].values())).all(dim=0)
    brains = {name: (item["image"][name] > 0) & shared for name in SEQUENCES}
    for name in SEQUENCES:
        both = (brains[name] & brains["t1c"]).sum()
        dice = 2 * both / (brains[name].sum() + brains["t1c"].sum())
        assert dice > least, f"{name}: {dice:.3f}"


def test_five_mr_series_of_a_prostate_in_three_planes(test_data) -> None:
    folder = test_data("prostatex_dicom") / "mha_ProstateX-0000"
    stem = folder / "ProstateX-0000_07-07-2011_"
    phases = ["t2w", "adc", "hbv", "cor", "sag"]
    case = {
        "case": "ProstateX-0000",
        "image": {phase: f"{stem}{phase}.mha" for phase in phases},
        "roi": f"{stem}lesion.nii.gz",  # stored with another axis direction than the t2w series
    }
    item = on_one_grid(case, phases, "t2w", spacing=(1, 1, 1), size=(64, 64, 48))
    assert correlation(item, "t2w", "sag") > 0.75
    assert correlation(item, "t2w", "cor") > 0.65
    assert correlation(item, "t2w", "adc") > 0.3
    mirrored = {**item, "image": {**item["image"], "sag": item["image"]["sag"].flip(0)}}
    assert correlation(mirrored, "t2w", "sag") < 0.6
    lesion = on_one_grid(case, phases, "t2w", MaskRegiond(margin=12), spacing=(1, 1, 1), size=(48, 48, 48))
    centre = item["grid_affine"].inverse() @ lesion["grid_affine"] @ torch.tensor([23.5, 23.5, 23.5, 1]).double()
    assert ((centre[:3] > 0) & (centre[:3] < 64)).all()


def test_a_heart_from_file_to_batch(test_data, tmp_path) -> None:
    folder = test_data("acdc_ed_es") / "patient001"
    data = [
        {
            "case": "patient001",
            "image": {"ed": str(folder / "ed.nii.gz"), "es": str(folder / "es.nii.gz")},
            "roi": str(folder / "ed_seg.nii.gz"),
            "label": 1,
        }
    ]
    phases = ["ed", "es"]
    transform = Compose(
        [
            LoadImagePhasesd(phases=phases, reference="ed"),
            MaskRegiond(margin=10.0),
            ResamplePhasesd(spacing=(2.5, 2.5, 5.0), size=(48, 48, 24)),
            ZScoreIntensityd(joint=True),
            StackPhasesd(phases=phases),
            SelectItemsd(keys=["image", "present", "label", "case"], allow_missing_keys=True),
        ]
    )
    for _ in range(2):
        item = cached_dataset(data, transform, cache="disk", cache_dir=tmp_path, progress=False)[0]
        assert item["image"].shape == (2, 48, 48, 24)
        assert item["present"].all()
        assert np.corrcoef(item["image"][0].flatten(), item["image"][1].flatten())[0, 1] > 0.7
