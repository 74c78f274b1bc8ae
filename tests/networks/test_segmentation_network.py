# SPDX-License-Identifier: Apache-2.0
"""The contract of networks that outline: every fusion over maps, every decoder, phases as channels."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from scripts.engines.network import load_trained
from scripts.losses.outline_loss import OutlineLoss
from scripts.networks.early_segmentation_network import EarlySegmentationNetwork
from scripts.networks.encoders.monai_cnn import MonaiResNetEncoder
from scripts.networks.encoders.planned_encoder import PlannedEncoder
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.encoders.views import reader
from scripts.networks.fusion.maps import AdaptiveConv
from scripts.networks.outline_decoders import DECODERS
from scripts.networks.segmentation_network import SegmentationNetwork
from scripts.transforms.views import SliceViews
from torch import Tensor, nn

from tests.networks.fusion.test_map_contract import STRATEGIES

P, S = 3, 2
PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
SIZE = (13, 16, 11)


def planned(patch=(16, 16, 16), spacing=(1.0, 1.0, 1.0)):
    return partial(PlannedEncoder, widths=(4, 8, 8), patch_size=patch, spacing=spacing)


def fused(**options) -> nn.Module:
    torch.manual_seed(0)
    arguments = {"encoder": planned(), "fusion": AdaptiveConv, "num_phases": P, "num_structures": S, "width": 8}
    return SegmentationNetwork(**arguments | {"patch_size": (16, 16, 16)} | options)


def early(**options) -> nn.Module:
    torch.manual_seed(0)
    arguments = {"num_phases": P, "num_structures": S, "width": 4, "patch_size": (16, 16, 16)}
    return EarlySegmentationNetwork(**arguments | options)


coarse = partial(ResidualEncoder, widths=(4, 8))
VARIANTS = {
    **{f"{one.__name__}": partial(fused, fusion=one, num_masks=P) for one in STRATEGIES},
    **{f"{decoder}": partial(fused, decoder=decoder) for decoder in DECODERS},
    **{f"{decoder} per phase": partial(fused, decoder=decoder, num_masks=P, encoder=coarse) for decoder in DECODERS},
    "separate": partial(fused, share_encoder=False, num_masks=P),
    "early": early,
    "early per phase": partial(early, num_masks=P),
}


@pytest.fixture(params=VARIANTS)
def network(request) -> nn.Module:
    return VARIANTS[request.param](deep_supervision=True)


def images(filler: float = 0.0, size=SIZE) -> Tensor:
    """Three cases, whose absent phases hold `filler`."""
    image = torch.rand(3, P, *size, generator=torch.Generator().manual_seed(1))
    image[~PRESENT] = filler
    return image


def targets(network: nn.Module, size=SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(S + 1, (3, network.num_masks, *size), generator=generator).byte()


def trained(network: nn.Module, filler: float) -> tuple[dict, dict[str, Tensor]]:
    """Return what a training step sees and the gradients that it leaves."""
    network = copy.deepcopy(network).train()
    outputs = network(images(filler), present=PRESENT)
    OutlineLoss(S)(outputs, targets(network)).backward()
    return outputs, {name: one.grad for name, one in network.named_parameters()}


def test_what_an_absent_phase_holds_changes_nothing(network):
    outputs, gradients = trained(network, 0.0)
    logits = network.eval()(images(), present=PRESENT)
    assert logits.isfinite().all()
    for filler in (5.0, float("nan")):
        other_outputs, other_gradients = trained(network, filler)
        assert torch.equal(outputs["logits"], other_outputs["logits"])
        assert all(torch.equal(a, b) for a, b in zip(outputs["levels"], other_outputs["levels"], strict=True))
        assert all(torch.equal(gradients[name], other_gradients[name]) for name in gradients)
        assert torch.equal(logits, network(images(filler), present=PRESENT))
    assert torch.equal(logits, network(images()))  # zeros are absent


def test_every_parameter_learns(network):
    gradients = trained(network, 0.0)[1]
    assert not [name for name, one in gradients.items() if one is None or not one.abs().sum() > 0]


def test_cases_do_not_influence_each_other(network):
    network.eval()
    together = network(images(), present=PRESENT)
    alone = [network(images()[i : i + 1], present=PRESENT[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_the_logits_lie_on_the_voxels_of_the_image_mask_by_mask(network):
    outputs = network.train()(images(), present=PRESENT)
    channels = network.num_masks * (S + 1)
    assert outputs["logits"].shape == (3, channels, *SIZE)
    assert outputs["logits"].dtype == torch.float32
    assert all(level.shape[:2] == (3, channels) for level in outputs["levels"])
    sizes = [max(level.shape[2:]) for level in [outputs["logits"], *outputs["levels"]]]
    assert sizes == sorted(set(sizes), reverse=True)


def test_weights_of_deep_supervision_load_strictly_and_the_rest_scripts_and_traces(network, request, tmp_path):
    plain = VARIANTS[request.node.callspec.params["network"]]().eval()
    added = set(network.state_dict()) - set(plain.state_dict())
    assert added
    assert all(name.startswith("supervision.") for name in added)
    plain.load_state_dict(network.state_dict())
    logits = network.eval()(images(), present=PRESENT)
    assert torch.equal(plain(images(), present=PRESENT), logits)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    load_trained(plain, tmp_path / "model.pt")
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    with pytest.raises(ValueError, match=r"supervision.* is missing"):
        load_trained(network, tmp_path / "plain.pt")
    scripted = torch.jit.script(plain)
    torch.testing.assert_close(scripted(images(), None, PRESENT), logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(scripted(images()), logits, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        traced = torch.jit.trace(plain, images(), check_trace=False)
        torch.testing.assert_close(traced(images()), logits, atol=1e-5, rtol=1e-4)


def test_one_row_of_presence_serves_all_windows_of_a_case(network):
    network.eval()
    image = torch.rand(3, P, *SIZE)
    row = torch.tensor([[True, False, True]])
    assert torch.equal(network(image, present=row), network(image, present=row.expand(3, -1)))


FLAT = [((32, 32, 1), (1.0, 1.0, 8.0)), ((32, 32, 4), (1.0, 1.0, 6.0)), ((4, 24, 24), (5.0, 1.0, 1.0))]


@pytest.mark.parametrize(("size", "spacing"), FLAT, ids=str)
@pytest.mark.parametrize("decoder", [*DECODERS, "early"])
def test_thick_slices_and_single_ones_are_outlined(decoder, size, spacing):
    grid = {"patch_size": size, "spacing": spacing}
    network = early(**grid) if decoder == "early" else fused(encoder=planned(size, spacing), decoder=decoder, **grid)
    flat = [conv.kernel_size for conv in network.modules() if isinstance(conv, nn.Conv3d) and max(conv.kernel_size) > 1]
    thin = size.index(min(size))
    assert all(kernel[thin] == 1 for kernel in flat) if min(size) == 1 else any(kernel[thin] == 1 for kernel in flat)
    outputs = network.train()(images(size=size), present=PRESENT)
    OutlineLoss(S)(outputs, targets(network, size)).backward()
    assert outputs["logits"].shape[2:] == size
    assert all(one.grad.isfinite().all() for one in network.parameters())


def test_a_single_slice_is_read_in_two_dimensions():
    size = (24, 24, 1)
    network = fused(encoder=planned(size, (1, 1, 5)), patch_size=size, spacing=(1, 1, 5)).eval()
    slices = torch.rand(2, P, *size)
    both = network(torch.cat([slices[:1], slices[1:]], dim=4))
    assert both.shape[2:] == (24, 24, 2)
    assert all(one.kernel_size[2] == 1 for one in network.modules() if isinstance(one, nn.Conv3d))


def test_bfloat16_trains_on_flat_and_odd_sizes():
    for size in [(13, 16, 11), (32, 32, 1), (24, 24, 3)]:
        grid = {"patch_size": size, "spacing": (1.0, 1.0, 1.0)}
        for network in (fused(encoder=planned(size), num_masks=P, deep_supervision=True, **grid), early(**grid)):
            with torch.autocast("cpu", torch.bfloat16):
                outputs = network.train()(images(float("nan"), size), present=PRESENT)
            OutlineLoss(S)(outputs, targets(network, size)).backward()
            assert outputs["logits"].dtype == torch.float32
            norms = torch.stack([one.grad.norm() for one in network.parameters()])
            assert norms.isfinite().all()
            assert norms.max() < 1e3


def test_a_stem_sees_the_voxels_where_the_encoder_starts_coarser():
    with_stem, without = fused(encoder=coarse), fused()
    assert with_stem.encoder.encoder.stem[0].out_channels == 8
    assert not hasattr(without.encoder.encoder, "stem")
    resnet = fused(encoder=partial(MonaiResNetEncoder, model="resnet10"), stem_dim=4, fusion=AdaptiveConv).eval()
    assert resnet(images()).shape[2:] == SIZE
    image = images().requires_grad_()
    one = with_stem.eval()(image, present=PRESENT)[0, 1, 6, 8, 5]
    assert torch.autograd.grad(one, image)[0][0, :, 6, 8, 5].abs().min() > 0


def test_each_phase_has_a_mask_that_knows_its_own_maps():
    network = fused(num_masks=P).eval()
    image = torch.rand(1, P, *SIZE)
    swapped = network(image[:, [1, 0, 2]], present=torch.ones(1, P))
    assert not torch.allclose(*network(image).unflatten(1, (P, S + 1))[0, :2])
    seen = []
    network.decoder.register_forward_hook(lambda module, given, _: seen.append(given[0]))
    network(image)
    own = network.encoder.encoder.stage_maps(image.transpose(0, 1))
    torch.testing.assert_close(seen[0][0][:, network.fusions[1].out_dim :], own[1])
    assert swapped.shape == (1, P * (S + 1), *SIZE)


@pytest.mark.parametrize("size", [(16, 16, 16), (16, 16, 1)])
def test_a_batch_of_nothing_but_air_does_not_stop_a_training(size):
    network = fused(encoder=planned(size), patch_size=size, num_masks=P, deep_supervision=True).train()
    outputs = network(torch.zeros(1, P, *size))
    assert outputs["logits"].shape[2:] == size
    OutlineLoss(S)(outputs, targets(network, size)[:1]).backward()
    assert outputs["logits"].isfinite().all()


MISTAKES = {
    "decoder must be one of unet, pyramid, deeplab, found 'fpn'": {"decoder": "fpn"},
    "num_masks must be 1 or the number of phases, 3, .*found 2": {"num_masks": 2},
    "num_structures 1 or more, found 1 and 0": {"num_structures": 0},
    "needs a `fusion`, found none": {"fusion": None},
    "encoder with stages": {"encoder": lambda in_channels: nn.Conv3d(in_channels, 4, 3)},
    "two stages or more, found one": {"encoder": partial(PlannedEncoder, widths=(4,))},
    "a multiple of 4, found 6": {"decoder": "deeplab", "width": 6},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_what_cannot_be_built_is_named(message):
    with pytest.raises(ValueError, match=message):
        fused(**MISTAKES[message])


def test_an_encoder_of_planes_is_refused():
    planes = partial(MonaiResNetEncoder, model="resnet10", spatial_dims=2)
    views = reader(coarse, planes, SliceViews(["axial", "coronal"], slices=1))
    with pytest.raises(ValueError, match="encoder of whole volumes, found `views`"):
        fused(encoder=views)


@pytest.mark.parametrize("made", [partial(fused, deep_supervision=True), partial(early, width=8)])
def test_a_ball_of_which_each_phase_shows_half_is_outlined(made):
    axes = torch.meshgrid(*[torch.arange(16.0)] * 3, indexing="ij")
    radius = sum((axis - centre) ** 2 for axis, centre in zip(axes, (7, 8, 6), strict=True)).sqrt()
    ball = radius < 5
    image = torch.stack([ball & (axes[0] < 7), ball & (axes[0] >= 7)]).float()[None]
    image = image + 0.3 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    network, loss = made(num_phases=2, num_structures=1).train(), OutlineLoss(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        loss(network(image), ball[None, None].byte()).backward()
        optimizer.step()
    found = network.eval()(image).argmax(dim=1)[0].bool()
    assert 2 * (found & ball).sum() / (found.sum() + ball.sum()) > 0.9
