# SPDX-License-Identifier: Apache-2.0
"""Class activation maps per phase, for every way in which phases reach an encoder."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.visualize import GradCAMpp
from scripts import build
from scripts.networks.encoders.monai_cnn import (
    MonaiDenseNetEncoder,
    MonaiEfficientNetEncoder,
    MonaiResNetEncoder,
    MonaiSEResNetEncoder,
)
from scripts.networks.encoders.monai_vit import MonaiViTEncoder
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.phase_fusion import PhaseFusionNetwork
from torch import Tensor, nn
from workbench.explain.feature_maps import CellPlaces, EncoderMaps, place_cells
from workbench.explain.occlusion import grad_cam, layer_cam

from .conftest import FUSIONS

ALL = torch.tensor([True, True, True])


def fourfold(size):
    """Cells 4 voxels apart, the first on the first voxel."""
    return lambda maps: place_cells(maps, size, [0.0] * 3, [4.0] * 3)


@pytest.fixture(params=[layer_cam, grad_cam])
def activation_map(request):
    return request.param


@pytest.mark.parametrize("fusion", [name for name in FUSIONS if name != "table"])
def test_every_strategy_has_maps_from_0_to_1(network, image, fusion, activation_map):
    clinical = torch.tensor([50.0, 0.0]) if fusion in ("film", "daft") else None
    heat = activation_map(network(fusion), image, ALL, 1, clinical)
    assert heat.shape == image.shape
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)
    assert torch.equal(heat, activation_map(network(fusion), image, ALL, 1, clinical))


@pytest.mark.parametrize("encoder", ["residual", "resnet10", "resnet18"])
def test_one_encoder_per_phase_gives_the_maps_of_a_shared_one_with_the_same_weights(
    network, image, encoder, activation_map
):
    shared = network("concat", encoder)
    separate = network("concat", encoder, share=False)
    for part in separate.encoder:
        part.load_state_dict(shared.encoder.state_dict())
    for name in ("fusion", "head"):
        getattr(separate, name).load_state_dict(getattr(shared, name).state_dict())
    with torch.backends.mkldnn.flags(enabled=False):  # whose sums depend on the size of the batch
        found, apart = (activation_map(net, image, ALL, 0) for net in (shared, separate))
    torch.testing.assert_close(found, apart, rtol=0, atol=5e-4)
    assert (found[0] - found[1]).abs().max() > 1e-3  # each phase has its own


def test_an_encoder_called_phase_by_phase_gives_the_same_maps(network, image, activation_map):
    """`film` calls one encoder three times; without a table it is `concat`."""
    film = network("film")
    plain = PhaseFusionNetwork(film.encoder, film.fusion, 3, 3).eval()
    plain.head.load_state_dict(film.head.state_dict())
    torch.testing.assert_close(
        activation_map(film, image, ALL, 2), activation_map(plain, image, ALL, 2), rtol=0, atol=1e-5
    )


def test_phases_read_together_share_one_map_and_a_single_phase_keeps_its_own(network, image, activation_map):
    heat = activation_map(network("early"), image, ALL, 1)
    assert torch.equal(heat[0], heat[1])
    single = network("single")
    heat = activation_map(single, image, ALL, 1)
    assert [bool(part.any()) for part in heat] == [phase == single.index for phase in range(3)]


def test_an_absent_phase_has_no_heat_and_no_influence(network, image, activation_map):
    present = torch.tensor([True, False, True])
    heat = activation_map(network("concat"), image, present, 1)
    assert not heat[1].any()
    image[1] = torch.nan
    assert torch.equal(heat, activation_map(network("concat"), image, present, 1))


def test_a_number_added_to_all_logits_changes_no_map(network, image, activation_map):
    net = network("concat")
    before = activation_map(net, image, ALL, 1)
    shifted = copy.deepcopy(net)
    with torch.no_grad():
        shifted.head.bias += 2.0
        shifted.head.weight += torch.randn(1, shifted.head.in_features) * 0.05  # one number per case, to all
    torch.testing.assert_close(before, activation_map(shifted, image, ALL, 1), rtol=0, atol=1e-4)


class BrightPortal(nn.Module):
    """Speaks for class 1 as much as the portal phase is bright; its encoder halves volumes twice."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.AvgPool3d(4)

    def forward(self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        maps = self.encoder(image.flatten(0, 1).unsqueeze(1)).reshape(len(image), 3, -1)
        brightness = 4 * maps[:, 2].mean(dim=1)
        return torch.stack([-brightness, brightness], dim=1)


def test_heat_lies_where_the_evidence_was_planted(activation_map):
    """A bright block lies in one corner of each phase, and counts in the portal phase only."""
    image = torch.zeros(3, 16, 16, 16)
    image[:, 12:, :4, 4:8] = 1
    heat = activation_map(BrightPortal().eval(), image, ALL, 1)
    assert not heat[:2].any()
    d, h, w = torch.unravel_index(heat[2].argmax(), heat[2].shape)
    assert d >= 12
    assert h < 4
    assert 4 <= w < 8


@pytest.mark.parametrize("encoder", ["residual", "resnet10"])
def test_heat_lies_where_the_signal_is_and_not_half_a_cell_beside_it(encoder):
    """The centre of the heat of a bright blob, over random networks and positions, in voxels."""
    steps = torch.stack(torch.meshgrid(*[torch.arange(32.0)] * 3, indexing="ij"), dim=-1)
    off = []
    for seed, position in enumerate([(10, 16, 21), (19, 13, 14), (15, 15, 12), (12, 18, 17)]):
        torch.manual_seed(seed)
        net = build(["a", "b"], encoder, "mean").eval()
        blob = torch.exp(-((steps - torch.tensor(position)) ** 2).sum(dim=-1) / 8)
        heat = layer_cam(net, torch.stack([0.5 * blob, blob]), torch.tensor([True, True]), 0)[1]
        off.append((steps * heat[..., None]).sum(dim=(0, 1, 2)) / heat.sum() - torch.tensor(position))
    assert torch.stack(off).mean(dim=0).abs().max() < 0.9  # MONAI's own upsampler is off by more than 1


def test_the_layer_is_the_deepest_with_cells_of_4_voxels_or_less(network):
    cells = {}
    for encoder, size in (("residual", 32), ("resnet18", 32), ("residual", 28)):
        net, seen = network("concat", encoder), torch.rand(1, 3, size, size, size)
        _, (maps,), (gradients,) = EncoderMaps(net)(seen, class_idx=0)
        cells[encoder, size] = (list(maps.shape), maps.shape == gradients.shape)
    assert cells == {
        ("residual", 32): ([3, 32, 8, 8, 8], True),
        ("resnet18", 32): ([3, 128, 8, 8, 8], True),
        ("residual", 28): ([3, 32, 7, 7, 7], True),
    }


def test_a_frozen_network_has_maps_too_and_gathers_no_gradients(network, image):
    net = network("concat").requires_grad_(False)
    frozen = layer_cam(net, image, ALL, 1)
    assert torch.equal(frozen, layer_cam(network("concat"), image, ALL, 1))
    loose = network("concat")
    layer_cam(loose, image, ALL, 1)
    assert all(parameter.grad is None for parameter in loose.parameters())


ALIGNED = {
    "residual": 32, "resnet10": 32, "resnet18": 28, "densenet121": 32, "efficientnet": 32, "vit": 34,
    "resnet50": 30, "seresnet50": 32,
}  # fmt: skip
SLOW = ("resnet18", "resnet50", "seresnet50")


def plain(encoder: nn.Module) -> nn.Module:
    """Let every layer that looks around itself average: equal weights, and means in the place of maxima."""
    for part in list(encoder.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.MaxPool3d):
                setattr(part, name, nn.AvgPool3d(child.kernel_size, child.stride, child.padding))
    for part in encoder.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return encoder.eval()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in ALIGNED]
)
@pytest.mark.parametrize("pooled", [False, True])
def test_cells_lie_in_the_middle_of_what_they_read(name, pooled):
    """The voxels that move a cell, weighed by how much, have their centre where the cell is placed."""
    makers = {
        "residual": ResidualEncoder, "densenet121": MonaiDenseNetEncoder, "vit": MonaiViTEncoder,
        "efficientnet": MonaiEfficientNetEncoder, "seresnet50": MonaiSEResNetEncoder,
    }  # fmt: skip
    takes = name in ("densenet121", "resnet10", "seresnet50")
    if pooled and not takes:
        pytest.skip("has no pooling in its stem")
    options = {"pool_stem": True} if pooled else {}
    if name == "vit":
        pytest.importorskip("einops")
    maker = makers.get(name) or (lambda **given: MonaiResNetEncoder(model=name, **given))
    torch.manual_seed(0)
    encoder = plain(maker(in_channels=1, **options))
    size = ALIGNED[name] * (2 if pooled and name == "densenet121" else 1)
    places, kept = CellPlaces([size] * 3), []
    handles = places.follow([encoder])
    for part in encoder.modules():
        handles.append(part.register_forward_hook(lambda _, __, output: kept.append(output)))
    image = torch.ones(1, 1, size, size, size, requires_grad=True)
    encoder(image)
    for handle in handles:
        handle.remove()
    seen = set()
    for maps in kept:
        cubic = isinstance(maps, Tensor) and maps.dim() == 5 and len(set(maps.shape[2:])) == 1
        cells = maps.shape[-1] if cubic else 1
        if cells < 4 or cells == size or cells in seen:
            continue
        seen.add(cells)
        (first, *_), (step, *_) = places.of(maps.shape[2:])
        i = cells // 2
        (reach,) = torch.autograd.grad(maps[0, :, i, i, i].sum(), image, retain_graph=True)
        weight = reach[0, 0].abs()
        centre = (weight.sum(dim=(1, 2)) * torch.arange(size)).sum() / weight.sum()
        assert abs(float(centre) - (first + step * i)) < 0.1 * step, (cells, centre, first, step)
    assert seen


@pytest.mark.parametrize("encoder", ["residual", "resnet10", "densenet121", "efficientnet", "vit"])
def test_heat_of_every_encoder_lies_where_its_cells_are(encoder):
    """Heat in one cell, by the gradient alone: its middle is that of the cell, to less than half of one."""
    if encoder == "vit":
        pytest.importorskip("einops")
    torch.manual_seed(0)
    net = build(["a", "b"], encoder, "mean").eval()
    maps = EncoderMaps(net)
    _, (found,), _ = maps(torch.rand(1, 2, 32, 32, 32), class_idx=0)
    first, step = maps.places.of(found.shape[2:])
    assert set(step) == {4.0}
    assert set(first) == {{"densenet121": 1.0, "vit": 1.5}.get(encoder, 0.0)}
    heat = torch.zeros_like(found[:, :1])
    heat[..., 3, 4, 5] = 1
    shown = maps.upsampler([32, 32, 32])(heat)[1, 0]
    for axis, cell in enumerate((3, 4, 5)):
        line = shown.sum(dim=[other for other in range(3) if other != axis])
        middle = float((line * torch.arange(32)).sum() / line.sum())
        assert middle == pytest.approx(first[axis] + 4 * cell, abs=0.3)


def test_of_planes_beside_the_volume_the_heat_is_the_volumes():
    torch.manual_seed(0)
    net = build(["a", "b"], "residual", "mean", views=["volume", "axial"], slices=0, plane_encoder="residual_plane")
    image = torch.zeros(2, 16, 16, 16)
    image[0, 12:, 4:8, 8:12] = 1
    found = EncoderMaps(net.eval())(image[None], class_idx=0)[1][0]
    assert list(found.shape) == [2, 128, 4, 4, 4]
    assert layer_cam(net.eval(), image, torch.tensor([True, True]), 0).max() == pytest.approx(1)


def test_the_map_is_that_of_monai_where_monai_can_make_it(network):
    """One map for all phases, by MONAI's own hooks, of the same log odds, normalised in the same way."""
    net, image = network("early"), torch.rand(3, 32, 32, 32)

    class Odds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            logits = self.net(x)
            return logits[:, 1:2] - logits[:, [0, 2]].logsumexp(dim=1, keepdim=True)

    visualiser = GradCAMpp(Odds().eval(), "net.encoder.stages.0", upsampler=fourfold, postprocessing=lambda heat: heat)
    reference = visualiser(image[None], class_idx=0)[0, 0].detach()
    torch.testing.assert_close(grad_cam(net, image, ALL, 1)[0], reference / reference.max(), rtol=0, atol=1e-4)


def test_layer_cam_is_its_formula(network):
    net, image = network("gated"), torch.rand(3, 32, 32, 32)
    kept = []
    hook = net.encoder.stages[0].register_forward_hook(lambda m, i, output: kept.append(output))
    logits = net(image[None], present=ALL[None])[0]
    hook.remove()
    odds = logits.softmax(dim=0)[2].logit()
    (gradient,) = torch.autograd.grad(odds, kept)
    heat = fourfold(image.shape[1:])((gradient.relu() * kept[0]).sum(dim=1, keepdim=True).relu())
    expected = (heat[:, 0] / heat.max()).detach()
    torch.testing.assert_close(layer_cam(net, image, ALL, 2), expected, rtol=0, atol=1e-4)


def test_a_network_without_encoder_is_refused(network, image):
    with pytest.raises(ValueError, match="heat maps need a network that reads images, found TableNetwork"):
        layer_cam(network("table"), image, ALL, 0)
