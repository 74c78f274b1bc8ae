# SPDX-License-Identifier: Apache-2.0
"""The learned mean of probabilities against its formula."""

from __future__ import annotations

import torch
from scripts.networks.fusion.decisions import LateMean, LateWeighted

PRESENT = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [0, 1, 0, 0]], dtype=torch.bool)


def test_equals_the_weighted_average_of_probabilities():
    torch.manual_seed(0)
    phase_logits = 3 * torch.randn(3, 4, 5)
    fusion = LateWeighted(num_phases=4, num_classes=5)
    torch.nn.init.normal_(fusion.scores)
    logits, aux = fusion(phase_logits, PRESENT)
    for b in range(3):
        at_hand = [p for p in range(4) if PRESENT[b, p]]
        total = sum(fusion.scores[p].exp() for p in at_hand)
        weight = {p: fusion.scores[p].exp() / total for p in at_hand}
        expected = sum(weight[p] * phase_logits[b, p].softmax(dim=0) for p in at_hand)
        torch.testing.assert_close(logits.softmax(dim=1)[b], expected)
        for p in at_hand:
            torch.testing.assert_close(aux["weights"][b, p], weight[p])


def test_starts_as_the_plain_mean():
    phase_logits = torch.randn(3, 4, 5)
    weighted = LateWeighted(num_phases=4, num_classes=5)(phase_logits, PRESENT)[0]
    torch.testing.assert_close(weighted, LateMean(num_phases=4, num_classes=5)(phase_logits, PRESENT)[0])


def test_learns_to_trust_the_phase_that_is_right():
    phase_logits = torch.tensor([[[2.0, -2.0], [-2.0, 2.0]]])  # of class 0, phase 0 is sure, phase 1 wrong
    fusion = LateWeighted(num_phases=2, num_classes=2)
    logits, _ = fusion(phase_logits, torch.ones(1, 2, dtype=torch.bool))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0])).backward()
    assert fusion.scores.grad[0] < 0 < fusion.scores.grad[1]
