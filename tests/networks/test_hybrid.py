# SPDX-License-Identifier: Apache-2.0
"""Two levels of fusion, trained together."""

from __future__ import annotations

import pytest
import scripts
import torch
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion.decisions import LateMean
from scripts.networks.fusion.tokens import Concat
from scripts.networks.map_fusion import HybridNetwork
from scripts.networks.multi_level import MultiLevelNetwork
from scripts.networks.phase_fusion import LateFusionNetwork, PhaseFusionNetwork
from scripts.networks.plain import EarlyFusionNetwork

IMAGE = torch.rand(3, 2, 12, 12, 12, generator=torch.Generator().manual_seed(0))


def hybrid() -> HybridNetwork:
    torch.manual_seed(0)
    early = EarlyFusionNetwork(ResidualEncoder, num_phases=2, num_classes=3)
    late = LateFusionNetwork(ResidualEncoder, LateMean, num_phases=2, num_classes=3)
    return HybridNetwork([early, late], num_classes=3)


def test_it_is_the_mean_of_the_levels_probabilities_at_first():
    made = hybrid().eval()
    expected = sum(level(IMAGE).softmax(dim=1) for level in made.levels) / 2
    torch.testing.assert_close(made(IMAGE).softmax(dim=1), expected)
    assert made.level_weights() == [0.5, 0.5]


def test_its_weights_move_to_the_level_that_is_right():
    made = hybrid()
    optimizer = torch.optim.Adam([made.scores], lr=0.3)
    right = made.eval().levels[1](IMAGE).argmax(dim=1)
    with torch.no_grad():
        made.levels[0].head.bias.copy_(-10 * torch.nn.functional.one_hot(right, 3).float().sum(dim=0))
    said = torch.stack([level(IMAGE) for level in made.levels], dim=1).detach()
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(made.mixture(said), right).backward()
        optimizer.step()
    assert made.level_weights()[1] > 0.9


def test_any_two_levels_are_combined_by_configuration():
    levels = {
        "first_level": {
            "_target_": "scripts.networks.MultiLevelNetwork",
            "encoder": "@encoder",
            "fusion": {"_target_": "scripts.networks.fusion.AdaptiveConv", "_mode_": "callable"},
            "num_phases": "@num_phases",
            "num_classes": "@num_classes",
        },
        "second_level": {
            "_target_": "scripts.networks.PhaseFusionNetwork",
            "encoder": "@encoder",
            "fusion": {"_target_": "scripts.networks.fusion.Concat", "_mode_": "callable"},
            "num_phases": "@num_phases",
            "num_classes": "@num_classes",
        },
    }
    from monai.bundle import ConfigParser
    from scripts.networks.builder import CONFIGS

    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml"])
    parser.update(parser.load_config_file(CONFIGS / "fusion" / "hybrid.yaml"))
    parser.update(levels)
    made = parser.get_parsed_content("network_def")
    assert [type(level) for level in made.levels] == [MultiLevelNetwork, PhaseFusionNetwork]
    assert isinstance(made.levels[1].fusion, Concat)
    assert type(scripts.build(["a", "b"], fusion="hybrid").levels[0]) is EarlyFusionNetwork


def test_one_level_is_refused():
    with pytest.raises(ValueError, match="two levels or more, found 1"):
        HybridNetwork([hybrid()], num_classes=3)
