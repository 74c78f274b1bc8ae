# SPDX-License-Identifier: Apache-2.0
"""Ways from the maps of several stages to maps that know of each other."""

from __future__ import annotations

import torch
from scripts.networks.decoders import Context, FeaturePyramid, SkipDecoder
from torch.nn import functional


def maps() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.rand(2, 4, 7, 6, 5), torch.rand(2, 8, 4, 3, 3), torch.rand(2, 8, 4, 3, 3)]


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
    decoder, given = SkipDecoder([4, 8, 8], 6), maps()
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
