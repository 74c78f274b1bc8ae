# SPDX-License-Identifier: Apache-2.0
"""Phases read in several views: one token each, absent with their phase, named wherever they are weighed."""

from __future__ import annotations

import copy
import io
from functools import partial
from pathlib import Path

import pytest
import scripts
import torch
from scripts.networks.encoders.monai_cnn import MonaiResNetEncoder
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.encoders.views import ViewEncoder, fold, token_names, unfold
from scripts.transforms.views import GivenViews, SliceViews
from torch import nn

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
PHASES = ["pre", "arterial", "portal"]
THREE = ["axial", "coronal", "sagittal"]
PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0]], dtype=torch.bool)
RESNET10 = {"_target_": "scripts.networks.encoders.MonaiResNetEncoder", "model": "resnet10", "spatial_dims": 2}
SMALL = partial(MonaiResNetEncoder, model="resnet10", spatial_dims=2)
STRATEGIES = ["concat", "late_mean", "early", "single", "se", "multi_level"]
OTHERS = [
    path.stem
    for path in sorted((CONFIGS / "fusion").glob("*.yaml"))
    if path.stem not in (*STRATEGIES, "film", "daft", "table")
]


def images(filler: float = 0.0) -> torch.Tensor:
    torch.manual_seed(1)
    image = torch.rand(4, 3, 16, 17, 16)
    image[~PRESENT] = filler
    return image


def build(fusion: str, views=THREE, **options) -> nn.Module:
    torch.manual_seed(0)
    return scripts.build(PHASES, fusion=fusion, views=views, plane_encoder=RESNET10, dropout=0.0, **options)


@pytest.mark.parametrize("fusion", [*STRATEGIES, *(pytest.param(f, marks=pytest.mark.slow) for f in OTHERS)])
def test_every_strategy_reads_views_and_a_view_of_an_absent_phase_is_absent(fusion):
    made = build(fusion).train()
    state, found = copy.deepcopy(made.state_dict()), []
    for filler in (0.0, float("nan")):
        made.load_state_dict(state)
        made.zero_grad()
        outputs = made(images(filler), present=PRESENT)
        outputs["logits"].square().sum().backward()
        found.append([outputs["logits"], *(p.grad.clone() for p in made.parameters() if p.grad is not None)])
    for expected, other in zip(*found, strict=True):
        assert expected.isfinite().all()
        assert torch.equal(expected, other)
    by_view = PRESENT.repeat_interleave(3, dim=1)
    assert torch.equal(outputs["present"], by_view)
    made.eval()
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(made), buffer)
    buffer.seek(0)
    expected = made(images())
    torch.testing.assert_close(
        torch.jit.load(buffer)(images(float("nan")), None, PRESENT), expected, atol=1e-5, rtol=1e-5
    )
    alone = torch.cat([made(images()[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(alone, expected, atol=1e-5, rtol=1e-5)


def test_tokens_are_those_of_each_plane_read_alone():
    made = build("concat").eval()
    image = torch.rand(2, 3, 16, 16, 16)
    tokens = made.tokens(image, torch.ones(2, 9, dtype=torch.bool))
    planes = {"axial": image[..., 7], "coronal": image[:, :, :, 7], "sagittal": image[:, :, 7]}
    for number, name in enumerate(token_names(PHASES, THREE)):
        phase, view = name.split()
        one = planes[view][:, PHASES.index(phase)]
        expected = made.encoder.planes(one[:, None]).mean(dim=(2, 3))
        torch.testing.assert_close(tokens[:, number], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_all_slices_are_pooled(pooling):
    torch.manual_seed(0)
    encoder = ViewEncoder(SliceViews(["axial"], slices=0), SMALL, slice_pooling=pooling).eval()
    volume = torch.rand(2, 1, 16, 16, 5)
    each = torch.stack([encoder.planes(volume[..., s]) for s in range(5)])
    expected = each.mean(dim=0) if pooling == "mean" else each.amax(dim=0)
    torch.testing.assert_close(encoder(volume)[0].mean(dim=2), expected, atol=1e-5, rtol=1e-5)


def test_folding_undoes_itself():
    planes = [torch.rand(2, 3, 4, 5, 5), torch.rand(2, 3, 1, 5, 5)]
    for one, other in zip(unfold(fold(planes), planes), planes, strict=True):
        assert torch.equal(one, other)


def test_views_share_an_encoder_or_have_their_own():
    assert isinstance(build("concat").encoder.planes, MonaiResNetEncoder)
    separate = build("concat", share_views=False).encoder.planes
    assert len(separate) == 3
    assert not torch.equal(separate[0].net.conv1.weight, separate[1].net.conv1.weight)
    grid = build("concat", share_views=False, share_encoder=False).encoder
    assert [len(phase.planes) for phase in grid] == [3, 3, 3]


def test_the_whole_volume_is_one_more_view_brought_to_one_width():
    made = build("concat", views=["volume", "axial"])
    assert isinstance(made.encoder.volume, ResidualEncoder)
    assert made.token_dim == made.encoder.volume.out_dim == 128
    maps = made.eval().encoder(torch.rand(2, 1, 16, 16, 16))
    assert [one.shape[1] for one in maps] == [128, 128]
    assert made.tokens(torch.rand(2, 3, 16, 16, 16), torch.ones(2, 6, dtype=torch.bool)).shape == (2, 6, 128)
    with pytest.raises(ValueError, match="take `volume` out"):
        build("multi_level", views=["volume", "axial"])


@pytest.mark.parametrize("training", [True, False])
def test_maps_brought_to_one_width_are_float32_in_mixed_precision(training):
    made = build("adaptive_conv", views=["volume", "axial"]).train(training)
    with torch.autocast("cpu", torch.bfloat16):
        found = made(images(), present=PRESENT)
    assert (found["logits"] if training else found).dtype is torch.float32


def test_normalisation_statistics_come_from_the_planes_of_present_phases_only():
    made, alone = build("concat").train(), build("concat").train().encoder
    made(images(float("nan")), present=PRESENT)
    shown = images().flatten(0, 1)[PRESENT.flatten()].unsqueeze(1)
    alone.planes(fold(alone.slicer(shown)))
    for found, expected in zip(made.encoder.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(found, expected)


def test_images_of_planes_may_lack_a_view_of_a_phase():
    torch.manual_seed(0)
    reader = partial(ViewEncoder, GivenViews(THREE), SMALL)
    made = scripts.networks.PhaseFusionNetwork(reader, scripts.networks.fusion.Gated, num_phases=2, num_classes=2)
    image = torch.rand(3, 6, 1, 16, 16)
    image[1, 4] = 0  # the coronal view of the second phase
    image[2, :3] = float("nan")
    present = torch.tensor([[1, 1], [1, 1], [0, 1]], dtype=torch.bool)
    outputs = made.train()(image, present=present)
    expected = torch.ones(3, 6, dtype=torch.bool)
    expected[1, 4], expected[2, :3] = False, False
    assert torch.equal(outputs["present"], expected)
    assert torch.equal(outputs["weights"] > 0, expected)
    made.eval()
    torch.testing.assert_close(made(image, present=expected), made(image, present=present))
    with pytest.raises(ValueError, match=r"built for images \[B, 6, D, H, W\], found shape \[3, 5, "):
        made(image[:, :5])


def test_names_follow_the_order_of_the_tokens():
    assert token_names(["pre", "portal"], []) == ["pre", "portal"]
    assert token_names(["pre", "portal"], ["axial", "volume"]) == [
        "pre volume", "pre axial", "portal volume", "portal axial",
    ]  # fmt: skip
    encoder = ViewEncoder(SliceViews(["axial", "volume"]), SMALL, volume_encoder=ResidualEncoder)
    assert encoder.views == ["volume", "axial"]


def test_three_resnet18_side_by_side():
    """The published model: sigmoid of three towers' 512 features each, then one linear layer."""
    from monai.bundle import ConfigParser
    from monai.networks.nets import resnet18

    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml"])
    parser.update(parser.load_config_file(CONFIGS / "views" / "three_resnet18.yaml"))
    parser.update({"phases": ["mask"], "dropout": 0.0})
    torch.manual_seed(0)
    made = parser.get_parsed_content("network_def").eval()
    volume = torch.rand(2, 1, 32, 32, 32)
    planes = [volume[..., 15], volume[:, :, :, 15], volume[:, :, 15]]
    features = []
    for tower, plane in zip(made.encoder.planes, planes, strict=True):
        monai = resnet18(
            spatial_dims=2, n_input_channels=1, feed_forward=False, bias_downsample=False, conv1_t_stride=2
        )
        monai.load_state_dict(tower.net.state_dict())
        features.append(monai.eval()(plane))
    assert made.head.weight.shape == (2, 3 * 512)
    expected = made.head(torch.cat(features, dim=1).sigmoid())
    torch.testing.assert_close(made(volume), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("views", sorted(path.stem for path in (CONFIGS / "views").glob("*.yaml")))
def test_every_fragment_builds_a_network_of_its_views(views):
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml"])
    parser.update(parser.load_config_file(CONFIGS / "views" / f"{views}.yaml"))
    made = parser.get_parsed_content("network_def")
    assert made.encoder.views == parser["views"]
    assert made.num_tokens == 3 * len(parser["views"])
