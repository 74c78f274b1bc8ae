# SPDX-License-Identifier: Apache-2.0
"""Late fusion from the outside: what each phase says alone, and how it is combined."""

from __future__ import annotations

import pytest
import torch
from scripts.losses.classification import ClassificationLoss
from scripts.losses.deep_supervision import DeepSupervision
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion.decisions import Evidential, LateMean
from scripts.networks.fusion.tokens import Concat
from scripts.networks.phase_fusion import LateFusionNetwork, PhaseFusionNetwork

ALL = torch.ones(2, 3, dtype=torch.bool)


def network(combination, share_encoder: bool = True) -> LateFusionNetwork:
    torch.manual_seed(0)
    return LateFusionNetwork(ResidualEncoder, combination, 3, num_classes=4, share_encoder=share_encoder)


@pytest.mark.parametrize("share_encoder", [True, False])
def test_late_mean_is_the_average_of_runs_on_one_phase_each(share_encoder):
    late = network(LateMean, share_encoder).eval()
    image = torch.rand(2, 3, 12, 12, 12)
    single = [late(image, present=ALL & (torch.arange(3) == p)).softmax(dim=1) for p in range(3)]
    assert (single[0] - single[1]).abs().max() > 1e-3
    torch.testing.assert_close(late(image, present=ALL).softmax(dim=1), sum(single) / 3)


def test_deep_supervision_trains_the_head_of_a_phase_by_its_own_prediction():
    late = network(LateMean).train()
    outputs = late(torch.rand(2, 3, 12, 12, 12), present=ALL)
    label = torch.tensor([0, 3])
    DeepSupervision(ClassificationLoss(), weight=1.0)({**outputs, "logits": torch.zeros(2, 4)}, label).backward()
    probability = outputs["phase_logits"].softmax(dim=2).mean(dim=0)
    for p, head in enumerate(late.phase_heads):  # the gradient of cross-entropy: probability minus target
        expected = (probability[p] - torch.tensor([0.5, 0.0, 0.0, 0.5])) / 3
        torch.testing.assert_close(head.bias.grad, expected)


def test_evidence_of_the_phases_takes_the_place_of_their_logits():
    outputs = network(Evidential).train()(torch.rand(2, 3, 12, 12, 12), present=ALL)
    alpha = outputs["phase_logits"].exp()
    assert (alpha > 1).all()
    torch.testing.assert_close(outputs["phase_uncertainty"], 4 / alpha.sum(dim=2))
    torch.testing.assert_close(outputs["uncertainty"], 4 / outputs["logits"].exp().sum(dim=1))


def test_names_of_the_weights_are_stable():
    fused = PhaseFusionNetwork(ResidualEncoder, Concat, 3, num_classes=2, phase_heads=True)
    assert {name.split(".")[0] for name in fused.state_dict()} == {
        "encoder", "fusion", "head", "phase_heads", "calibration",
    }  # fmt: skip
    late = network(LateMean)
    assert {name.split(".")[0] for name in late.state_dict()} == {"encoder", "phase_heads", "calibration"}
