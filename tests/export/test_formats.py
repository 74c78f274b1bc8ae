# SPDX-License-Identifier: Apache-2.0
"""Every strategy as TorchScript and ONNX: the same logits, whatever is missing and however many cases."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from scripts.networks import EarlySegmentationNetwork, SegmentationNetwork
from scripts.networks.encoders import PlannedEncoder
from scripts.networks.exported import EXPORTED
from scripts.networks.fusion import AdaptiveConv
from torch import nn
from workbench.export.formats import FORMATS, TOLERANCE, example_inputs, largest_difference, trial_batches, write_onnx

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
COLUMNS = [
    {"name": "age", "kind": "number", "unit": "years"},
    {"name": "sex", "kind": "category", "values": ["F", "M"]},
]
NEED_TABLE = ("daft", "film", "table")
FUSIONS = sorted(path.stem for path in (CONFIGS / "fusion").glob("*.yaml"))
ENCODERS = sorted(path.stem for path in (CONFIGS / "encoder").glob("*.yaml"))
FAMILIES = ("abaf", "concat", "early", "evidential", "film", "late_mean", "low_rank_tensor", "self_attention", "single")
CASES = [(fusion, "residual", fusion in NEED_TABLE) for fusion in FUSIONS]
CASES += [("concat", encoder, False) for encoder in ENCODERS if encoder != "residual"]
CASES += [("concat", "residual", True), ("cross_attention", "residual", True)]
QUICK = [(fusion, "residual", fusion in NEED_TABLE) for fusion in FAMILIES] + [("concat", "residual", True)]
GRID = [16, 17, 16]
DESCRIPTION = {
    "phases": ["pre", "arterial", "portal"], "classes": ["low", "high"], "spacing": [2.0, 2.0, 2.5],
    "temperature": 1.25, "threshold": 0.4, "prior": [0.7, 0.3], "version": "0.1.0", "weights": "none",
}  # fmt: skip


def build(fusion: str, encoder: str, table: bool, views: str = "") -> nn.Module:
    """Build a network from train.yaml and two fragments, its normalisation as after a training."""
    torch.manual_seed(0)
    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml", CONFIGS / "encoder" / f"{encoder}.yaml"])
    parser.update(parser.load_config_file(CONFIGS / "fusion" / f"{fusion}.yaml"))
    if views:
        parser.update(parser.load_config_file(CONFIGS / "views" / f"{views}.yaml"))
    parser.update({"columns": COLUMNS if table else []})
    network = parser.get_parsed_content("network_def")
    with torch.no_grad():
        for _ in range(2):
            network.train()(*example_inputs(4, 3, GRID, len(COLUMNS) * table))
        network.get_buffer("calibration.temperature").fill_(1.25)
    return network.eval()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    "case",
    [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
    ids=lambda case: f"{case[0]}-{case[1]}{'-table' if case[2] else ''}",
)
def test_the_file_predicts_what_the_network_predicts(case, format_, tmp_path):
    network = build(*case)
    shape = 3, GRID, len(COLUMNS) * case[2]
    path = tmp_path / f"any{EXPORTED[format_].suffix}"
    description = DESCRIPTION | {"clinical": COLUMNS if case[2] else []}
    FORMATS[format_](network, example_inputs(2, *shape), description, path)
    exported = EXPORTED[format_]()
    exported.load(path)
    trials = trial_batches(*shape)
    assert list(trials)[:3] == ["1 of 3 phases", "5 of 3 phases", "a phase missing"]
    assert ("clinical values missing" in trials) == case[2]
    assert largest_difference(network, exported, trials, format_) <= TOLERANCE
    assert exported.calibration.temperature == 1.25
    assert exported.calibration.threshold == pytest.approx(0.4)
    image, clinical, _ = trials["5 of 3 phases"]
    image[1, 0] = 0.0  # a phase of zeros is absent unless told otherwise
    torch.testing.assert_close(exported(image), network(image), atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(exported(image, clinical), network(image, clinical), atol=TOLERANCE, rtol=0)


OUTLINERS = {
    "early": partial(EarlySegmentationNetwork, width=4),
    "fused": partial(SegmentationNetwork, PlannedEncoder, AdaptiveConv, num_masks=3, width=4),
}


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("fused", "onnx"),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (("fused", "torchscript"), ("early", "torchscript"), ("early", "onnx"))
        ),
    ],
)
def test_the_file_outlines_what_the_network_outlines(name, format_, tmp_path):
    torch.manual_seed(0)
    network = OUTLINERS[name](num_phases=3, num_structures=2, patch_size=[16, 16, 8]).eval()
    shape = 3, [16, 16, 8], 0
    path = tmp_path / f"outline{EXPORTED[format_].suffix}"
    description = {"structures": ["wall", "lumen"], "masks": "phase", "clinical": [], "weights": "none"}
    FORMATS[format_](network, example_inputs(2, *shape), description, path)
    exported = EXPORTED[format_]()
    exported.load(path)
    trials = trial_batches(*shape, most=2)
    assert trials["a phase missing"][0].isnan().any()
    assert largest_difference(network, exported, trials, format_) <= TOLERANCE
    image, _, present = trials["a phase missing"]
    again = torch.where(image.isnan(), 9.0, image)  # whatever an absent slot holds
    torch.testing.assert_close(exported(again, present=present), network(image, present=present), atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("views", ["three_views", pytest.param("volume_and_views", marks=pytest.mark.slow)])
def test_views_are_cut_in_the_file_as_well(views, format_, tmp_path):
    network = build("concat", "residual", False, views)
    path = tmp_path / f"any{EXPORTED[format_].suffix}"
    FORMATS[format_](network, example_inputs(2, 3, GRID, 0), DESCRIPTION | {"clinical": []}, path)
    exported = EXPORTED[format_]()
    exported.load(path)
    assert largest_difference(network, exported, trial_batches(3, GRID, 0), format_) <= TOLERANCE


def test_a_file_that_predicts_something_else_is_refused():
    network, other = build("concat", "residual", False), build("concat", "residual", False)
    with torch.no_grad():
        other.head.bias += 2e-4
    with pytest.raises(
        ValueError, match=r"must give the logits of PhaseFusionNetwork to within 0\.0001, found 0\.0001"
    ):
        largest_difference(network, other, trial_batches(3, GRID, 0), "onnx")


def test_a_logit_that_is_no_number_is_refused():
    network = build("concat", "residual", False)

    class Broken(nn.Module):
        def forward(self, image, clinical, present):
            return image.flatten(1)[:, :2]  # NaN where the first phase is absent

    with pytest.raises(ValueError, match="must give the logits"):
        largest_difference(network, Broken(), {"a": trial_batches(3, GRID, 0)["a phase missing"]}, "onnx")


def test_onnx_says_what_the_model_is(tmp_path):
    import json

    import onnx

    path = tmp_path / "model.onnx"
    write_onnx(build("concat", "residual", False), example_inputs(2, 3, GRID, 0), DESCRIPTION, path)
    model = onnx.load(path)
    told = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert told == DESCRIPTION
    first = [dimension.dim_param for node in model.graph.input for dimension in node.type.tensor_type.shape.dim[:1]]
    assert first == ["cases", "cases"]
    assert [node.name for node in model.graph.input] == ["image", "present"]


def test_a_network_that_no_format_holds_is_one_line(tmp_path):
    class Odd(nn.Module):
        def forward(self, image, clinical=None, present=None):
            return torch.special.zeta(image.flatten(1)[:, :2], 2.0)

    with pytest.raises(ValueError, match=r"^Odd cannot be exported to ONNX \(.*\); choose another") as caught:
        write_onnx(Odd(), example_inputs(1, 3, GRID, 0), DESCRIPTION, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
