# SPDX-License-Identifier: Apache-2.0
"""Attention and weights of strategies with several tokens or levels: the numbers of the network, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from scripts import build
from torch import Tensor, nn
from workbench.report.attention import Attention, AttentionReport, attention_figure
from workbench.report.features import FeatureReport
from workbench.report.weights import WeightReport

from tests.report.test_case_reports import evaluate

PHASES = ["pre", "arterial", "portal"]
CLASSES = ["a", "b"]
COLUMNS = [{"name": "age", "kind": "number"}]


def network_of(strategy: str, table: bool = False) -> nn.Module:
    torch.manual_seed(0)
    return build(PHASES, fusion=strategy, clinical=COLUMNS if table else [], num_classes=2).eval()


def cases(n: int = 8, table: bool = False) -> list[dict[str, Any]]:
    """Make cases of two classes; in the first two, phase arterial is missing."""
    image = torch.rand(n, 3, 12, 12, 12, generator=torch.Generator().manual_seed(1))
    present = torch.ones(n, 3, dtype=torch.bool)
    present[:2, 1] = False
    items = [{"case": f"c{i}", "image": image[i], "present": present[i], "label": i % 2} for i in range(n)]
    return [item | ({"clinical": torch.tensor([60.0 + i])} if table else {}) for i, item in enumerate(items)]


def fused(network: Any, items: list[dict[str, Any]]) -> tuple[dict[str, Tensor], Tensor]:
    """Return what the fusion adds, and which tokens are present, by the parts of the network."""
    image, present = (torch.stack([item[key] for item in items]) for key in ("image", "present"))
    clinical = torch.stack([item["clinical"] for item in items]) if "clinical" in items[0] else None
    with torch.no_grad():
        tokens, present = network.with_table(network.tokens(image, present), present, clinical)
        return network.fusion(tokens, present)[1], present


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize("strategy", ["attention", "self_attention", "cross_attention", "fused_attention"])
def test_the_matrix_is_the_mean_over_heads_and_cases_that_have_both_tokens(strategy, table, tmp_path):
    network, items = network_of(strategy, table), cases(table=table)
    evaluate(items, AttentionReport(network, PHASES, tmp_path, CLASSES), network, batch_size=3)
    found = pandas.read_csv(tmp_path / "attention.csv", keep_default_na=False)
    tokens = [*PHASES, *(["clinical table"] if table else [])]
    aux, present = fused(network, items)
    for kind in [key for key in aux if "attention" in key]:
        mean = aux[kind].mean(dim=1)
        asking = tokens if mean.dim() == 3 else ["class token"]
        mean = mean if mean.dim() == 3 else mean.unsqueeze(1)
        here = present.unsqueeze(1) & (present.unsqueeze(2) if len(asking) > 1 else True)
        for group, chosen in (("", range(8)), ("a", range(0, 8, 2)), ("b", range(1, 8, 2))):
            rows = found[(found["attention"] == kind.replace("_", " ")) & (found["class"] == group)]
            for q, source in enumerate(asking):
                for m, target in enumerate(tokens):
                    row = rows[(rows["from"] == source) & (rows["to"] == target)].iloc[0]
                    both = [i for i in chosen if here[i, q, m]]
                    assert int(row["n"]) == len(both)
                    expected = float(np.mean([mean[i, q, m] for i in both]))
                    assert float(row["mean"]) == pytest.approx(expected, abs=1e-5)
            if kind == "cross_attention":
                kept = rows[(rows["from"] == "pre") & (rows["to"] == "(kept to itself)")].iloc[0]
                alone = 1 - mean[list(chosen), 0].sum(dim=1).mean()
                assert float(kept["mean"]) == pytest.approx(float(alone), abs=1e-5)
    with Image.open(tmp_path / "attention.png") as picture:
        assert picture.width > 500


def test_no_text_of_the_matrices_lies_over_another():
    tokens = ["native_unenhanced_breathhold", "hepatobiliary_phase_20min", *"abcde"]
    share = np.full((7, 7), 1 / 7)
    found = [Attention("attention", group, tokens, tokens, share, np.full((7, 7), 9)) for group in ("", "a", "b")]
    figure = attention_figure(found, CLASSES)
    figure.draw_without_rendering()
    note = figure._supxlabel.get_window_extent()
    ticks = [label for axes in figure.axes for label in axes.get_xticklabels()]
    assert min(label.get_window_extent().y0 for label in ticks if label.get_text()) >= note.y1
    assert figure.get_figwidth() <= 12


def test_a_strategy_without_attention_leaves_no_matrix(tmp_path):
    network = network_of("concat")
    evaluate(cases(), AttentionReport(network, PHASES, tmp_path, CLASSES), network)
    assert list(tmp_path.iterdir()) == []


def test_a_hybrid_has_the_features_and_weights_of_its_levels(tmp_path):
    network, items = network_of("hybrid"), cases()
    network.scores.data = torch.tensor([0.0, 1.0])
    evaluate(items, WeightReport(network, PHASES, tmp_path, CLASSES), network, batch_size=3)
    table = pandas.read_csv(tmp_path / "phase_weights.csv")
    assert list(table)[3:] == [*PHASES, "all together (level 1)"]
    early, late = torch.tensor([0.0, 1.0]).softmax(dim=0).tolist()
    weights = table.iloc[:, 3:].to_numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(weights[0], [late / 2, 0, late / 2, early], atol=1e-6)
    np.testing.assert_allclose(weights[-1], [late / 3] * 3 + [early], atol=1e-6)
    assert (tmp_path / "phase_weights.png").is_file()
    evaluate(items, FeatureReport(network, tmp_path, CLASSES), network, batch_size=3)
    features = pandas.read_csv(tmp_path / "features.csv").filter(like="feature_").to_numpy()
    inputs: list[Tensor] = []
    network.levels[0].head.register_forward_hook(lambda _, given, __: inputs.append(given[0]))
    with torch.no_grad():
        network(torch.stack([i["image"] for i in items]), present=torch.stack([i["present"] for i in items]))
    width = inputs[0].shape[1]
    np.testing.assert_allclose(features[:, :width], inputs[0], rtol=1e-4, atol=1e-5)
    assert features.shape[1] == width + len(PHASES) * len(CLASSES)
    assert (tmp_path / "features_tsne.png").is_file()


def test_equal_weights_for_all_are_said_in_the_log_alone(tmp_path, caplog):
    network = network_of("late_mean")
    with caplog.at_level("INFO"):
        evaluate(cases(), WeightReport(network, PHASES, tmp_path, CLASSES), network)
    assert "test: no figure of the phases' weights, this strategy gives all the same" in caplog.messages
    assert list(tmp_path.iterdir()) == []
