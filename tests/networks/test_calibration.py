# SPDX-License-Identifier: Apache-2.0
"""The temperature divides what a network answers, in every strategy; and it travels with the weights."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from scripts.engines.network import load_trained, place_network
from scripts.networks.builder import build
from torch import Tensor, nn

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FUSIONS = sorted(path.stem for path in (CONFIGS / "fusion").glob("*.yaml"))
ONE_PER_NETWORK = ("concat", "film", "late_mean", "single", "early", "table")
GRID = (16, 16, 16)


def network_of(fusion: str) -> nn.Module:
    torch.manual_seed(0)
    return build(["pre", "arterial", "portal"], fusion=fusion, clinical=["age"], num_classes=3, dropout=0.0)


def training_logits(network: nn.Module, image: Tensor, clinical: Tensor) -> Tensor:
    torch.manual_seed(1)  # dropout inside some fusions
    return network.train()(image, clinical)["logits"]


@pytest.mark.parametrize(
    "fusion", [f if f in ONE_PER_NETWORK else pytest.param(f, marks=pytest.mark.slow) for f in FUSIONS]
)
def test_logits_are_divided_in_evaluation_and_not_in_training(fusion: str) -> None:
    network = network_of(fusion).eval()
    image, clinical = torch.rand(2, 3, *GRID), torch.tensor([[50.0], [70.0]])
    plain, raw = network(image, clinical), training_logits(network, image, clinical)
    network.calibration.temperature.fill_(4.0)
    torch.testing.assert_close(training_logits(network, image, clinical), raw)
    network = network_of(fusion).eval()  # anew: training moves the normalisation statistics
    network.calibration.temperature.fill_(4.0)
    torch.testing.assert_close(network(image, clinical), plain / 4)


def test_the_scripted_network_divides_as_well() -> None:
    network = network_of("concat").eval()
    image = torch.rand(2, 3, *GRID)
    plain = network(image)
    network.calibration.temperature.fill_(0.5)
    torch.testing.assert_close(torch.jit.script(network)(image), 2 * plain)
    torch.testing.assert_close(torch.jit.trace(network, image)(image), 2 * plain)


def test_placing_takes_the_class_frequencies_of_the_training_cases() -> None:
    cases = [{"label": label} for label in (0, 2, 2, 2, 0)]
    network = place_network(network_of("early"), "cpu", GRID, cases=cases)
    torch.testing.assert_close(network.calibration.prior, torch.tensor([0.4, 0.0, 0.6]))


def test_the_calibration_travels_with_the_weights_but_not_into_a_new_training(tmp_path: Path) -> None:
    source = network_of("early")
    source.calibration.temperature.fill_(1.7)
    torch.save(source.state_dict(), tmp_path / "model.pt")
    loaded, started = network_of("early"), network_of("early")
    load_trained(loaded, tmp_path / "model.pt")
    assert loaded.calibration.temperature == torch.tensor(1.7)
    place_network(started, "cpu", GRID, tmp_path / "model.pt", [{"label": 0}, {"label": 1}])
    assert started.calibration.temperature == 1
    torch.testing.assert_close(started.calibration.prior, torch.tensor([0.5, 0.5, 0.0]))


def test_weights_from_before_calibration_are_loaded_with_one_line(tmp_path: Path, caplog) -> None:
    source = network_of("early")
    old = {name: value for name, value in source.state_dict().items() if "calibration" not in name}
    torch.save(old, tmp_path / "model.pt")
    network = network_of("early")
    with caplog.at_level(logging.INFO):
        load_trained(network, tmp_path / "model.pt")
    assert len(caplog.records) == 1
    assert "is from before models were calibrated" in caplog.text
    assert torch.equal(network.head.weight, source.head.weight)


def test_the_shipped_weights_carry_a_calibration() -> None:
    parser = ConfigParser()
    parser.read_config(CONFIGS / "inference.yaml")
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(CONFIGS.parent / "models" / "model.pt", weights_only=True))
    assert network.calibration.prior.tolist() == [0.5, 0.5]
