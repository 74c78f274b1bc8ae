# SPDX-License-Identifier: Apache-2.0
"""Training goes on from the zip's weights with other phases and other classes."""

from __future__ import annotations

import json
import logging
import re

import pytest
import torch


@pytest.mark.slow
def test_other_phases_and_classes_start_from_the_weights_that_fit(
    shipped, small_phantom, quick, bundle, caplog, tmp_path
):
    """The encoder, which all phases share, is taken over; frozen, it is still the same after training."""
    content = json.loads((small_phantom / "dataset.json").read_text())
    content["classes"] = ["low", "middle", "high"]
    for split in ("training", "validation", "test"):
        for number, item in enumerate(content[split]):
            item["label"] = content["classes"][number % 3]
    (small_phantom / "three.json").write_text(json.dumps(content))
    weights = shipped / "models" / "model.pt"
    with caplog.at_level(logging.INFO):
        bundle(
            "training",
            ["configs/train.yaml"],
            output_dir=str(tmp_path / "out"),
            start_weights=str(weights),
            freeze=["encoder"],
            **quick
            | {
                "dataset_dir": str(small_phantom / "three.json"),
                "phases": ["arterial", "portal"],
                "classes": content["classes"],
                "max_epochs": 1,
            },
        )
    before, after = (torch.load(file) for file in (weights, tmp_path / "out" / "models" / "model.pt"))
    encoder = [name for name in before if name.startswith("encoder.")]
    assert len(encoder) > 50
    assert [name for name in encoder if not torch.equal(before[name], after[name])] == []
    listed = re.search(r"kept as initialised \((\d+)\): (.*)", caplog.text)
    assert listed
    other = {name for name in after if name not in before or after[name].shape != before[name].shape}
    other = {name for name in other if not name.startswith("calibration.")}  # fitted anew by each training
    assert int(listed[1]) == len(other)
    assert set(listed[2].split(", ")) == other
    assert after["head.weight"].shape[0] == 3
