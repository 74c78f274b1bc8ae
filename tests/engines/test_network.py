# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import pytest
import torch
from scripts.engines.network import load_trained, place_network
from scripts.engines.schedule import FreezeParts
from scripts.networks import EarlySegmentationNetwork
from torch import nn


class Small(nn.Module):
    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4))
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.encoder(x).mean((2, 3, 4)))


def test_weights_of_another_configuration_are_refused_by_name(tmp_path):
    torch.save(Small(3).state_dict(), tmp_path / "model.pt")
    with pytest.raises(
        ValueError, match=r"another configuration: head.weight is 3x4 but the network has 2x4"
    ) as caught:
        load_trained(Small(2), tmp_path / "model.pt")
    assert "\n" not in str(caught.value)


def test_start_weights_of_another_kind_of_network_are_refused(tmp_path, say):
    """A bias of the same length is no sign that they fit."""
    outliner = EarlySegmentationNetwork(num_phases=2, width=4, patch_size=[8, 8, 8])
    torch.save(outliner.state_dict() | {"head.bias": torch.zeros(2)}, tmp_path / "outline.pt")
    with pytest.raises(ValueError, match=r"outline\.pt") as caught:
        place_network(Small(), "cpu", (5, 5, 5), tmp_path / "outline.pt")
    assert "\n" not in str(caught.value)
    say("Weights and checkpoints", "weights of a network that outlines to start one that classifies", caught.value)


def test_missing_and_broken_weight_files_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist; train first"):
        load_trained(Small(), tmp_path / "model.pt")
    (tmp_path / "model.pt").write_bytes(b"half")
    with pytest.raises(ValueError, match="cannot be read"):
        load_trained(Small(), tmp_path / "model.pt")


def test_start_weights_take_what_fits_and_list_the_rest(tmp_path, caplog):
    source = Small(3)
    torch.save({"network": source.state_dict(), "epoch": 3}, tmp_path / "last.pt")
    target = Small(2)
    before = target.head.weight.clone()
    with caplog.at_level(logging.INFO):
        place_network(target, "cpu", (5, 5, 5), tmp_path / "last.pt")
    assert torch.equal(target.encoder[0].weight, source.encoder[0].weight)
    assert torch.equal(target.head.weight, before)
    assert "kept as initialised (2): head.weight, head.bias" in caplog.text


def test_start_weights_that_fit_nowhere_are_an_error(tmp_path):
    torch.save({"other": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="no tensor that fits"):
        place_network(Small(), "cpu", (5, 5, 5), tmp_path / "w.pt")


class _State:
    epoch = 1


class _Engine:
    state = _State()


def test_frozen_parts_keep_weights_and_statistics_until_they_thaw():
    torch.manual_seed(0)
    network, engine = Small(), _Engine()
    freeze = FreezeParts(network, ["encoder"], thaw_epoch=2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

    def step() -> dict[str, torch.Tensor]:
        network.train()
        optimizer.zero_grad()
        network(torch.randn(4, 1, 5, 5, 5)).square().sum().backward()
        optimizer.step()
        return {name: value.clone() for name, value in network.state_dict().items()}

    start = {name: value.clone() for name, value in network.state_dict().items()}
    freeze(engine)
    frozen = step()
    changed = {name for name in start if not torch.equal(start[name], frozen[name])}
    assert changed == {"head.weight", "head.bias"}
    engine.state.epoch = 2
    freeze(engine)
    thawed = step()
    assert not torch.equal(frozen["encoder.0.weight"], thawed["encoder.0.weight"])
    assert not torch.equal(frozen["encoder.1.running_mean"], thawed["encoder.1.running_mean"])


def test_unknown_part_names_the_nearest():
    with pytest.raises(ValueError, match="no part 'encoders'; did you mean 'encoder'"):
        FreezeParts(Small(), ["encoders"])


def test_grid_below_an_encoders_minimum_is_refused_before_any_case_is_loaded():
    network = Small()
    network.encoder.min_size = (3, 3, 3)
    with pytest.raises(ValueError, match=r"at least \[3, 3, 3\] voxels for Sequential, found \[8, 8, 2\]"):
        place_network(network, "cpu", [8, 8, 2])


def test_networks_that_outline_keep_the_layout_in_which_they_are_faster():
    network = EarlySegmentationNetwork(num_phases=2, width=4, patch_size=[8, 8, 8])
    for one, last in ((nn.Conv3d(2, 4, 3), True), (network, False)):
        weights = [weight for weight in place_network(one, "cpu", [8, 8, 8]).parameters() if weight.dim() == 5]
        assert all(weight.is_contiguous(memory_format=torch.channels_last_3d) for weight in weights) == last


def test_weights_that_it_handed_out_itself_can_be_given_back():
    """As MONAI's federated client does: reshaped, the tensors are the network's own memory in another order."""
    network = place_network(Small(), "cpu", (5, 5, 5))
    known = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.reshape(value.shape) for name, value in network.state_dict().items()})
    assert all(torch.equal(value, known[name]) for name, value in network.state_dict().items())
