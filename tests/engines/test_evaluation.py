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
from scripts.cases.groups import CaseValues
from scripts.engines.evaluation import EvaluationReport
from scripts.metrics.prediction_sets import evidence_of, write_evidence
from scripts.metrics.predictions import read_predictions
from scripts.metrics.rows import classification_table
from scripts.networks.calibration import Calibration, Ensemble

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


class Tiny(torch.nn.Module):
    """Logits from the mean of the image, steeper or flatter, divided by a temperature of its own."""

    def __init__(self, slope: float, temperature: float) -> None:
        super().__init__()
        self.slope = slope
        self.calibration = Calibration(2)
        self.calibration.temperature.fill_(temperature)

    def forward(self, image: torch.Tensor, clinical: Any = None, present: Any = None) -> torch.Tensor:
        high = self.slope * (image.flatten(1).mean(dim=1) - 0.5)
        return self.calibration(torch.stack([-high, high], dim=1))


def with_evidence(folder: Path, seed: int, fold: str = "") -> Path:
    folder.mkdir()
    (folder / "model.pt").write_bytes(bytes([seed]))
    risk, label = np.random.default_rng(seed).random(30), np.arange(30) % 2
    probability, names = np.stack([1 - risk, risk], axis=1), [f"p{i}" for i in range(30)]
    write_evidence(folder / "model.pt", probability, label, names, names, "calibration")
    if fold:
        write_evidence(folder / "model.pt", probability[:20], label[:20], names[:20], names[:20], "folds", fold)
    return folder / "model.pt"


def test_sets_stand_in_the_table_and_their_coverage_in_the_metrics_by_class_and_site(tmp_path: Path) -> None:
    file = with_evidence(tmp_path / "models", 1)
    data = [item | {"site": "AB"[i % 3 == 0]} for i, item in enumerate(items(24))]
    groups = CaseValues([{"name": "site", "kind": "category"}], {one["case"]: {"site": one["site"]} for one in data})
    report = EvaluationReport(tmp_path / "out", ["low", "high"], draws=50, model_file=file, groups=groups)
    engine = evaluator(data, report)
    engine.run()
    evidence, found = evidence_of(file), read_predictions(tmp_path / "out" / "predictions.csv")
    assert evidence is not None
    inside = evidence.sets(found.probabilities[None], 0.8)
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
    assert [row["set_80"] for row in rows] == ["; ".join(np.array(["low", "high"])[row]) for row in inside]
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())["prediction_sets"]
    assert (told["source"], told["calibration_cases"]) == ("calibration", 30)
    groups = {group["group"]: group for group in told["groups"]}
    assert list(groups) == ["all", "class low", "class high", "site A", "site B"]
    held = inside[np.arange(24), found.labels]
    for name, chosen in (("all", [True] * 24), ("site B", [i % 3 == 0 for i in range(24)])):
        at = groups[name]["levels"][0]
        assert at["coverage"] == pytest.approx(held[chosen].mean())
        assert at["coverage_interval"][0] < at["coverage"] <= at["coverage_interval"][1]
        assert at["size"] == pytest.approx(inside[chosen].sum(axis=1).mean())
        assert groups[name]["n"] == sum(chosen)
    rows = {row["group"]: row for row in csv.DictReader((tmp_path / "out" / "subgroups.csv").open())}
    for site in "AB":
        at = groups[f"site {site}"]["levels"][1]
        assert (int(rows[site]["n"]), float(rows[site]["coverage_90"])) == (groups[f"site {site}"]["n"], at["coverage"])


def grouped(data: list[dict[str, Any]], **columns: list[Any]) -> CaseValues:
    values = {item["case"]: {name: found[i] for name, found in columns.items()} for i, item in enumerate(data)}
    return CaseValues([{"name": name, "kind": "category"} for name in columns], values)


def test_each_group_stands_in_every_output_and_goes_with_the_next_evaluation(tmp_path: Path, capsys: Any) -> None:
    data = [item | {"patient": item["case"]} for item in items(40)]
    site = ["=1+1" if i < 18 else "B" if i < 39 else "alone" for i in range(40)]
    sex = ["F" if i % 3 else None for i in range(40)]
    report = EvaluationReport(
        tmp_path, ["low", "high"], draws=50, groups=grouped(data, site=site, sex=sex, scanner=[None] * 40)
    )
    evaluator(data, report).run()
    printed = capsys.readouterr().out
    assert "by scanner: nothing to show, as no case has a value of it" in printed
    assert "By site [95% interval]" in printed
    assert printed.count("too few") >= 4
    rows = list(csv.DictReader((tmp_path / "subgroups.csv").open()))
    assert [(row["by"], row["group"], row["n"]) for row in rows] == [
        *[("site", "'=1+1", "18"), ("site", "B", "21"), ("site", "alone", "1")],
        *[("sex", "F", "26"), ("sex", "not recorded", "14")],
    ]
    assert (rows[2]["auc"], rows[2]["too_few"].split(";")[0]) == (
        "",
        "auc: 0 of 5 patients of class low, 1 of 5 patients of class high",
    )
    found = json.loads((tmp_path / "metrics.json").read_text())["subgroups"]
    assert float(rows[0]["auc"]) == pytest.approx(found[0]["groups"][0]["auc"], abs=1e-6)
    gaps = list(csv.DictReader((tmp_path / "subgroup_gaps.csv").open()))
    assert {(row["by"], row["metric"]) for row in gaps} >= {("site", "auc"), ("sex", "auc")}
    assert (tmp_path / "subgroups.png").read_bytes().startswith(b"\x89PNG")
    evaluator(data, EvaluationReport(tmp_path, ["low", "high"], draws=0)).run()
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES, "groups of before are gone"
    assert "subgroups" not in json.loads((tmp_path / "metrics.json").read_text())


def test_a_split_does_not_prove_its_own_sets(tmp_path: Path) -> None:
    file = with_evidence(tmp_path / "models", 1)
    report = EvaluationReport(tmp_path / "out", ["low", "high"], name="calibration", draws=0, model_file=file)
    evaluator(items(), report).run()
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["prediction_sets"]["groups"] == []


def test_models_of_folds_are_compared_each_with_its_own_part(tmp_path: Path) -> None:
    files = [with_evidence(tmp_path / str(seed), seed, "1, 0") for seed in range(2)]
    members = [Tiny(3.0, 2.0), Tiny(1.0, 0.5)]
    network = Ensemble(members)
    report = EvaluationReport(
        tmp_path / "out", ["low", "high"], draws=0, network=network, model_file=[str(file) for file in files]
    )
    engine = evaluator(items(12), report)
    engine.network = network
    engine.run()
    evidence = evidence_of([str(file) for file in files])
    assert evidence is not None
    image = torch.stack([item["image"] for item in items(12)])
    each = np.stack([member(image).softmax(dim=1).numpy() for member in members])
    inside = evidence.sets(each.astype(float), 0.8)
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
    assert [row["set_80"] for row in rows] == ["; ".join(np.array(["low", "high"])[row]) for row in inside]
    assert len({row["set_80"] for row in rows}) > 1


def test_evidence_of_other_weights_stops_before_anything_is_predicted(tmp_path: Path) -> None:
    file = with_evidence(tmp_path / "models", 1)
    file.write_bytes(b"other")
    report = EvaluationReport(tmp_path / "out", ["low", "high"], model_file=file)
    with pytest.raises(ValueError, match="found that of other weights"):
        evaluator(items(), report).run()
    assert not (tmp_path / "out" / "predictions.csv").exists()
