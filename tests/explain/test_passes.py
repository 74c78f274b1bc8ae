# SPDX-License-Identifier: Apache-2.0
"""What is collected of a network's passes is what the network itself used, for every strategy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scripts import build
from scripts.engines.inferer import TestTimeInferer
from scripts.networks.calibration import Ensemble
from scripts.networks.fusion.tokens import Gated
from torch import Tensor, nn
from workbench.explain.listening import FusedFeatures, FusionWeights

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "fusion"
STRATEGIES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
WEIGH = ("abaf", "attention", "gated", "late_mean", "late_weighted", "weighted_sum")
WEIGH_MAPS = ("se", "spatial_gated")
PHASES = ["pre", "arterial", "portal"]
PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0]], dtype=torch.bool)
CLINICAL = torch.tensor([[0.5], [float("nan")], [-1.0], [0.0]])


def network_of(strategy: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = build(PHASES, fusion=strategy, clinical=["age"], num_classes=3).eval()
    network.calibration.temperature.fill_(1.7)
    return network


def images() -> Tensor:
    return torch.rand(4, 3, 12, 12, 12, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def passed(network: nn.Module, collector: type) -> tuple[Tensor, Tensor | None]:
    """Return the logits of one pass, and what was collected of it."""
    passes = collector(network)
    logits = network(images(), clinical=CLINICAL, present=PRESENT)
    found = passes.take()
    passes.remove()
    return logits, found


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_features_are_what_the_logits_are_computed_from(strategy: str) -> None:
    network = network_of(strategy)
    logits, features = passed(network, FusedFeatures)
    if strategy == "table":
        assert features is None
    elif strategy == "hybrid":
        early, late = network.levels
        torch.testing.assert_close(features, torch.cat([passed(n, FusedFeatures)[1] for n in (early, late)], dim=1))
    elif hasattr(network, "head"):
        torch.testing.assert_close(network.head(features) / 1.7, logits)
    else:
        said = features.unflatten(1, (4, 3))  # three phases and the table
        there = torch.cat([PRESENT, ~CLINICAL.isnan()], dim=1)
        torch.testing.assert_close(said.sum(dim=2), torch.ones(4, 4))
        assert torch.equal(said[~there], torch.full_like(said[~there], 1 / 3))
        if strategy == "late_mean":
            mean = (said * there.unsqueeze(2)).sum(dim=1) / there.sum(dim=1, keepdim=True)
            torch.testing.assert_close(mean, (logits * 1.7).softmax(dim=1))


@pytest.mark.parametrize("strategy", STRATEGIES)
@torch.no_grad()
def test_the_weights_are_those_of_the_fusion(strategy: str) -> None:
    network = network_of(strategy)
    _, weights = passed(network, FusionWeights)
    if strategy in WEIGH_MAPS:
        _, aux = network.fusion(network.maps(images(), PRESENT), PRESENT)
        torch.testing.assert_close(weights, aux["weights"])
        return
    if strategy == "hybrid":  # early and late, each of half the weight; the late one weighs all alike
        there = torch.cat([PRESENT, ~CLINICAL.isnan()], dim=1)
        expected = torch.cat([there / there.sum(dim=1, keepdim=True), torch.ones(4, 1)], dim=1) / 2
        torch.testing.assert_close(weights, expected)
        return
    if strategy not in WEIGH:
        assert weights is None
        return
    tokens, there = network.with_table(network.tokens(images(), PRESENT), PRESENT, CLINICAL)
    if strategy in ("late_mean", "late_weighted"):
        _, aux = network.combination(network.phase_logits(tokens), there)
    else:
        _, aux = network.fusion(tokens, there)
    torch.testing.assert_close(weights, aux["weights"])
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(4))
    assert (weights[~there] == 0).all()


def test_an_ensemble_has_the_features_of_its_members_and_the_mean_of_their_weights() -> None:
    members = [network_of("gated", seed) for seed in range(2)]
    for member in members:
        assert isinstance(member.fusion, Gated)
        nn.init.normal_(member.fusion.gate.weight)
    alone = [[passed(member, kind)[1] for member in members] for kind in (FusedFeatures, FusionWeights)]
    ensemble = Ensemble(members)
    assert torch.equal(passed(ensemble, FusedFeatures)[1], torch.cat(alone[0], dim=1))
    assert not torch.allclose(alone[1][0], alone[1][1])
    torch.testing.assert_close(passed(ensemble, FusionWeights)[1], (alone[1][0] + alone[1][1]) / 2)


class Halved:
    """A "geometry" of two views: as it is, and of half the intensity."""

    def fixed(self, number: int, seed: int = 0) -> list:
        return [lambda image: image, lambda image: image / 2][:number]


@torch.no_grad()
def test_views_of_a_case_are_averaged_and_batches_kept_apart() -> None:
    network = network_of("concat")
    passes = FusedFeatures(network)
    seen = {"clinical": CLINICAL, "present": PRESENT}
    TestTimeInferer(Halved(), 2)(images(), network, **seen)
    both = passes.take()
    single = []
    for view in (images(), images() / 2):
        network(view, **seen)
        single.append(passes.take())
    assert not torch.allclose(single[0], single[1])
    torch.testing.assert_close(both, (single[0] + single[1]) / 2)
    passes.remove()
    network(images(), **seen)
    assert passes.take() is None, "nothing is collected after the end"
