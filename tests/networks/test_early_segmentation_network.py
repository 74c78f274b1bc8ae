# SPDX-License-Identifier: Apache-2.0
"""Phases as channels of MONAI's DynUNet; the contract is held by test_segmentation_network.py."""

from __future__ import annotations

import torch
from monai.networks.nets import DynUNet
from torch import nn

from tests.networks.test_segmentation_network import PRESENT, P, S, early, images


def test_early_is_the_dynunet_of_monai():
    network, image = early(deep_supervision=True), images(size=(16, 16, 16))
    assert isinstance(network.unet, DynUNet)
    outputs = network.train()(image, present=PRESENT)
    torch.testing.assert_close(outputs["logits"], network.unet.eval()(image))
    monai = DynUNet(3, P, S + 1, [[3] * 3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 16], deep_supervision=True)
    given = {name: value for name, value in network.unet.state_dict().items() if "super" not in name}
    monai.load_state_dict(given, strict=False)
    with torch.no_grad():
        for head, own in zip(monai.deep_supervision_heads, network.supervision, strict=True):
            head.conv.conv.weight.copy_(own.weight)
            head.conv.conv.bias.copy_(own.bias)
    every = monai.train()(image).unbind(dim=1)
    for one, expected in zip([outputs["logits"], *outputs["levels"]], every, strict=True):
        torch.testing.assert_close(nn.functional.interpolate(one, every[0].shape[2:]), expected)


def test_sizes_that_the_strides_do_not_divide_are_lengthened_by_zeros_and_cut_back():
    network, image = early().eval(), torch.rand(1, P, 13, 16, 11)
    longer = nn.functional.pad(image, [0, 1, 0, 0, 0, 3])
    assert network.divisors == [4, 4, 4]
    torch.testing.assert_close(network(image), network.unet(longer)[:, :, :13, :, :11])
