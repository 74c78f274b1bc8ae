# SPDX-License-Identifier: Apache-2.0
"""What an evaluation of outlines counts."""

from __future__ import annotations

import csv
import json

import numpy as np
import torch
from scripts.engines.outlines import OutlineReport

PHASES = ("pre", "late")
AFFINE = np.diag([2.0, 1.0, 1.0, 1.0])


def blobs(*corners):
    mask = np.zeros((8, 10, 12), np.uint8)
    for x, y, z in corners:
        mask[x : x + 2, y : y + 2, z : z + 2] = 1
    return mask


def logits(*masks):
    """Of masks of one structure each, as sure as can be."""
    return torch.from_numpy(np.concatenate([np.stack([1 - mask, mask]) for mask in masks])).float() * 20 - 10


def report(tmp_path, save_volume, drawn, masks):
    image = {phase: str(save_volume(tmp_path / f"{phase}.nii.gz", np.zeros((8, 10, 12)), AFFINE)) for phase in PHASES}
    roi = {phase: str(save_volume(tmp_path / f"roi_{phase}.nii.gz", mask, AFFINE)) for phase, mask in drawn.items()}
    data = [{"case": "a", "patient": "a", "image": image, "roi": roi}]
    return OutlineReport(tmp_path / "out", data, ["lesion"], PHASES, "late", masks, draws=20)


def test_lesions_are_counted_in_every_phase_that_has_a_mask(tmp_path, save_volume):
    drawn = {"pre": blobs((0, 0, 0), (4, 4, 4), (4, 8, 8)), "late": blobs((0, 0, 0))}
    outlined = {"pre": blobs((0, 0, 0), (4, 4, 4)), "late": blobs((4, 4, 4), (4, 8, 8))}
    handler = report(tmp_path, save_volume, drawn, "phase")
    item = {"case": "a", "grid_affine": AFFINE}
    handler.predictions = [handler.read(item, {"pred": logits(*outlined.values())})]
    handler.write("cpu")
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "lesions" not in record  # a lesion seen in two phases is not two
    counted = {
        phase: (found["n_lesions"], found["n_components"], found["sensitivity"], found["false_positives_per_case"])
        for phase, found in record["lesions_by_phase"].items()
    }
    assert counted == {"pre": (3, 2, 2 / 3, 0.0), "late": (1, 2, 0.0, 2.0)}
    assert record["lesions_by_phase"]["pre"]["sensitivity_at"]["0.125"] == 2 / 3  # of the phase's own FROC curve
    with (tmp_path / "out" / "outlines.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    names = ("mask", "lesions", "lesions_found", "false_positives")
    assert [tuple(row[name] for name in names) for row in rows] == [("pre", "3", "2", "0"), ("late", "1", "0", "2")]


def test_with_one_mask_there_is_one_count(tmp_path, save_volume):
    handler = report(tmp_path, save_volume, {"late": blobs((0, 0, 0))}, "case")
    handler.predictions = [handler.read({"case": "a", "grid_affine": AFFINE}, {"pred": logits(blobs((0, 0, 0)))})]
    handler.write("cpu")
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert record["lesions"]["sensitivity"] == 1.0
    assert "lesions_by_phase" not in record
