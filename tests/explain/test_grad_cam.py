"""Grad-CAM++ per phase, for every way in which phases reach an encoder."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.visualize import GradCAMpp
from torch import Tensor, nn

from scripts.explain import grad_cam
from scripts.networks import PhaseFusionNetwork

from .conftest import FUSIONS

ALL = torch.tensor([True, True, True])


@pytest.mark.parametrize("fusion", [name for name in FUSIONS if name != "table"])
def test_every_strategy_has_maps_from_0_to_1(network, image, fusion):
    clinical = torch.tensor([50.0, 0.0]) if fusion in ("film", "daft") else None
    heat = grad_cam(network(fusion), image, ALL, 1, clinical)
    assert heat.shape == image.shape
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)
    assert torch.equal(heat, grad_cam(network(fusion), image, ALL, 1, clinical))


@pytest.mark.parametrize("encoder", ["residual", "resnet10", "resnet18"])
def test_one_encoder_per_phase_gives_the_maps_of_a_shared_one_with_the_same_weights(network, image, encoder):
    shared = network("concat", encoder)
    separate = network("concat", encoder, share=False)
    for part in separate.encoder:
        part.load_state_dict(shared.encoder.state_dict())
    for name in ("fusion", "head"):
        getattr(separate, name).load_state_dict(getattr(shared, name).state_dict())
    found = grad_cam(shared, image, ALL, 0)
    torch.testing.assert_close(found, grad_cam(separate, image, ALL, 0), rtol=0, atol=1e-5)
    assert (found[0] - found[1]).abs().max() > 1e-3  # each phase has its own


def test_an_encoder_called_phase_by_phase_gives_the_same_maps(network, image):
    """`film` calls one encoder three times; without a table it is `concat`."""
    film = network("film")
    plain = PhaseFusionNetwork(film.encoder, film.fusion, 3, 3).eval()
    plain.head.load_state_dict(film.head.state_dict())
    torch.testing.assert_close(
        grad_cam(film, image, ALL, 2), grad_cam(plain, image, ALL, 2), rtol=0, atol=1e-5
    )


def test_phases_read_together_share_one_map_and_a_single_phase_keeps_its_own(network, image):
    heat = grad_cam(network("early"), image, ALL, 1)
    assert torch.equal(heat[0], heat[1])
    single = network("single")
    heat = grad_cam(single, image, ALL, 1)
    assert [bool(part.any()) for part in heat] == [phase == single.index for phase in range(3)]


def test_an_absent_phase_has_no_heat_and_no_influence(network, image):
    present = torch.tensor([True, False, True])
    heat = grad_cam(network("concat"), image, present, 1)
    assert not heat[1].any()
    image[1] = torch.nan
    assert torch.equal(heat, grad_cam(network("concat"), image, present, 1))


def test_a_number_added_to_all_logits_changes_no_map(network, image):
    net = network("concat")
    before = grad_cam(net, image, ALL, 1)
    shifted = copy.deepcopy(net)
    with torch.no_grad():
        shifted.head.bias += 2.0
        shifted.head.weight += torch.randn(1, shifted.head.in_features) * 0.05  # one number per case, to all
    torch.testing.assert_close(before, grad_cam(shifted, image, ALL, 1), rtol=0, atol=1e-4)


class BrightPortal(nn.Module):
    """Speaks for class 1 as much as the portal phase is bright; its encoder halves volumes twice."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.AvgPool3d(4)

    def forward(self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        maps = self.encoder(image.flatten(0, 1).unsqueeze(1)).reshape(len(image), 3, -1)
        brightness = 4 * maps[:, 2].mean(dim=1)
        return torch.stack([-brightness, brightness], dim=1)


def test_heat_lies_where_the_evidence_was_planted():
    """A bright block lies in one corner of each phase, and counts in the portal phase only."""
    image = torch.zeros(3, 16, 16, 16)
    image[:, 12:, :4, 4:8] = 1
    heat = grad_cam(BrightPortal().eval(), image, ALL, 1)
    assert not heat[:2].any()
    d, h, w = torch.unravel_index(heat[2].argmax(), heat[2].shape)
    assert d >= 12
    assert h < 4
    assert 4 <= w < 8


def test_the_map_is_that_of_monai_where_monai_can_make_it(network, image):
    """One phase, one class score: MONAI's own hooks on the encoder, normalised in the same way."""
    net = network("early")

    class Odds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            logits = self.net(x)
            return logits[:, 1:2] - logits[:, [0, 2]].logsumexp(dim=1, keepdim=True)

    reference = GradCAMpp(Odds().eval(), "net.encoder", postprocessing=lambda heat: heat)(
        image[None], class_idx=0
    )
    reference = reference[0, 0].detach()
    torch.testing.assert_close(
        grad_cam(net, image, ALL, 1)[0], reference / reference.max(), rtol=0, atol=1e-5
    )


def test_a_network_without_encoder_is_refused(network, image):
    with pytest.raises(ValueError, match="heat maps need a network that reads images, found TableNetwork"):
        grad_cam(network("table"), image, ALL, 0)
