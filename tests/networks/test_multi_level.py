# SPDX-License-Identifier: Apache-2.0
"""Phases fused at every stage, merged from coarse to fine."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion.maps import AdaptiveConv
from scripts.networks.multi_level import MultiLevelNetwork
from torch import nn

ALL = torch.ones(2, 3, dtype=torch.bool)


def network(**options) -> MultiLevelNetwork:
    torch.manual_seed(0)
    return MultiLevelNetwork(ResidualEncoder, AdaptiveConv, num_phases=3, num_classes=2, **options).eval()


def test_every_stage_of_every_phase_is_fused_for_itself():
    made, seen = network(), []
    for fusion in made.fusions:
        fusion.register_forward_hook(lambda module, inputs, _: seen.append((module, inputs[0])))
    image = torch.rand(2, 3, 28, 28, 28)
    made(image)
    assert [module for module, _ in seen] == list(made.fusions)
    for level, (_, given) in enumerate(seen):
        for p in range(3):
            expected = made.encoder.encoder.stage_maps(image[:, p : p + 1])[level]
            torch.testing.assert_close(given[p], expected)


@pytest.mark.parametrize("options", [{"skips": True}, {"context": True}, {"skips": True, "context": True}])
def test_options_script_and_learn(options):
    made = network(**options)
    image = torch.rand(2, 3, 16, 17, 16)
    image[0, 1] = 0
    scripted = torch.jit.script(made)(image)
    torch.testing.assert_close(scripted, made(image), atol=1e-5, rtol=1e-5)
    made.train()(torch.rand(2, 3, 16, 17, 16), present=ALL)["logits"].square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in made.parameters())


def test_separate_encoders_start_differently_and_a_ready_one_is_copied():
    made = network(share_encoder=False)
    first, second = (one.encoder.stem.conv1.weight for one in list(made.encoder)[:2])
    assert not torch.equal(first, second)
    ready = MultiLevelNetwork(ResidualEncoder(), AdaptiveConv, 3, 2, share_encoder=False)
    first, second = (one.encoder.stem.conv1.weight for one in list(ready.encoder)[:2])
    assert torch.equal(first, second)
    assert first is not second


def test_normalisation_statistics_come_from_present_phases_only():
    made, alone = network().train(), network().train().encoder
    image = torch.rand(2, 3, 16, 16, 16)
    present = torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.bool)
    image[~present] = float("nan")
    made(image, present=present)
    alone(image.flatten(0, 1)[present.flatten()].unsqueeze(1))
    for found, expected in zip(made.encoder.buffers(), alone.buffers(), strict=True):
        assert torch.equal(found, expected)


def test_an_encoder_without_stages_is_named():
    plain = partial(nn.Conv3d, 1, 4, 3)
    with pytest.raises(ValueError, match=r"needs an encoder with stages .*found Conv3d"):
        MultiLevelNetwork(lambda in_channels: plain(), AdaptiveConv, 3, 2)
