# SPDX-License-Identifier: Apache-2.0
"""One signature for all networks; what configurations of before hold builds the same network."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from scripts.networks.builder import CONFIGS

COMMON = {"encoder": "@reader", "num_classes": "@num_classes", "dropout": "@dropout"}
ALL = COMMON | {"num_phases": "@num_phases", "share_encoder": "@share_encoder", "table": "@table"}
FUSED = ALL | {"fusion": "@fusion"}
CONDITIONED = FUSED | {"conditioning": "@conditioning"}
BEFORE = {
    "concat": ("PhaseFusionNetwork", FUSED),
    "dsn": ("PhaseFusionNetwork", FUSED | {"phase_heads": True}),
    "se": ("MapFusionNetwork", FUSED),
    "late_weighted": ("LateFusionNetwork", ALL | {"combination": "@fusion"}),
    "multi_level": ("MultiLevelNetwork", FUSED | {"skips": False, "context": False}),
    "film": ("ConditionedNetwork", CONDITIONED),
    "early": ("EarlyFusionNetwork", COMMON | {"num_phases": "@num_phases"}),
    "single": ("SinglePhaseNetwork", COMMON | {"phases": "@phases", "phase": "@single_phase"}),
    "table": ("TableNetwork", {"table": "@table", "num_phases": "@num_phases", "num_classes": "@num_classes"}),
}
"""Strategy -> class and arguments that its `network_def` named in full."""


def parser_of(strategy: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml"])
    parser.update(parser.load_config_file(CONFIGS / "fusion" / f"{strategy}.yaml"))
    parser.update({"columns": [{"name": "age", "kind": "number"}]})
    return parser


@pytest.mark.parametrize("strategy", sorted(BEFORE))
def test_a_network_named_in_full_has_the_same_weights_and_logits(strategy):
    now, before = parser_of(strategy), parser_of(strategy)
    name, arguments = BEFORE[strategy]
    before["network_def"] = {"_target_": f"scripts.networks.{name}", **arguments}
    image, clinical = torch.rand(2, 3, 12, 12, 12), torch.tensor([[61.0], [float("nan")]])
    found = []
    for parser in (now, before):
        torch.manual_seed(0)
        network = parser.get_parsed_content("network_def").eval()
        found.append((network.state_dict(), network(image, clinical)))
    assert list(found[0][0]) == list(found[1][0])
    assert all(torch.equal(weight, found[1][0][key]) for key, weight in found[0][0].items())
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("file", sorted((CONFIGS / "fusion").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_strategy_names_no_argument_that_all_networks_have(file: Path):
    content = ConfigParser.load_config_file(file)
    named = {key.partition("#")[2] for key in content if key.startswith("network_def")}
    unread = {key.partition("#")[2] for key in content if content[key] is None}
    assert file.stem == "hybrid" or not (named - unread) & {*FUSED, ""}


@pytest.mark.parametrize("name", ["PhaseFusionNetwork", "MapFusionNetwork", "LateFusionNetwork"])
def test_a_strategy_that_fuses_needs_a_fusion(name):
    import scripts.networks

    with pytest.raises(ValueError, match="needs a `fusion`, found none"):
        getattr(scripts.networks, name)(
            partial(scripts.networks.ResidualEncoder, widths=(4, 8)), None, num_phases=2, num_classes=2
        )
