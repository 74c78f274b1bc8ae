# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from scripts.engines.inferer import PhaseInferer, TestTimeInferer, autocast, has_fast_bf16
from scripts.engines.network import channels_last
from scripts.networks.builder import build
from torch import nn


class Flips:
    """Identity and a flip of each axis: a fixed list, as RandomGeometry.fixed gives."""

    def fixed(self, number, seed=0):
        return [lambda x: x, lambda x: x.flip(2), lambda x: x.flip(3), lambda x: x.flip(4)][:number]


class Corner(nn.Module):
    """Logits that depend on the position, so that each flip has its own."""

    def forward(self, image, clinical=None, present=None):
        value = image[:, 0, 0, 0, 0]
        return torch.stack([value, -value], dim=1)


def test_test_time_augmentation_averages_probabilities():
    torch.manual_seed(0)
    image, network = 3 * torch.randn(5, 2, 4, 4, 4), Corner().eval()
    mean = torch.stack([network(view(image)).softmax(1) for view in Flips().fixed(4)]).mean(0)
    result = TestTimeInferer(Flips(), number=4)(image, network)
    assert torch.allclose(result.softmax(1), mean, atol=1e-6)
    logits_mean = torch.stack([network(view(image)) for view in Flips().fixed(4)]).mean(0)
    assert not torch.allclose(result.softmax(1), logits_mean.softmax(1), atol=1e-2)


@pytest.mark.parametrize("number", [0, 1])
def test_no_augmentation_is_the_plain_network(number):
    image, network = torch.randn(3, 2, 4, 4, 4), Corner().eval()
    assert torch.equal(TestTimeInferer(Flips(), number=number)(image, network), network(image))


def test_a_case_is_predicted_the_same_in_any_batch():
    image, network = torch.randn(5, 2, 4, 4, 4), Corner().eval()
    infer = TestTimeInferer(Flips(), number=4)
    assert torch.allclose(infer(image, network)[3:4], infer(image[3:4], network))


def test_precision_is_decided_in_one_place():
    cpu = torch.device("cpu")
    layer, x = nn.Linear(4, 4), torch.randn(2, 4)
    with autocast(cpu, "bf16"):
        assert layer(x).dtype == torch.bfloat16
    with autocast(cpu, "fp32"):
        assert layer(x).dtype == torch.float32
    with autocast(cpu, "auto"):
        assert (layer(x).dtype == torch.bfloat16) == has_fast_bf16(cpu)
    with pytest.raises(ValueError, match="precision must be one of auto, bf16, fp32, found 'fp16'"):
        autocast(cpu, "fp16")


@pytest.mark.parametrize("fusion", ["concat", "early"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_layout_of_a_batch_changes_no_gradient(fusion, precision):
    """Convolutions follow the layout of their weights; `early` has several channels, the others one."""
    image = torch.rand(4, 3, 12, 12, 12)
    gradients = []
    for memory_format in (torch.contiguous_format, torch.channels_last_3d):
        torch.manual_seed(0)
        network = channels_last(build(["a", "b", "c"], fusion=fusion)).train()
        outputs = PhaseInferer(precision)(image.contiguous(memory_format=memory_format), network)
        outputs["logits"].square().sum().backward()
        gradients.append([p.grad for p in network.parameters()])
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))
