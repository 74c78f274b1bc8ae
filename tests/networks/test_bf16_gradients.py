# SPDX-License-Identifier: Apache-2.0
"""bfloat16 against float32 in every layer of every encoder, over odd and flat volumes.

Over a whole network the two differ by tens of percent without anything being wrong: rounding moves values
across zero, where ReLU and normalisation turn small differences into others. Each convolution is therefore
compared alone, on the inputs and output gradients that it really meets in the network.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from scripts.networks.encoders.monai_cnn import (
    MonaiDenseNetEncoder,
    MonaiEfficientNetEncoder,
    MonaiResNetEncoder,
    MonaiSEResNetEncoder,
)
from scripts.networks.encoders.monai_vit import MonaiViTEncoder
from scripts.networks.encoders.planned_encoder import PlannedEncoder
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.guarded import GuardedConv3d
from torch import nn
from torch.nn import grad

ENCODERS = {
    "residual": ResidualEncoder,
    "residual group": partial(ResidualEncoder, norm=["group", {"num_groups": 8}]),
    "planned": partial(PlannedEncoder, patch_size=(32, 32, 32)),
    "planned flat": partial(PlannedEncoder, patch_size=(24, 24, 8), spacing=(1.0, 1.0, 5.0)),
    "planned plane": partial(PlannedEncoder, patch_size=(32, 32, 1)),
    "resnet10": partial(MonaiResNetEncoder, model="resnet10"),
    "resnet10 pooled": partial(MonaiResNetEncoder, model="resnet10", pool_stem=True),
    "resnet18": partial(MonaiResNetEncoder, model="resnet18"),
}
HEAVY = {
    "resnet34": partial(MonaiResNetEncoder, model="resnet34"),
    "resnet50": partial(MonaiResNetEncoder, model="resnet50"),
    "densenet121": MonaiDenseNetEncoder,
    "seresnet50": MonaiSEResNetEncoder,
    "efficientnet": MonaiEfficientNetEncoder,
    "vit": MonaiViTEncoder,
}
SIZES = [(28, 28, 28), (17, 16, 19), (8, 24, 24), (24, 24, 8), (9, 13, 8), (3, 20, 5), (32, 32, 1)]
CASES = [
    (name, size)
    for name, encoder in ENCODERS.items()
    for size in SIZES
    if all(voxels >= least for voxels, least in zip(size, encoder(in_channels=1).min_size, strict=True))
]
CASES += [pytest.param(name, (17, 16, 19), marks=pytest.mark.slow) for name in HEAVY]


@pytest.mark.parametrize(("name", "size"), CASES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_every_layer_agrees_with_float32(name, size, channels_last, monkeypatch):
    torch.manual_seed(0)
    if name == "vit":
        pytest.importorskip("einops")
    encoder = (ENCODERS | HEAVY)[name](in_channels=1).train()
    if channels_last:
        encoder = encoder.to(memory_format=torch.channels_last_3d)
    calls = []
    convolve = GuardedConv3d.convolve

    def recording(self, input, stride):
        out = convolve(self, input, stride)
        out.retain_grad()
        calls.append((self, input, stride, out))
        return out

    monkeypatch.setattr(GuardedConv3d, "convolve", recording)
    with torch.autocast("cpu", torch.bfloat16):
        maps = encoder(torch.rand(2, 1, *size))
    maps.float().mean(dim=(2, 3, 4)).mul(torch.randn(2, encoder.out_dim)).sum().backward()

    assert len(calls) == sum(isinstance(module, nn.Conv3d) for module in encoder.modules())
    for conv, volume, stride, out in calls:
        expected = grad.conv3d_weight(
            volume.detach().double(),
            conv.weight.shape,
            out.grad.double(),
            stride,
            conv.padding,
            conv.dilation,
            conv.groups,
        )
        error = (conv.weight.grad - expected).norm() / expected.norm().clamp_min(1e-30)
        assert error < 0.05, f"{tuple(conv.weight.shape)} on {tuple(volume.shape)}: relative error {error:.2g}"
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
