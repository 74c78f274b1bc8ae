# SPDX-License-Identifier: Apache-2.0
"""The mean of probabilities, which is not the mean of logits."""

from __future__ import annotations

import torch
from scripts.networks.fusion.decisions import LateMean


def test_equals_the_average_of_the_single_phase_probabilities():
    torch.manual_seed(0)
    phase_logits = 3 * torch.randn(3, 4, 5)
    present = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [0, 1, 0, 0]], dtype=torch.bool)
    found = LateMean(num_phases=4, num_classes=5)(phase_logits, present)[0].softmax(dim=1)
    for b in range(3):
        single = [phase_logits[b, p].softmax(dim=0) for p in range(4) if present[b, p]]
        torch.testing.assert_close(found[b], sum(single) / len(single))


def test_a_very_sure_phase_does_not_outvote_the_others():
    phase_logits = torch.tensor([[[0.9817, 0.0183], [0.2783, 0.7217]]]).log()
    found = LateMean(num_phases=2, num_classes=2)(phase_logits, torch.ones(1, 2, dtype=torch.bool))[0]
    torch.testing.assert_close(found.softmax(dim=1)[0, 0], torch.tensor(0.63))
    mean_of_logits = phase_logits.mean(dim=1).softmax(dim=1)
    torch.testing.assert_close(mean_of_logits[0, 0], torch.tensor(0.82), atol=0.001, rtol=0)
