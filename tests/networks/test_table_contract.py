# SPDX-License-Identifier: Apache-2.0
"""The network contract with a clinical table, over every fusion fragment that reads one.

A new fragment is tested here without any change, unless it sets `network_def#table` to null.
"""

from __future__ import annotations

import copy
import io
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from torch import Tensor, nn

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NAN = float("nan")
COLUMNS = [
    {"name": "age", "kind": "number"},
    {"name": "sex", "kind": "category", "values": ["F", "M"]},
    {"name": "log_afp", "kind": "number"},
]
CLINICAL = torch.tensor([[60.0, 0.0, 1.2], [NAN, 1.0, NAN], [NAN, NAN, NAN], [47.0, NAN, 0.3]])
THERE = torch.tensor([True, True, False, True])
PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0]], dtype=torch.bool)
LABEL = torch.tensor([0, 1, 1, 0])
CASES = [{"clinical": {"age": 50.0, "log_afp": 0.5}}, {"clinical": {"age": 70.0, "log_afp": 1.5}}]


def reads_table(file: Path) -> bool:
    content = yaml.safe_load(file.read_text())
    return "network_def" not in content and content.get("network_def#table", "@table") is not None


FUSIONS = sorted(path.stem for path in (CONFIGS / "fusion").glob("*.yaml") if reads_table(path))


def parsed(fusion: str, clinical: list) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([CONFIGS / "train.yaml"])
    parser.update(parser.load_config_file(CONFIGS / "fusion" / f"{fusion}.yaml"))
    parser.update({"clinical": clinical, "dropout": 0.0, "criterion#class_counts": [3, 5]})
    return parser


@cache
def built(fusion: str) -> tuple[nn.Module, nn.Module]:
    """Network and loss, with every weight moved off its initial value: some of them begin at 0."""
    torch.manual_seed(0)
    parser = parsed(fusion, COLUMNS)
    network, loss = parser.get_parsed_content("network_def"), parser.get_parsed_content("loss")
    network.table.fit(CASES)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return network, loss


@pytest.fixture(params=FUSIONS)
def network_and_loss(request) -> tuple[nn.Module, nn.Module]:
    network, loss = built(request.param)
    return copy.deepcopy(network), loss


def images(filler: float = 0.0) -> Tensor:
    torch.manual_seed(1)
    image = torch.rand(4, 3, 16, 17, 16)
    image[~PRESENT] = filler
    return image


def test_the_table_counts_and_only_where_it_is(network_and_loss):
    network, _ = network_and_loss
    network.eval()
    with_table, without = network(images(), CLINICAL, PRESENT), network(images(), None, PRESENT)
    assert with_table.shape == (4, 2)
    assert with_table.isfinite().all()
    changed = (with_table - without).abs().amax(dim=1) > 1e-7
    assert torch.equal(changed, THERE)
    assert torch.equal(without, network(images(), torch.full_like(CLINICAL, NAN), PRESENT))


def test_absent_slots_change_neither_results_nor_gradients(network_and_loss):
    """NaN in absent phases and in the table leave everything finite and bit for bit the same."""
    network, loss = network_and_loss
    network.train()
    state, found = copy.deepcopy(network.state_dict()), []
    for filler in (0.0, 7.0, NAN):
        network.load_state_dict(state)
        network.zero_grad()
        value = loss(network(images(filler), CLINICAL, PRESENT), LABEL)
        value.backward()
        found.append([value, *(p.grad.clone() for p in network.parameters() if p.grad is not None)])
    assert all(gradient.isfinite().all() for gradient in found[0])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_cases_do_not_influence_each_other_in_evaluation(network_and_loss):
    network, _ = network_and_loss
    network.eval()
    together = network(images(), CLINICAL, PRESENT)
    alone = [network(images()[i : i + 1], CLINICAL[i : i + 1], PRESENT[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_every_parameter_learns(network_and_loss):
    network, loss = network_and_loss
    torch.manual_seed(2)
    loss(network.train()(torch.rand(4, 3, 16, 17, 16), CLINICAL), LABEL).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not still


def test_scripted_and_traced_networks_give_the_same(network_and_loss):
    network, _ = network_and_loss
    network.eval()
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(network), buffer)
    buffer.seek(0)
    scripted = torch.jit.load(buffer)
    for clinical in (CLINICAL, None):
        expected = network(images(), clinical, PRESENT)
        found = scripted(images(NAN), clinical, PRESENT)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    traced = torch.jit.trace(network, torch.rand(1, 3, 16, 17, 16), check_trace=False)
    torch.testing.assert_close(traced(images()), network(images()), atol=1e-5, rtol=1e-5)


def test_bf16_autocast_keeps_the_table_in_float32(network_and_loss):
    network, _ = network_and_loss
    network.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        encoded = []
        network.table.register_forward_hook(lambda _, __, output: encoded.append(output[0]))
        assert network(images(), CLINICAL, PRESENT).dtype is torch.float32
    with torch.no_grad():
        expected = network.table(CLINICAL, CLINICAL)[0]
    assert torch.equal(encoded[0], expected)


def test_a_table_of_another_width_is_named(network_and_loss):
    network, _ = network_and_loss
    with pytest.raises(ValueError, match=r"clinical table \[B, 3\], found shape \[4, 2\]"):
        network(images(), CLINICAL[:, :2])


@pytest.mark.parametrize("fusion", ["concat", "dsn", "abaf"])
def test_a_fusion_with_a_table_weighs_and_classifies_it_like_a_phase(fusion):
    outputs = built(fusion)[0].train()(images(), CLINICAL, PRESENT)
    expected = torch.cat([PRESENT, THERE[:, None]], dim=1)
    assert torch.equal(outputs["present"], expected)
    if "weights" in outputs:
        assert torch.equal(outputs["weights"] > 0, expected)
        torch.testing.assert_close(outputs["weights"].sum(dim=1), torch.ones(4))
    if "phase_logits" in outputs:
        assert outputs["phase_logits"].shape == (4, 4, 2)


@pytest.mark.parametrize("fusion", ["film", "daft", "table"])
def test_a_strategy_on_the_table_needs_columns(fusion):
    with pytest.raises(RuntimeError) as caught:
        parsed(fusion, []).get_parsed_content("network_def")
    assert "name some in `clinical`" in str(caught.value.__cause__)
