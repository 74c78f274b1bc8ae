"""What encoders promise: sizes, widths, minimum, scripting, normalisation."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from scripts.networks import MonaiResNetEncoder, ResidualEncoder

ENCODERS = [
    ResidualEncoder,
    partial(MonaiResNetEncoder, model="resnet10"),
    partial(MonaiResNetEncoder, model="resnet10", pool_stem=True),
]


@pytest.mark.parametrize("encoder", ENCODERS, ids=["residual", "resnet10", "resnet10 pooled"])
def test_smallest_volume_works_and_a_smaller_one_is_named(encoder):
    encoder = encoder(in_channels=2).eval()
    smallest = encoder.min_size
    assert encoder(torch.rand(1, 2, *smallest)).shape[1] == encoder.out_dim
    too_flat = (smallest[0] - 1, *smallest[1:])
    with pytest.raises(ValueError, match=f"at least {smallest[0]} x .* found {too_flat[0]} x ") as error:
        encoder(torch.rand(1, 2, *too_flat))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        ((28, 28, 28), [(14, 14, 14), (7, 7, 7), (4, 4, 4), (4, 4, 4)]),
        ((8, 96, 96), [(4, 48, 48), (4, 24, 24), (4, 12, 12), (4, 6, 6)]),
        ((3, 5, 4), [(3, 3, 4), (3, 3, 4), (3, 3, 4), (3, 3, 4)]),
    ],
)
def test_residual_encoder_halves_while_three_voxels_are_left(size, sides):
    encoder, found = ResidualEncoder(), []
    for part in (encoder.stem, *encoder.stages):
        part.register_forward_hook(lambda module, args, out: found.append(tuple(out.shape[2:])))
    encoder(torch.rand(1, 1, *size))
    assert found == sides


@pytest.mark.parametrize("encoder", ENCODERS, ids=["residual", "resnet10", "resnet10 pooled"])
def test_one_scripted_encoder_serves_several_sizes(encoder):
    encoder = encoder().eval()
    scripted = torch.jit.script(encoder)
    for size in ((28, 28, 28), (16, 33, 17)):
        volume = torch.rand(2, 1, *size)
        torch.testing.assert_close(scripted(volume), encoder(volume), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("norm", "layer"),
    [
        ("batch", nn.BatchNorm3d),
        (["group", {"num_groups": 8}], nn.GroupNorm),
        (("instance", {"affine": True}), nn.InstanceNorm3d),
    ],
)
def test_residual_encoder_takes_monai_normalisation(norm, layer):
    encoder = ResidualEncoder(norm=norm)
    convolutions = sum(isinstance(module, nn.Conv3d) for module in encoder.modules())
    assert sum(isinstance(module, layer) for module in encoder.modules()) == convolutions


def test_monai_resnet_features_are_those_of_monai():
    from monai.networks.nets import resnet10

    encoder = MonaiResNetEncoder("resnet10", in_channels=1, pool_stem=True).eval()
    monai = resnet10(
        spatial_dims=3, n_input_channels=1, conv1_t_stride=2, bias_downsample=False, feed_forward=False
    ).eval()
    missing = monai.load_state_dict(encoder.net.state_dict(), strict=True)
    assert not missing.missing_keys
    volume = torch.rand(2, 1, 33, 24, 40)
    torch.testing.assert_close(encoder(volume).mean(dim=(2, 3, 4)), monai(volume))


def test_unknown_resnet_is_named():
    with pytest.raises(ValueError, match=r"resnet10, resnet18.* found 'resnet11'"):
        MonaiResNetEncoder("resnet11")
