# SPDX-License-Identifier: Apache-2.0
"""A decoder beside a classifier teaches its encoder, and changes nothing of what it answers."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from scripts.losses.mask_loss import MaskLoss
from scripts.networks.with_masks import WithMasks
from torch import nn

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
REFUSED = ("early", "single", "hybrid", "table")
NEED_TABLE = ("daft", "film")
FUSIONS = sorted(path.stem for path in (CONFIGS / "fusion").glob("*.yaml") if path.stem not in (*REFUSED, *NEED_TABLE))
PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0]], dtype=torch.bool)
LABEL = torch.tensor([0, 1, 1, 0])
COLUMNS = [{"name": "age", "kind": "number"}]


def build(fusion: str, share: bool = True, **more) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    parser = ConfigParser()
    parser.read_config(CONFIGS / "train.yaml")
    parser.update(parser.load_config_file(CONFIGS / "fusion" / f"{fusion}.yaml"))
    settings = {"share_encoder": share, "dropout": 0.0, "criterion#class_counts": [3, 5], "encoder#widths": [4, 8, 8]}
    parser.update(settings | more)
    return parser.get_parsed_content("network_def"), parser.get_parsed_content("loss")


def images() -> torch.Tensor:
    image = torch.randn(4, 3, 12, 13, 11, generator=torch.Generator().manual_seed(1))
    image[~PRESENT] = torch.nan
    return image


class Batches:
    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask


def masks() -> torch.Tensor:
    """One mask per case; the last case has none."""
    mask = torch.zeros(4, 1, 12, 13, 11, dtype=torch.uint8)
    mask[:, :, 3:8, 4:9, 2:7] = 1
    mask[3] = 255
    return mask


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_strategy_answers_as_alone_and_its_encoder_learns_from_masks(fusion):
    network, loss = build(fusion)
    alone = copy.deepcopy(network).train()
    with_masks = WithMasks(network, width=8).train()
    torch.manual_seed(1)
    expected = alone(images(), present=PRESENT)
    torch.manual_seed(1)
    found = with_masks(images(), present=PRESENT)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert found["outline"].shape == (4, 3 * 2, 12, 13, 11)
    assert torch.equal(found["outlined"], PRESENT)
    assert found["outline"].isfinite().all()
    total = MaskLoss(loss, Batches(masks()), weight=0.5)(found, LABEL)
    of_masks = total - loss(found, LABEL)
    assert of_masks > 0
    weights = list(network.encoder.parameters())
    assert all(one is not None and one.abs().sum() > 0 for one in torch.autograd.grad(of_masks, weights))


def test_separate_encoders_and_a_phase_that_no_case_of_the_batch_has():
    network, loss = build("concat", share=False)
    with_masks = WithMasks(network, width=8).train()
    present = PRESENT.clone()
    present[:, 0] = False
    found = with_masks(images(), present=present)
    assert torch.equal(found["logits"], network(images(), present=present)["logits"])
    MaskLoss(loss, Batches(masks()))(found, LABEL).backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in with_masks.parameters())
    assert not (with_masks(images(), present=torch.zeros_like(present))["outline"] != 0).any()


def test_what_an_absent_phase_holds_changes_nothing():
    network, _ = build("concat")
    with_masks = WithMasks(network, width=8).train()
    image = images()
    first = with_masks(image, present=PRESENT)
    image[~PRESENT] = 7.0
    second = with_masks(image, present=PRESENT)
    assert torch.equal(first["outline"], second["outline"])
    assert torch.equal(first["logits"], second["logits"])


def test_a_table_beside_the_images():
    for fusion in NEED_TABLE:
        network, _ = build(fusion, clinical=COLUMNS, columns=COLUMNS)
        age = torch.tensor([[50.0], [60.0], [torch.nan], [40.0]])
        found = WithMasks(network, width=8).train()(images(), age, PRESENT)
        assert torch.equal(found["logits"], network(images(), age, PRESENT)["logits"])


def test_outside_training_it_is_the_classifier_whose_weights_know_of_no_masks():
    network, _ = build("multi_level")
    names = list(network.state_dict())
    with_masks = WithMasks(network, width=8).eval()
    assert torch.equal(with_masks(images(), present=PRESENT), network(images(), present=PRESENT))
    assert list(network.state_dict()) == names
    torch.jit.script(network)


def test_weight_zero_has_no_decoder_and_the_same_random_numbers_follow():
    for weight in (0.0, 1.0):
        network, _ = build("concat")
        state = torch.get_rng_state()
        with_masks = WithMasks(network, weight=weight)
        assert torch.equal(torch.get_rng_state(), state)
        own = list(network.parameters())
        every = list(with_masks.parameters())
        assert [id(one) for one in every[: len(own)]] == [id(one) for one in own]
        assert (len(every) > len(own)) == (weight > 0)
        assert (with_masks.training_only is None) == (weight == 0)


@pytest.mark.parametrize("fusion", [*REFUSED, "views"])
def test_networks_without_maps_of_each_phase_are_refused_unless_the_weight_is_zero(fusion):
    more = {"single": {"single_phase": "portal"}, "table": {"columns": COLUMNS, "clinical": COLUMNS}}.get(fusion, {})
    more = {"views": ["axial", "coronal"]} if fusion == "views" else more
    network, _ = build("concat" if fusion == "views" else fusion, **more)
    with pytest.raises(ValueError, match=r"masks are learned .* --mask_weight 0"):
        WithMasks(network)
    WithMasks(network, weight=0)
