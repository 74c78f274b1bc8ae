# SPDX-License-Identifier: Apache-2.0
"""What encoders promise: sizes, widths, minimum, scripting, normalisation."""

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
from scripts.networks.encoders.residual import ResidualEncoder
from torch import nn

ENCODERS = [
    pytest.param(ResidualEncoder, id="residual"),
    pytest.param(partial(MonaiResNetEncoder, model="resnet10"), id="resnet10"),
    pytest.param(partial(MonaiResNetEncoder, model="resnet10", pool_stem=True), id="resnet10 pooled"),
    pytest.param(MonaiViTEncoder, id="vit", marks=pytest.mark.slow),
    pytest.param(MonaiEfficientNetEncoder, id="efficientnet", marks=pytest.mark.slow),
    pytest.param(MonaiDenseNetEncoder, id="densenet121", marks=pytest.mark.slow),
    pytest.param(MonaiSEResNetEncoder, id="seresnet50", marks=pytest.mark.slow),
    pytest.param(partial(MonaiResNetEncoder, model="resnet34"), id="resnet34", marks=pytest.mark.slow),
    pytest.param(partial(MonaiResNetEncoder, model="resnet50"), id="resnet50", marks=pytest.mark.slow),
]


@pytest.fixture(params=ENCODERS)
def encoder(request):
    if request.param is MonaiViTEncoder:
        pytest.importorskip("einops")
    return request.param


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


@torch.no_grad()
def test_residual_encoder_of_planes_is_that_of_volumes_whose_kernels_stay_within_a_plane():
    torch.manual_seed(0)
    flat, deep = ResidualEncoder(spatial_dims=2).eval(), ResidualEncoder().eval()
    state = flat.state_dict()
    for name, weight in deep.state_dict().items():
        if weight.dim() == 5:
            weight.zero_()[:, :, weight.shape[2] // 2] = state[name]
        else:
            weight.copy_(state[name])
    plane = torch.rand(2, 1, 28, 21)
    found = deep(plane[:, :, None].expand(-1, -1, 3, -1, -1))  # three slices are kept as three
    torch.testing.assert_close(found, flat(plane)[:, :, None].expand_as(found), atol=1e-5, rtol=1e-5)


def test_residual_encoder_of_planes_scripts_and_names_its_least_size():
    encoder = ResidualEncoder(spatial_dims=2).eval()
    scripted = torch.jit.script(encoder)
    for size in ((28, 28), (3, 17)):
        plane = torch.rand(2, 1, *size)
        torch.testing.assert_close(scripted(plane), encoder(plane), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"at least 3 x 3 .* found 2 x 9"):
        encoder(torch.rand(1, 1, 2, 9))
    with pytest.raises(ValueError, match="spatial_dims must be 3 for volumes or 2 for planes, found 1"):
        ResidualEncoder(spatial_dims=1)


def test_one_scripted_encoder_serves_several_sizes(encoder):
    encoder = encoder().eval()
    scripted = torch.jit.script(encoder)
    for size in ((28, 28, 28), (16, 33, 17)):
        volume = torch.rand(2, 1, *size)
        expected = encoder(volume)
        torch.testing.assert_close(scripted(volume), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(scripted.stage_maps(volume)[-1], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_stages_go_from_fine_to_coarse_and_end_with_the_output(encoder):
    encoder, volume = encoder(in_channels=1).eval(), torch.rand(1, 1, 32, 32, 32)
    stages = encoder.stage_maps(volume)
    sides = [maps.shape[2] for maps in stages]
    assert sides == sorted(sides, reverse=True)
    assert len(stages) >= 3
    assert torch.equal(stages[-1], encoder(volume))


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


@torch.no_grad()
def test_monai_densenet_features_are_those_of_monai():
    from monai.networks.nets import DenseNet121

    encoder = MonaiDenseNetEncoder(pool_stem=True).eval()
    monai = DenseNet121(spatial_dims=3, in_channels=1, out_channels=1).eval()
    monai.features.load_state_dict(encoder.net.state_dict(), strict=True)
    volume = torch.rand(1, 1, 33, 32, 40)
    torch.testing.assert_close(encoder(volume), monai.features(volume).relu())


@torch.no_grad()
def test_monai_seresnet_features_are_those_of_monai():
    from monai.networks.nets import SEResNet50

    encoder = MonaiSEResNetEncoder(pool_stem=True).eval()
    monai = SEResNet50(spatial_dims=3, in_channels=1, num_classes=1).eval()
    assert not monai.load_state_dict(encoder.net.state_dict(), strict=False).unexpected_keys
    volume = torch.rand(1, 1, 33, 24, 40)
    torch.testing.assert_close(encoder(volume), monai.features(volume))


@torch.no_grad()
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_monai_efficientnet_features_are_those_of_monai_where_sizes_are_odd(spatial_dims):
    """65 voxels become 33, 17, 9, 5 and 3: there MONAI's padding is symmetric, too."""
    from monai.networks.nets.efficientnet import EfficientNet

    encoder = MonaiEfficientNetEncoder(spatial_dims=spatial_dims).eval()
    blocks = ["r1_k3_s11_e1_i32_o16_se0.25", "r2_k3_s22_e6_i16_o24_se0.25", "r2_k5_s22_e6_i24_o40_se0.25",
              "r3_k3_s22_e6_i40_o80_se0.25", "r3_k5_s11_e6_i80_o112_se0.25", "r4_k5_s22_e6_i112_o192_se0.25",
              "r1_k3_s11_e6_i192_o320_se0.25"]  # fmt: skip
    monai = EfficientNet(blocks, spatial_dims=spatial_dims, in_channels=1, num_classes=1, image_size=65).eval()
    assert not monai.load_state_dict(encoder.net.state_dict(), strict=False).unexpected_keys
    image = torch.rand(1, 1, *([65] * spatial_dims))
    found = []
    monai._avg_pooling.register_forward_hook(lambda _, inputs, __: found.append(inputs[0]))
    monai(image)
    torch.testing.assert_close(encoder(image), found[0])


@torch.no_grad()
def test_monai_vit_tokens_are_those_of_monai_on_its_own_grid():
    pytest.importorskip("einops")
    encoder = MonaiViTEncoder(num_layers=2, base_grid=(4, 4, 4)).eval()
    volume = torch.rand(2, 1, 16, 16, 16)
    torch.testing.assert_close(encoder(volume).flatten(2).transpose(1, 2), encoder.net(volume)[0])


def test_unknown_resnet_is_named():
    with pytest.raises(ValueError, match=r"resnet10, resnet18.* found 'resnet11'"):
        MonaiResNetEncoder("resnet11")
