# SPDX-License-Identifier: Apache-2.0
"""The network contract, over every fusion fragment, encoder fragment and both ways of sharing the encoder.

Every fragment is in the quick run; all combinations of them are in the slow one.

A new fragment in `configs/fusion` or `configs/encoder` is tested here without any change.
"""

from __future__ import annotations

import copy
import io
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from scripts.engines.network import place_network
from torch import Tensor, nn

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NEED_TABLE = ("daft", "film", "table")  # held by test_table_contract.py
FUSIONS = sorted(path.stem for path in (CONFIGS / "fusion").glob("*.yaml") if path.stem not in NEED_TABLE)
ENCODERS = sorted(path.stem for path in (CONFIGS / "encoder").glob("*.yaml"))
HEAVY = (
    "densenet121",
    "resnet18",
    "efficientnet",
    "resnet34",
    "resnet50",
    "seresnet50",
    "vit",
)  # with one strategy, in the slow run
NEEDS = {"vit": "einops"}
VARIANTS = [(fusion, "residual", True) for fusion in FUSIONS]
VARIANTS += [("concat", encoder, True) for encoder in ENCODERS if encoder not in ("residual", *HEAVY)]
VARIANTS += [(fusion, "residual", False) for fusion in ("dsn", "abaf", "late_mean")]
LIGHT = [encoder for encoder in ENCODERS if encoder not in HEAVY]
EVERY = [(fusion, encoder, share) for fusion in FUSIONS for encoder in LIGHT for share in (True, False)]
EVERY += [("concat", encoder, True) for encoder in HEAVY]
ALL = [*VARIANTS, *(pytest.param(v, marks=pytest.mark.slow) for v in EVERY if v not in VARIANTS)]
PHASES = 3
PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0]], dtype=torch.bool)
LABEL = torch.tensor([0, 1, 1, 0])


def build(fusion: str, encoder: str, share: bool) -> tuple[nn.Module, nn.Module]:
    """Build network and loss as a training does, from train.yaml and two fragments."""
    torch.manual_seed(0)
    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml", CONFIGS / "encoder" / f"{encoder}.yaml"])
    parser.update(parser.load_config_file(CONFIGS / "fusion" / f"{fusion}.yaml"))
    parser.update({"share_encoder": share, "dropout": 0.0, "criterion#class_counts": [3, 5]})
    return parser.get_parsed_content("network_def"), parser.get_parsed_content("loss")


@pytest.fixture(scope="module", params=ALL, ids=lambda v: f"{v[0]}-{v[1]}{'' if v[2] else '-separate'}")
def built(request) -> tuple[nn.Module, nn.Module]:
    """Return one variant for all its tests; all variants at once need more memory than a laptop has."""
    if request.param[1] in NEEDS:
        pytest.importorskip(NEEDS[request.param[1]])
    return build(*request.param)


@pytest.fixture
def network_and_loss(built) -> tuple[nn.Module, nn.Module]:
    network, loss = built
    return copy.deepcopy(network), loss


def images(filler: float = 0.0) -> Tensor:
    """Four cases, whose absent phases hold `filler`."""
    torch.manual_seed(1)
    image = torch.rand(4, PHASES, 16, 17, 16)
    image[~PRESENT] = filler
    return image


def gradients(network: nn.Module, loss: nn.Module, image: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    loss(network(image, present=PRESENT), LABEL).backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_training_gives_a_dict_and_evaluation_float32_logits(network_and_loss):
    network, loss = network_and_loss
    network = place_network(network, "cpu", [16, 17, 16])  # channels last, as in a training
    outputs = network.train()(images(), present=PRESENT)
    assert outputs["logits"].shape == (4, 2)
    assert torch.equal(outputs["present"], PRESENT)
    assert loss(outputs, LABEL).isfinite()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        logits = network.eval()(images())
    assert isinstance(logits, Tensor)
    assert logits.dtype is torch.float32
    assert loss(logits, LABEL).isfinite()  # validation has no more than the logits


def test_absent_slots_change_neither_results_nor_gradients(network_and_loss):
    network, loss = network_and_loss
    for mode in (True, False):
        network.train(mode)
        state = copy.deepcopy(network.state_dict())  # normalisation statistics move while training
        expected = gradients(network, loss, images())
        for filler in (7.0, float("nan")):
            network.load_state_dict(state)
            found = gradients(network, loss, images(filler))
            assert found.keys() == expected.keys()
            for name, gradient in expected.items():
                assert torch.equal(found[name], gradient), name
    assert torch.equal(network(images(float("nan")), present=PRESENT), network(images(), present=PRESENT))


def test_a_phase_of_zeros_is_absent_unless_told_otherwise(network_and_loss):
    network, _ = network_and_loss
    network.eval()
    assert torch.equal(network(images()), network(images(), present=PRESENT))


def test_cases_do_not_influence_each_other_in_evaluation(network_and_loss):
    network, _ = network_and_loss
    network.eval()
    together = network(images(), present=PRESENT)
    alone = torch.cat([network(images()[i : i + 1], present=PRESENT[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert torch.equal(together, network(images(), present=PRESENT))


def test_every_parameter_learns_when_all_phases_are_present(network_and_loss):
    network, loss = network_and_loss
    torch.manual_seed(2)
    loss(network.train()(torch.rand(4, PHASES, 16, 17, 16)), LABEL).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not still


def test_scripted_and_traced_networks_give_the_same(network_and_loss):
    network, _ = network_and_loss
    network.eval()
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(network), buffer)
    buffer.seek(0)
    scripted = torch.jit.load(buffer)
    traced = torch.jit.trace(network, torch.rand(1, PHASES, 16, 17, 16))
    expected = network(images())
    torch.testing.assert_close(scripted(images()), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(traced(images()), expected, atol=1e-5, rtol=1e-5)
    missing = scripted(images(float("nan")), None, PRESENT)
    torch.testing.assert_close(missing, expected, atol=1e-5, rtol=1e-5)


def test_another_number_of_phases_is_named(network_and_loss):
    network, _ = network_and_loss
    with pytest.raises(ValueError, match=r"built for images \[B, 3, D, H, W\], found shape \[1, 2, "):
        network(torch.rand(1, 2, 16, 16, 16))
