# SPDX-License-Identifier: Apache-2.0
"""How phases reach their encoder."""

from __future__ import annotations

import pytest
import torch
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion.tokens import Concat
from scripts.networks.phase_fusion import PhaseFusionNetwork
from scripts.networks.plain import EarlyFusionNetwork, SinglePhaseNetwork
from torch import nn

PRESENT = torch.tensor([[1, 1], [1, 0], [1, 0]], dtype=torch.bool)


def image() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(3, 2, 12, 12, 12) + torch.tensor([0.0, 5.0]).reshape(1, 2, 1, 1, 1)


def fusion_network(share: bool = True) -> PhaseFusionNetwork:
    torch.manual_seed(0)
    return PhaseFusionNetwork(ResidualEncoder, Concat, num_phases=2, num_classes=2, share_encoder=share)


def test_normalisation_statistics_come_from_present_phases_only():
    network, alone = fusion_network(), fusion_network().encoder
    volumes = image()
    network(volumes, present=PRESENT)
    alone(volumes.flatten(0, 1)[PRESENT.flatten()].unsqueeze(1))
    for (name, found), expected in zip(
        network.encoder.named_buffers(), dict(alone.named_buffers()).values(), strict=True
    ):
        assert torch.equal(found, expected), name


def test_a_phase_absent_in_the_whole_batch_leaves_its_encoder_alone():
    network = fusion_network(share=False)
    absent = torch.tensor([[1, 0]] * 3, dtype=torch.bool)
    before = {name: value.clone() for name, value in network.encoder[1].named_buffers()}
    network(image(), present=absent)["logits"].sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.encoder[1].named_buffers())
    assert all(p.grad is None for p in network.encoder[1].parameters())
    assert all(p.grad is not None for p in network.encoder[0].parameters())


def test_separate_encoders_start_differently_and_a_ready_one_is_copied():
    first, second = fusion_network(share=False).encoder
    assert not torch.equal(first.stem.conv1.weight, second.stem.conv1.weight)
    ready = ResidualEncoder()
    first, second = PhaseFusionNetwork(ready, Concat, 2, 2, share_encoder=False).encoder
    assert torch.equal(first.stem.conv1.weight, ready.stem.conv1.weight)
    assert first.stem.conv1.weight is not second.stem.conv1.weight


def test_early_fusion_sees_the_phases_as_channels():
    network = EarlyFusionNetwork(ResidualEncoder, num_phases=2, num_classes=2).eval()
    assert network.encoder.stem.conv1.in_channels == 2
    swapped = network(image().flip(1))
    assert not torch.allclose(network(image()), swapped)


@pytest.mark.parametrize("training", [True, False])
def test_single_phase_reads_its_phase_only(training):
    network = SinglePhaseNetwork(ResidualEncoder, phases=["pre", "portal"], phase="portal").train(training)

    def logits(volumes, present):
        outputs = network(volumes, present=present)
        return outputs["logits"] if training else outputs

    other = image()
    other[:, 0] = -3.0
    assert torch.equal(logits(image(), PRESENT), logits(other, PRESENT))
    without = logits(image(), PRESENT)[1:]
    assert torch.equal(without, network.head.bias.expand(2, 2))  # the token of a case without the phase is 0


def test_a_case_without_any_phase_stays_finite():
    network = fusion_network()
    nothing = torch.zeros(3, 2, dtype=torch.bool)
    network(image(), present=nothing)["logits"].sum().backward()
    assert network.eval()(image(), present=nothing).isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_dropout_acts_while_training_only():
    network, volumes = fusion_network(), image()
    network.dropout = nn.Dropout(0.5)
    assert not torch.equal(network(volumes)["logits"], network(volumes)["logits"])
    network.eval()
    assert torch.equal(network(volumes), network(volumes))
