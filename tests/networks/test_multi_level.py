# SPDX-License-Identifier: Apache-2.0
"""Phases fused at every stage, merged from coarse to fine."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion.maps import AdaptiveConv
from scripts.networks.multi_level import Context, FeaturePyramid, MultiLevelNetwork, SkipDecoder
from torch import nn
from torch.nn import functional

ALL = torch.ones(2, 3, dtype=torch.bool)


def network(**options) -> MultiLevelNetwork:
    torch.manual_seed(0)
    return MultiLevelNetwork(ResidualEncoder, AdaptiveConv, num_phases=3, num_classes=2, **options).eval()


def maps() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.rand(2, 4, 7, 6, 5), torch.rand(2, 8, 4, 3, 3), torch.rand(2, 8, 4, 3, 3)]


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


def test_the_pyramid_passes_down_what_coarse_maps_know():
    pyramid, given = FeaturePyramid([4, 8, 8], out_dim=6), maps()
    before = pyramid(given)
    inner, layer = pyramid.pyramid.inner_blocks, pyramid.pyramid.layer_blocks
    middle = inner[1](given[1]) + functional.interpolate(inner[2](given[2]), size=(4, 3, 3))
    fine = inner[0](given[0]) + functional.interpolate(middle, size=(7, 6, 5))
    torch.testing.assert_close(before[0], layer[0](fine).relu())
    given[0] = given[0] + 1
    after = pyramid(given)
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])  # nothing goes up


def test_skips_concatenate_as_a_u_net_does():
    decoder, given = SkipDecoder([4, 8, 8], out_dim=6), maps()
    found = decoder(given)
    coarse, middle, fine = decoder.convolutions
    expected = [coarse(given[2]).relu()]
    for convolution, one in ((middle, given[1]), (fine, given[0])):
        up = functional.interpolate(expected[0], size=one.shape[2:], mode="trilinear")
        expected.insert(0, convolution(torch.cat([one, up], dim=1)).relu())
    assert fine.in_channels == 4 + 6
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_context_looks_six_cells_far():
    volume = torch.zeros(1, 8, 15, 1, 1)
    context = Context(8)
    reach = [conv.dilation[0] * (conv.kernel_size[0] - 1) // 2 for conv in context.aspp.convs]
    assert reach == [0, 2, 4, 6]
    volume.requires_grad_()
    seen = context.aspp.convs[3](volume)[0, :, 7].sum()
    gradient = torch.autograd.grad(seen, volume)[0].abs().sum(dim=(0, 1, 3, 4))
    assert gradient.nonzero().flatten().tolist() == [1, 7, 13]


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
