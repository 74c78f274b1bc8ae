# SPDX-License-Identifier: Apache-2.0
"""Encoders started from weights of elsewhere, and what is said about the rest."""

from __future__ import annotations

import logging

import pytest
import torch
from monai.networks import nets
from scripts.engines.network import place_network
from scripts.networks.encoders.monai_cnn import MonaiResNetEncoder
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion.tokens import Concat
from scripts.networks.phase_fusion import PhaseFusionNetwork

from tests.conftest import ROOT


def network(encoder=MonaiResNetEncoder, share: bool = True) -> PhaseFusionNetwork:
    torch.manual_seed(0)
    return PhaseFusionNetwork(encoder, Concat, num_phases=2, num_classes=2, share_encoder=share)


def medicalnet_like() -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """MONAI's own network, and its weights under the names of a file of MedicalNet."""
    monai = nets.resnet10(spatial_dims=3, n_input_channels=1, feed_forward=False, bias_downsample=False)
    return monai, {f"module.{name}": value for name, value in monai.state_dict().items()}


@pytest.mark.parametrize("share", [True, False])
def test_every_encoder_takes_what_fits_and_the_rest_is_listed(tmp_path, caplog, share):
    monai, state = medicalnet_like()
    state["module.conv1.weight"] = state["module.conv1.weight"][:, :, 1:]
    torch.save({"state_dict": state | {"module.conv_seg.weight": torch.zeros(3)}}, tmp_path / "resnet_10.pth")
    with caplog.at_level(logging.INFO):
        placed = place_network(network(share=share), "cpu", [16] * 3, encoder_weights=tmp_path / "resnet_10.pth")
    for encoder in [placed.encoder] if share else placed.encoder:
        assert torch.equal(encoder.net.layer3[0].conv2.weight, monai.layer3[0].conv2.weight)
    assert "kept as initialised (1): conv1.weight" in caplog.text
    assert "in the weights but not used (2): conv1.weight, conv_seg.weight" in caplog.text
    head = network(share=share).head.weight
    assert torch.equal(placed.head.weight, head)


def test_a_colour_convolution_gives_a_grey_image_the_same_answer(tmp_path):
    colour = torch.nn.Conv2d(3, 64, 7, padding=3, bias=False)
    encoder = MonaiResNetEncoder("resnet18", spatial_dims=2)
    torch.save({"conv1.weight": colour.weight.detach()}, tmp_path / "imagenet.pth")
    place_network(encoder, "cpu", [], encoder_weights=tmp_path / "imagenet.pth")
    grey = torch.rand(1, 1, 9, 9)
    found = torch.conv2d(grey, encoder.net.conv1.weight, padding=3)
    torch.testing.assert_close(found, colour(grey.expand(1, 3, 9, 9)), atol=1e-5, rtol=1e-5)


def test_medicalnet_is_asked_for_the_depth_of_the_encoder(monkeypatch):
    monai, state = medicalnet_like()
    asked = []

    def download(depth, **_):
        asked.append(depth)
        return state

    monkeypatch.setattr("monai.networks.nets.resnet.get_pretrained_resnet_medicalnet", download)
    placed = place_network(network(), "cpu", [16] * 3, encoder_weights="medicalnet")
    assert asked == [10]
    assert torch.equal(placed.encoder.net.conv1.weight, monai.conv1.weight)


def test_what_cannot_be_got_says_so_in_one_line(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("monai.networks.nets.resnet.get_pretrained_resnet_medicalnet", offline)
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    for encoder, weights, message in (
        (
            MonaiResNetEncoder,
            "medicalnet",
            "resnet10 could not be downloaded .OSError: no route to host.*give the path",
        ),
        (ResidualEncoder, "medicalnet", "MedicalNet has 3D ResNets only, found the encoder ResidualEncoder"),
        (ResidualEncoder, tmp_path / "other.pt", "no tensor that fits encoder .ResidualEncoder.*begin with other"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            place_network(network(encoder), "cpu", [16] * 3, encoder_weights=weights)
        assert "\n" not in str(caught.value)


def test_medicalnet_without_the_package_that_downloads_it_names_the_requirements(monkeypatch):
    monkeypatch.setattr("scripts.engines.pretrained.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs huggingface_hub.*pip install -r requirements-pretrained.txt"):
        place_network(network(), "cpu", [16] * 3, encoder_weights="medicalnet")
    named = (ROOT / "requirements-pretrained.txt").read_text()
    assert "huggingface_hub==" in named
    assert "-r requirements-pretrained.txt" in (ROOT / "requirements-dev.txt").read_text()
