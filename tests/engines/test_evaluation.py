# SPDX-License-Identifier: Apache-2.0
"""The report handler on a real MONAI evaluator."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd, Compose, Identity
from scripts.engines.evaluation import EvaluationReport
from scripts.metrics.predictions import read_predictions
from scripts.metrics.rows import classification_table
from scripts.networks.calibration import Calibration

FILES = [
    "confusion_matrix.png",
    "decision_curve.png",
    "metrics.json",
    "precision_recall.png",
    "predictions.csv",
    "reliability.png",
    "roc.png",
]


def items(n: int = 10, labelled: bool = True, classes: int = 2) -> list[dict[str, Any]]:
    """Cases of one phase whose mean tells the class, with noise; two cases per patient."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for i in range(n):
        label = i % classes
        item: dict[str, Any] = {
            "image": torch.randn(1, 2, 2, 2, generator=generator) * 0.5 + label,
            "case": f"case{i:02d}",
            "patient": f"patient{i // 2}",
        }
        found.append(item | ({"label": label} if labelled else {}))
    return found


def evaluator(data: list[dict[str, Any]], report: EvaluationReport, softmax: bool = True, classes: int = 2) -> Any:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, classes))
    with torch.no_grad():
        network[1].weight.copy_(torch.linspace(-1, 1, classes)[:, None].expand(classes, 8))
        network[1].bias.copy_(-4 * torch.linspace(-1, 1, classes) * (classes > 1))
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=4),
        network=network,
        postprocessing=Compose([Activationsd(keys="pred", softmax=True)]) if softmax else Identity(),
        val_handlers=[report],
    )


def test_an_evaluation_writes_all_files_and_prints_the_table(tmp_path: Path, capsys: Any) -> None:
    report = EvaluationReport(tmp_path / "test", ["low", "high"], seed=3, name="test", draws=100)
    evaluator(items(), report).run()
    assert sorted(p.name for p in (tmp_path / "test").iterdir()) == FILES
    printed = capsys.readouterr().out
    assert "test: 10 cases, 5 patients" in printed
    assert "macro" in printed
    assert str(tmp_path / "test") in printed

    found = read_predictions(tmp_path / "test" / "predictions.csv")
    assert found.cases == [f"case{i:02d}" for i in range(10)], "every case once, also the last, smaller batch"
    assert found.labels == [i % 2 for i in range(10)]
    assert found.patients == [f"patient{i // 2}" for i in range(10)]
    content = json.loads((tmp_path / "test" / "metrics.json").read_text())
    assert content["intervals"]["auc"]["n_patients"] == 5
    assert (content["seed"], content["machine"]["device"]) == (3, "cpu")
    again = classification_table(found.probabilities, found.labels, found.classes)
    for metric in ("auc", "accuracy", "sensitivity", "f1"):
        assert content["macro"][metric] == again[-1][metric] == report.rows[-1][metric]


def test_the_probabilities_are_those_of_the_network(tmp_path: Path) -> None:
    data = items(7, classes=3)
    engine = evaluator(data, EvaluationReport(tmp_path, ["a", "b", "c"], draws=0), classes=3)
    engine.run()
    with torch.no_grad():
        logits = engine.network(torch.stack([item["image"] for item in data]))
    expected = torch.softmax(logits, dim=1).numpy()
    found = read_predictions(tmp_path / "predictions.csv").probabilities
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert json.loads((tmp_path / "metrics.json").read_text())["intervals"] == {}


def test_it_can_run_again_with_the_same_bytes(tmp_path: Path) -> None:
    report = EvaluationReport(tmp_path, ["low", "high"], draws=50)
    engine = evaluator(items(), report)
    engine.run()
    first = {name: (tmp_path / name).read_bytes() for name in FILES}
    engine.run()
    assert len(report.predictions) == 10
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == first


def test_without_labels_there_are_predictions_only(tmp_path: Path) -> None:
    report = EvaluationReport(tmp_path, ["low", "high"], name="inference")
    evaluator(items(labelled=False), report).run()
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.csv"]
    with (tmp_path / "predictions.csv").open() as file:
        assert next(csv.reader(file)) == ["case", "patient", "predicted", "positive_class", "p_low", "p_high"]
    assert report.rows is None


def test_some_cases_without_label_are_predicted_and_not_counted(tmp_path: Path) -> None:
    # Batches of 4: the last two cases (one batch) have no label.
    data = items(8) + [{k: v for k, v in item.items() if k != "label"} for item in items(10)[8:]]
    evaluator(data, EvaluationReport(tmp_path, ["low", "high"], draws=0)).run()
    assert read_predictions(tmp_path / "predictions.csv").labels[-3:] == [1, None, None]
    assert json.loads((tmp_path / "metrics.json").read_text())["n"] == 8


def test_the_figures_reach_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    evaluator(items(), EvaluationReport(tmp_path, ["low", "high"], draws=0, tensorboard=True)).run()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    tags = ["roc", "confusion_matrix", "precision_recall", "reliability", "decision_curve"]
    assert events.Tags()["images"] == [f"test/{tag}" for tag in tags]


class Calibrated(torch.nn.Module):
    def __init__(self, network: torch.nn.Module, temperature: float, threshold: float) -> None:
        super().__init__()
        self.network, self.calibration = network, Calibration(2)
        self.calibration.temperature.fill_(temperature)
        self.calibration.threshold.fill_(threshold)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.calibration(self.network(image))


def test_the_networks_calibration_and_threshold_are_reported(tmp_path: Path) -> None:
    engine = evaluator(items(), EvaluationReport(tmp_path / "before", ["low", "high"], draws=0))
    engine.run()
    before = json.loads((tmp_path / "before" / "metrics.json").read_text())
    assert (before["calibration"], before["at_threshold"]) == (None, None)

    network = Calibrated(engine.network, 3.0, 0.25)
    report = EvaluationReport(tmp_path / "after", ["low", "high"], draws=50, network=network)
    engine = evaluator(items(), report)
    engine.network = network
    engine.run()
    after = json.loads((tmp_path / "after" / "metrics.json").read_text())
    assert after["calibration"]["temperature"] == 3.0
    for name in ("brier", "ece"):
        assert after["calibration"][f"{name}_before"] == pytest.approx(before["macro"][name], abs=1e-6)
        assert after["calibration"][f"{name}_after"] == after["macro"][name]
    assert after["macro"]["auc"] == before["macro"]["auc"]
    found = read_predictions(tmp_path / "after" / "predictions.csv")
    called, high = found.probabilities[:, 1] >= 0.25, np.array(found.labels) == 1
    row = after["at_threshold"]
    assert (row["threshold"], row["class"]) == (0.25, "high")
    assert row["sensitivity"] == called[high].mean()
    assert row["specificity"] == pytest.approx(1 - called[~high].mean())
    benefit = (called & high).mean() - (called & ~high).mean() / 3
    assert row["net_benefit"] == pytest.approx(benefit)
    assert row["net_benefit_interval"][0] <= benefit <= row["net_benefit_interval"][1]


def test_logits_are_refused_with_the_case_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"case case00: probabilities must .*apply softmax"):
        evaluator(items(), EvaluationReport(tmp_path, ["low", "high"]), softmax=False).run()
    assert list(tmp_path.iterdir()) == []


def test_nan_names_its_case(tmp_path: Path) -> None:
    data = items()
    data[5]["image"] = torch.full((1, 2, 2, 2), float("nan"))
    with pytest.raises(ValueError, match="case case05: probabilities must be finite"):
        evaluator(data, EvaluationReport(tmp_path, ["low", "high"])).run()


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = EvaluationReport(tmp_path / "file" / "results", ["low", "high"])
    with pytest.raises(ValueError, match="cannot be written"):
        evaluator(items(), report).run()
    assert report.predictions == []


def test_items_without_case_say_what_to_do(tmp_path: Path) -> None:
    data = [{k: v for k, v in item.items() if k != "case"} for item in items()]
    with pytest.raises(ValueError, match=r"must have the key case.*keep it in the preprocessing"):
        evaluator(data, EvaluationReport(tmp_path, ["low", "high"])).run()


@pytest.mark.slow
def test_two_processes_write_one_report(tmp_path: Path) -> None:
    code = """
import sys, torch, numpy as np
from ignite.engine import Engine
from scripts.engines import EvaluationReport
rank, join = int(sys.argv[1]), f"file://{sys.argv[2]}/join"
torch.distributed.init_process_group("gloo", init_method=join, rank=rank, world_size=2)
mine = [0, 2, 4] if rank == 0 else [1, 3, 0]
def step(engine, i):
    engine.state.batch = [{"case": f"c{i}", "label": i % 2}]
    return [{"pred": torch.tensor([0.3, 0.7]) if i % 2 else torch.tensor([0.6, 0.4])}]
engine = Engine(step)
EvaluationReport(sys.argv[2] + "/out", ["low", "high"], draws=10).attach(engine)
engine.run(mine)
torch.distributed.destroy_process_group()
"""
    workers = [subprocess.Popen([sys.executable, "-c", code, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    found = read_predictions(tmp_path / "out" / "predictions.csv")
    assert sorted(found.cases) == ["c0", "c1", "c2", "c3", "c4"], "the repeated case counts once"
