# SPDX-License-Identifier: Apache-2.0
"""Ordered grades: the formulas of the CORN paper, every strategy, export, calibration, and intervals of grades."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from scripts.losses import ClassificationLoss
from scripts.metrics.prediction_sets import evidence_of
from scripts.networks.builder import build
from scripts.networks.calibration import Ensemble
from scripts.networks.grades import GradeHead, is_ordinal, log_grades
from torch import Tensor
from torch.nn import functional

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
STRATEGIES = sorted(path.stem for path in (CONFIGS / "fusion").glob("*.yaml"))
CLINICAL = [{"name": "age", "kind": "number"}]
SHAPE = (3, 2, 16, 16, 16)


def corn_loss(logits: Tensor, label: Tensor, classes: int) -> Tensor:
    """Return the loss of Shi et al., equation 9: each question over the cases that ask it, per question asked."""
    total, asked = torch.zeros(()), 0
    for k in range(classes - 1):
        subset = label > k - 1
        target = (label[subset] > k).float()
        z = logits[subset, k]
        total = total - (functional.logsigmoid(z) * target + (functional.logsigmoid(z) - z) * (1 - target)).sum()
        asked += int(subset.sum())
    return total / asked


def test_grades_and_loss_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    classes, n = 5, 40
    head, features, label = GradeHead(7, classes), torch.randn(n, 7), torch.arange(n) % classes
    logits = functional.linear(features, head.weight, head.bias) + torch.tensor([4.0, 3.0, 2.0, 1.0]).log()
    above = torch.sigmoid(logits).cumprod(dim=1)  # P(y > k), equation 6 of the paper
    expected = -torch.diff(above, prepend=torch.ones(n, 1), append=torch.zeros(n, 1), dim=1)
    torch.testing.assert_close(head(features).exp(), expected)
    assert (head(features).exp().sum(dim=1) - 1).abs().max() < 1e-6
    asked = sum(int((label >= k).sum()) for k in range(classes - 1))
    ours = ClassificationLoss()(head(features), label)
    torch.testing.assert_close(ours * n / asked, corn_loss(logits, label, classes))


def test_far_logits_stay_finite_and_learn() -> None:
    steps = torch.tensor([[-200.0, 300.0], [200.0, -300.0]], requires_grad=True)
    found = log_grades(steps)
    ClassificationLoss()(found, torch.tensor([2, 0])).backward()
    assert steps.grad is not None
    assert torch.cat([found.detach().flatten(), steps.grad.flatten()]).isfinite().all()


@pytest.mark.parametrize("fusion", STRATEGIES)
def test_every_strategy_takes_grades_or_says_in_one_line_why_not(fusion: str, say) -> None:
    clinical = CLINICAL if fusion in ("daft", "film", "table") else []
    torch.manual_seed(0)
    if fusion == "evidential":
        with pytest.raises(ValueError, match="whose phases give evidence; choose another strategy") as error:
            build(["a", "b"], fusion=fusion, num_classes=4, ordinal=True)
        say("Settings", "grades by a strategy of evidence", error.value)
        return
    network = build(["a", "b"], fusion=fusion, num_classes=4, clinical=clinical, ordinal=True, dropout=0.0)
    assert is_ordinal(network)
    assert is_ordinal(Ensemble([network]))
    assert not is_ordinal(build(["a", "b"], fusion=fusion, num_classes=4, clinical=clinical))
    outputs = network.train()(torch.rand(SHAPE), torch.rand(3, 1))
    ClassificationLoss()(outputs, torch.tensor([0, 3, 1])).backward()
    torch.testing.assert_close(outputs["logits"].exp().sum(dim=1), torch.ones(3))  # log probabilities
    for name, parameter in network.named_parameters():
        if "head" in name.split("."):
            assert parameter.grad is not None, name
            assert len(parameter) == 3, name


@pytest.mark.parametrize("fusion", ["concat", "late_product"])
def test_export_and_temperature(fusion: str) -> None:
    network = build(["a", "b"], fusion=fusion, num_classes=4, ordinal=True).eval()
    image = torch.rand(SHAPE)
    raw = network(image)
    network.get_submodule("calibration").get_buffer("temperature").fill_(2.0)
    found = network(image).softmax(dim=1)
    torch.testing.assert_close(found, raw.exp().sqrt() / raw.exp().sqrt().sum(dim=1, keepdim=True))
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(network), buffer)
    buffer.seek(0)
    torch.testing.assert_close(torch.jit.load(buffer)(image), network(image))


def test_a_hybrid_whose_levels_know_no_grades_is_refused(say) -> None:
    from scripts.networks import HybridNetwork

    levels = [build(["a", "b"], fusion=one, num_classes=4) for one in ("early", "late_mean")]
    with pytest.raises(ValueError, match="must hold for every level of a hybrid") as error:
        HybridNetwork(levels, num_classes=4, ordinal=True)
    say("Settings", "grades for a hybrid whose levels know none", error.value)


def test_a_training_ends_with_intervals_of_grades(
    bundle, quick, small_phantom: Path, tmp_path: Path, without_pixels
) -> None:
    document = json.loads((small_phantom / "dataset.json").read_text(encoding="utf-8"))
    for split, most in (("training", 8), ("validation", 4), ("test", 8)):
        document[split] = document[split][:most]
        for i, entry in enumerate(document[split]):
            entry["label"] = f"G{i % 4}"
            entry["image"] = {phase: str(small_phantom / path) for phase, path in entry["image"].items()}
            entry["roi"] = str(small_phantom / entry["roi"])
    (tmp_path / "data").mkdir()
    document["classes"] = ["G0", "G1", "G2", "G3"]
    document.pop("positive", None)
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    output = tmp_path / "out"
    files = ["configs/train.yaml", "configs/training/ordinal.yaml"]
    settings = quick | {"max_epochs": 1, "missing_phases": False, "classes": document["classes"]}
    bundle("training", files, **settings | {"dataset_dir": str(tmp_path / "data"), "output_dir": str(output)})
    evidence = evidence_of(output / "models" / "model.pt")
    assert evidence is not None
    assert evidence.ordered
    assert "intervals of grades" in evidence.note
    table = pandas.read_csv(output / "predictions.csv", keep_default_na=False)
    place = {name: i for i, name in enumerate(document["classes"])}
    for column in ("set_80", "class_set_80", "set_95"):
        for text in table[column]:
            inside = [place[name] for name in text.split("; ")] if text else []
            assert inside == list(range(min(inside, default=0), max(inside, default=-1) + 1))
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["macro"]
    said = table["predicted"].map(place) - table["true"].map(place)
    assert metrics["grade_error"] == pytest.approx(float(np.abs(said).mean()))
    assert len(metrics["grade_error_interval"]) == 2
    inference = [str(output / "configs" / "inference.yaml")]  # what servers, exports and new cases use
    again = tmp_path / "again"
    bundle("inferring", inference, bundle_root=str(output), output_dir=str(again), dataset_dir=str(tmp_path / "data"))
    new = pandas.read_csv(again / "predictions.csv", keep_default_na=False, index_col="case")
    columns = ["set_90", "p_G2"]
    expected = table.set_index("case")[columns]
    assert new.loc[expected.index, "set_90"].tolist() == expected["set_90"].tolist()
    assert new.loc[expected.index, "p_G2"].tolist() == pytest.approx(expected["p_G2"].tolist(), abs=1e-4)
