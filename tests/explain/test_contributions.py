# SPDX-License-Identifier: Apache-2.0
"""Contributions of the phases to the predictions of real networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from workbench.explain.contributions import phase_contributions

from .conftest import FUSIONS, WITH_TABLE

ALL = torch.tensor([True, True, True])
TABLE = torch.tensor([61.0, 1.0])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_contributions_lead_from_the_networks_own_answer_to_the_prediction(network, image, fusion):
    net = network(fusion)
    clinical = TABLE if fusion in WITH_TABLE else None
    found = phase_contributions(net, image, ALL, clinical)
    logits = net(image[None], clinical=None if clinical is None else clinical[None], present=ALL[None])
    torch.testing.assert_close(found.prediction, logits[0].detach().double().softmax(0), rtol=0, atol=1e-6)
    nothing = {} if clinical is None else {"clinical": torch.full((1, 2), torch.nan)}
    start = net(image[None], **nothing, present=torch.zeros(1, 3, dtype=torch.bool))[0].detach().double()
    torch.testing.assert_close(found.start, start.softmax(0), rtol=0, atol=1e-6)
    difference = found.prediction - found.start
    torch.testing.assert_close(found.values.sum(dim=0), difference, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.values.sum(dim=1), torch.zeros(len(found.values)).double())


def test_values_are_those_of_runs_with_phases_withheld(network, image):
    """Two phases by hand: half of what it adds alone, half of what it adds to the other."""
    net = network("gated")
    present = torch.tensor([True, False, True])

    def v(*seen: bool) -> Tensor:
        return net(image[None], present=torch.tensor([seen]))[0].detach().double().softmax(0)

    found = phase_contributions(net, image, present)
    both = v(True, False, True)
    none = v(False, False, False)
    pre = (v(True, False, False) - none + both - v(False, False, True)) / 2
    portal = (v(False, False, True) - none + both - v(True, False, False)) / 2
    torch.testing.assert_close(found.values, torch.stack([pre, torch.zeros(3).double(), portal]), atol=1e-6, rtol=0)
    assert found.present.tolist() == [True, False, True]


class HardlyReads(nn.Module):
    """Any network, of which one phase moves the logits by a share of what it moved."""

    def __init__(self, network: nn.Module, phase: int, share: float) -> None:
        super().__init__()
        self.network, self.phase, self.share = network, phase, share

    def forward(self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        assert present is not None
        without = present.clone()
        without[:, self.phase] = False
        start = self.network(image, clinical=clinical, present=without)
        return start + self.share * (self.network(image, clinical=clinical, present=present) - start)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_phase_that_is_hardly_read_contributes_hardly_anything(network, image, fusion):
    """Where it is not read at all it contributes nothing: there is no jump between the two."""
    net, clinical = network(fusion), TABLE if fusion in WITH_TABLE else None
    found = {
        share: phase_contributions(HardlyReads(net, 1, share), image, ALL, clinical) for share in (0.0, 1e-4, 1e-3)
    }
    assert found[0.0].values[1].tolist() == [0, 0, 0]
    for share, part in found.items():
        assert part.values[1].abs().max() <= 3 * share, "no more than logits that move by some units allow"
        torch.testing.assert_close(part.values, found[0.0].values, rtol=0, atol=max(3 * share, 1e-6))


class IgnoresArterial(nn.Module):
    """Sees that the arterial phase is there, and reads the others only."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3, generator=torch.Generator().manual_seed(0)))

    def forward(self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        assert present is not None
        brightness = image.mean(dim=(2, 3, 4)) * present
        return brightness[:, [0, 2]] @ self.weight


def test_a_phase_that_carries_nothing_gets_exactly_nothing(image):
    found = phase_contributions(IgnoresArterial(), image, ALL)
    assert found.values[1].tolist() == [0, 0, 0]
    assert (found.values[[0, 2]] != 0).all()
    torch.testing.assert_close(found.values.sum(dim=0), found.prediction - found.start)


def test_a_network_of_one_phase_owes_all_to_it(network, image):
    found = phase_contributions(network("single"), image, ALL)
    read = network("single").index
    for phase in range(3):
        expected = found.prediction - found.start if phase == read else torch.zeros(3).double()
        torch.testing.assert_close(found.values[phase], expected, rtol=0, atol=1e-15)


def test_exchangeable_phases_get_the_same(network, image):
    """The maximum over tokens of one encoder, which does not know the phases, and the same scan twice."""
    net = network("max")
    image[2] = image[0]
    found = phase_contributions(net, image, ALL)
    torch.testing.assert_close(found.values[0], found.values[2], rtol=0, atol=1e-7)
    assert (found.values[0] - found.values[1]).abs().max() > 1e-5


def test_what_an_absent_phase_holds_changes_nothing(network, image):
    net, present = network("attention"), torch.tensor([True, False, True])
    before = phase_contributions(net, image, present)
    image[1] = torch.nan
    after = phase_contributions(net, image, present)
    assert torch.equal(before.values, after.values)
    assert before.values[1].tolist() == [0, 0, 0]


def test_the_clinical_table_is_one_more_player(network, image):
    net = network("concat", table=True)
    found = phase_contributions(net, image, ALL, TABLE)
    assert found.values.shape == (4, 3)
    assert found.values[3].abs().max() > 1e-4
    without = phase_contributions(net, image, ALL, torch.full((2,), torch.nan))
    assert without.values[3].tolist() == [0, 0, 0]
    assert without.present.tolist() == [True, True, True, False]


def test_the_table_alone_takes_all(network, image):
    found = phase_contributions(network("table"), image, ALL, TABLE)
    assert found.values[:3].abs().max() == 0
    torch.testing.assert_close(found.values[3], found.prediction - found.start)


def test_a_network_that_reads_nothing_of_a_case_owes_nothing_to_anything(network, image):
    found = phase_contributions(network("table"), image, ALL, torch.full((2,), torch.nan))
    assert found.values.abs().max() == 0
    assert torch.equal(found.start, found.prediction)


def test_the_batch_size_changes_nothing(network, image):
    net = network("concat")
    one, many = (phase_contributions(net, image, ALL, batch_size=size) for size in (1, 64))
    torch.testing.assert_close(one.values, many.values, rtol=0, atol=1e-6)
