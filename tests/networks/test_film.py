# SPDX-License-Identifier: Apache-2.0
"""Feature maps conditioned on the clinical table: FiLM and DAFT."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from scripts.networks.conditioned import ConditionedNetwork, Daft, Film
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion.tokens import Concat
from scripts.networks.phase_fusion import PhaseFusionNetwork
from scripts.networks.table_encoder import TableEncoder
from torch import Tensor

NAN = float("nan")
COLUMNS = [{"name": "age", "kind": "number"}, {"name": "sex", "kind": "category", "values": ["F", "M"]}]
CLINICAL = torch.tensor([[0.3, 1.0], [NAN, NAN], [-1.2, NAN]])
PRESENT = torch.tensor([[1, 1], [1, 1], [1, 0]], dtype=torch.bool)


def image() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(3, 2, 12, 12, 12)


def conditioned(conditioning: type, share: bool = True, changed: bool = False) -> ConditionedNetwork:
    torch.manual_seed(0)
    table = partial(TableEncoder, columns=COLUMNS)
    made = ConditionedNetwork(
        ResidualEncoder, Concat, 2, 2, share_encoder=share, table=table, conditioning=conditioning
    )
    if changed:
        with torch.no_grad():
            for weight in made.conditioning.parameters():
                weight.add_(0.3 * torch.randn_like(weight))
    return made


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("conditioning", [Film, Daft])
def test_it_starts_as_the_network_without_a_table(conditioning, training, share):
    made = conditioned(conditioning, share).train(training)
    torch.manual_seed(0)
    plain = PhaseFusionNetwork(ResidualEncoder, Concat, 2, 2, share_encoder=share).train(training)
    found, expected = made(image(), CLINICAL, PRESENT), plain(image(), None, PRESENT)
    if training:
        found, expected = found["logits"], expected["logits"]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_film_equals_its_formula():
    torch.manual_seed(0)
    film, maps, table = Film(channels=3, table_dim=4), torch.randn(2, 3, 2, 2, 2), torch.randn(2, 4)
    torch.nn.init.normal_(film.affine.weight)
    for case in range(2):
        for channel in range(3):
            gamma = film.affine.weight[channel] @ table[case]
            beta = film.affine.weight[3 + channel] @ table[case]
            expected = ((1 + gamma) * maps[case, channel] + beta).clamp(min=0)
            torch.testing.assert_close(film(maps, table)[case, channel], expected)


def test_the_rectifier_makes_conditioning_depend_on_where_features_are():
    """Two maps of the same mean: only with spatial selection does the table tell them apart."""
    film, table = Film(channels=1, table_dim=1), torch.ones(2, 1)
    with torch.no_grad():
        film.affine.bias[1] = -1.0
    even, focal = torch.full((1, 2, 2, 2), 0.5), torch.zeros(1, 2, 2, 2)
    focal[0, 0, 0, 0] = 4.0
    means = film(torch.stack([even, focal]), table).mean(dim=[1, 2, 3, 4])
    torch.testing.assert_close(means, torch.tensor([0.0, 3.0 / 8]))


def test_daft_equals_its_formula_and_looks_at_the_image():
    torch.manual_seed(0)
    daft, maps, table = Daft(channels=3, table_dim=4), torch.rand(2, 3, 2, 2, 2), torch.rand(2, 4)
    torch.nn.init.uniform_(daft.squeeze.weight)
    torch.nn.init.normal_(daft.expand.weight)
    scales = []
    for case in range(2):
        seen = torch.cat([maps[case].flatten(1).mean(dim=1), table[0]])
        affine = daft.expand.weight @ (daft.squeeze.weight @ seen).clamp(min=0)
        expected = (1 + affine[:3].reshape(3, 1, 1, 1)) * maps[case] + affine[3:].reshape(3, 1, 1, 1)
        found = daft(maps, table[:1].expand(2, 4))[case]
        torch.testing.assert_close(found, expected.clamp(min=0))
        scales.append(affine[:3])
    assert not torch.allclose(*scales)  # one table, two images


@pytest.mark.parametrize("conditioning", [Film, Daft])
def test_a_case_without_a_table_is_not_conditioned(conditioning):
    made = conditioned(conditioning, changed=True).eval()
    torch.manual_seed(0)
    plain = PhaseFusionNetwork(ResidualEncoder, Concat, 2, 2).eval()
    found, expected = made(image(), CLINICAL, PRESENT), plain(image(), None, PRESENT)
    torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=1e-5)
    assert (found[[0, 2]] - expected[[0, 2]]).abs().amax(dim=1).min() > 1e-3
    assert torch.equal(made(image(), None, PRESENT), made(image(), torch.full_like(CLINICAL, NAN), PRESENT))


@pytest.mark.parametrize("share", [True, False])
def test_a_batch_without_any_phase_stays_finite(share):
    made = conditioned(Film, share, changed=True)
    nothing = torch.zeros(3, 2, dtype=torch.bool)
    made(image(), CLINICAL, nothing)["logits"].sum().backward()
    assert made.eval()(image(), CLINICAL, nothing).isfinite().all()
    assert all(p.grad.isfinite().all() for p in made.parameters() if p.grad is not None)


def test_normalisation_statistics_come_from_present_phases_only():
    made, alone = conditioned(Film), conditioned(Film).encoder
    volumes = image()
    made(volumes, CLINICAL, PRESENT)
    alone(volumes.flatten(0, 1)[PRESENT.flatten()].unsqueeze(1))
    expected = dict(alone.named_buffers())
    assert all(torch.equal(value, expected[name]) for name, value in made.encoder.named_buffers())
