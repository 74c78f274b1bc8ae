# SPDX-License-Identifier: Apache-2.0
"""The positive one of two classes: what is said about it does not depend on the order of the classes."""

from __future__ import annotations

import csv
import json
import logging
import shutil

import numpy as np
import pytest
import torch
import yaml
from monai.data import DataLoader
from scripts.cases.positive import named_class, positive_class, positive_index
from scripts.engines.calibrate import CalibrateModel
from scripts.engines.labelled import LabelledPredictions, write_results
from scripts.engines.metadata import check_model, metadata
from scripts.figures.curves import confusion_figure, roc_figure
from scripts.files.errors import message_of
from scripts.metrics.calibration import youden_threshold
from scripts.metrics.predictions import read_predictions, write_predictions
from scripts.metrics.rows import threshold_row
from scripts.networks.calibration import Calibration
from scripts.transforms.viewer_answer import JudgePositived
from workbench.report.probability_figures import decision_figure, precision_recall_figure, reliability_figure

CLASSES = ["aggressive", "indolent"]


def predictions(n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, 2] and labels; 30% of the first class, which is found not too badly."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) >= 0.3).astype(int)
    risk = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * (label == 0) - 1.0)))
    return np.stack([risk, 1 - risk], axis=1), label


def test_the_decision_about_the_first_class_is_that_of_the_turned_table() -> None:
    """The same cases with the classes in the other order, where the positive one is the last."""
    p, label = predictions()
    found = threshold_row(p, label, CLASSES, 0.3, draws=60, positive="Aggressive")
    turned = threshold_row(p[:, ::-1], 1 - label, CLASSES[::-1], 0.3, draws=60)
    assert found == turned
    assert found["class"] == "aggressive"
    called, truly = p[:, 0] >= 0.3, label == 0
    assert found["sensitivity"] == pytest.approx((called & truly).sum() / truly.sum())
    assert found["net_benefit_of_treating_all"] == pytest.approx(truly.mean() - (~truly).mean() * 0.3 / 0.7)
    other = threshold_row(p, label, CLASSES, 0.3, draws=0)
    assert other["class"] == "indolent"
    assert other["sensitivity"] != found["sensitivity"]


def words(figure) -> str:
    axes = figure.axes
    labels = [text for one in axes for text in (one.get_title(), one.get_xlabel(), one.get_ylabel())]
    ticks = [tick.get_text() for one in axes for tick in (*one.get_xticklabels(), *one.get_yticklabels())]
    return "\n".join([*labels, *ticks, figure.get_suptitle()])


def test_every_figure_names_the_positive_class_and_shows_its_curve() -> None:
    p, label = predictions()
    roc = roc_figure(p, label, CLASSES, draws=0, positive="aggressive")
    assert "aggressive against indolent" in words(roc)
    for found, turned in (
        (roc, roc_figure(p[:, ::-1], 1 - label, CLASSES[::-1], draws=0)),
        (
            precision_recall_figure(p, label, CLASSES, positive="aggressive"),
            precision_recall_figure(p[:, ::-1], 1 - label, CLASSES[::-1]),
        ),
        (
            decision_figure(p, label, CLASSES, draws=0, threshold=0.3, positive="aggressive"),
            decision_figure(p[:, ::-1], 1 - label, CLASSES[::-1], draws=0, threshold=0.3),
        ),
        (
            reliability_figure(p, label, CLASSES, positive="aggressive"),
            reliability_figure(p[:, ::-1], 1 - label, CLASSES[::-1]),
        ),
    ):
        assert "aggressive" in words(found)
        assert words(found) == words(turned)
        for line, other in zip(found.axes[0].get_lines(), turned.axes[0].get_lines(), strict=True):
            np.testing.assert_allclose(line.get_xydata(), other.get_xydata(), atol=1e-12)
    assert "aggressive\n(positive)" in words(confusion_figure(p, label, CLASSES, positive="aggressive"))
    assert "(positive)" not in words(confusion_figure(p, label, CLASSES))


def test_of_more_classes_each_stands_against_the_rest() -> None:
    rng = np.random.default_rng(1)
    p, label = rng.dirichlet(np.ones(3), 60), np.arange(60) % 3
    assert len(roc_figure(p, label, ["a", "b", "c"], draws=0).axes) == 3
    assert positive_class(None, ["a", "b", "c"]) is None


def test_results_and_predictions_name_it(tmp_path, capsys) -> None:
    p, label = predictions()
    names = [f"case{i}" for i in range(len(p))]
    found = LabelledPredictions(p, label, names, p, 1.2, 0.3, "aggressive")
    write_results(tmp_path, found, CLASSES, "test", 0, 0, "cpu")
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["positive"] == "aggressive"
    assert content["at_threshold"]["class"] == "aggressive"
    assert content["classes"] == CLASSES, "the order stays"
    assert "At the model's threshold, aggressive (the positive class) from P(aggressive)" in capsys.readouterr().out
    file = write_predictions(
        tmp_path / "p.csv", names, p, CLASSES, label.tolist(), positive="aggressive", threshold=0.3
    )
    with file.open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["positive_class"] for row in rows} == {"aggressive"}
    assert [row["called_positive"] for row in rows] == ["yes" if one >= 0.3 else "no" for one in p[:, 0]]
    assert read_predictions(file).classes == CLASSES


class Given(torch.nn.Module):
    """Logits as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.calibration = Calibration(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.calibration(image)


@pytest.mark.parametrize(("positive", "index"), [("aggressive", 0), ("INDOLENT", 1), (None, 1)])
def test_the_threshold_is_fitted_on_the_positive_class(tmp_path, positive, index) -> None:
    p, label = predictions(120)
    cases = [
        {"image": torch.log(torch.tensor(row)), "label": int(k), "case": str(i)}
        for i, (row, k) in enumerate(zip(p, label, strict=True))
    ]
    torch.save(Given().state_dict(), tmp_path / "model.pt")
    CalibrateModel(
        True, Given(), tmp_path / "model.pt", DataLoader(cases, batch_size=40),
        lambda batch, device: (batch["image"], batch["label"], (), {}), lambda x, network: network(x), "cpu",
        classes=CLASSES, positive=positive,
    ).run()  # fmt: skip
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    temperature = float(state["calibration.temperature"])
    risk = np.exp(np.log(p) / temperature)
    risk = (risk / risk.sum(axis=1, keepdims=True))[:, index]
    assert float(state["calibration.threshold"]) == pytest.approx(youden_threshold(risk, label == index), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "found"), [("aggressive", 0), ("Aggressive", 0), (" INDOLENT ", 1), ("indolent", 1), (None, 1)]
)
def test_letter_case_does_not_matter(name, found) -> None:
    assert positive_index(CLASSES, name) == found


def test_names_that_differ_by_their_case_alone_are_told_apart() -> None:
    assert [positive_index(["T", "t"], name) for name in ("T", "t")] == [0, 1]
    assert positive_index(["Nein", "JÄ"], "jä") == 1
    assert positive_index(["STRASSE", "weg"], "straße") == 0
    assert positive_index(["0", "1"], 0) == 0


@pytest.mark.parametrize(
    ("positive", "classes", "message"),
    [
        ("agressive", CLASSES, "`positive` must be one of the classes .*nearest: 'aggressive'.*found 'agressive'"),
        ("", CLASSES, "`positive` must be one of the classes .*found ''"),
        (True, ["no", "yes"], "must be the name of one of the classes .*found True; write the name in quotes"),
        ("b", ["a", "b", "c"], "one of two classes, found 'b' with the 3 classes .*leave it out"),
        ("TT", ["Tt", "tT"], "must be one of the classes .*found 'TT'"),
        (["high"], ["low", "high"], "must be the name of one of the classes"),
    ],
)
def test_what_is_no_class_is_refused_in_one_line(positive, classes, message) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        named_class(positive, classes)
    assert "\n" not in str(caught.value)


def test_what_is_not_given_is_asked_of_the_dataset_and_else_assumed_aloud(tmp_path, capsys) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"phases": ["a"], "positive": "Aggressive"}))
    assert positive_class(None, CLASSES, tmp_path) == "aggressive"
    assert positive_class("indolent", CLASSES, tmp_path) == "indolent"
    assert capsys.readouterr().out == ""
    assert positive_class(None, CLASSES, tmp_path / "nowhere") == "indolent"
    said = capsys.readouterr().out
    assert "positive class: indolent, assumed as the last" in said
    assert said.count("\n") == 1
    (tmp_path / "dataset.json").write_text(json.dumps({"phases": ["a"], "positive": "mild"}))
    with pytest.raises(ValueError, match=r"'positive' in .*dataset.json must be one of the classes"):
        positive_class(None, CLASSES, tmp_path)


def test_a_model_keeps_its_positive_class_and_one_of_before_has_the_last(tmp_path) -> None:
    """The threshold in the weights belongs to it."""
    config = {"phases": ["a"], "classes": CLASSES, "clinical": [], "grid_size": [8, 8, 8], "positive": "aggressive"}
    (tmp_path / "configs").mkdir()
    file = tmp_path / "configs" / "metadata.json"
    made = metadata({"name": "x"}, config)
    assert "the positive class is aggressive" in made["pred_classes"]
    file.write_text(json.dumps(made))
    check_model(tmp_path, config)
    check_model(tmp_path, config | {"positive": "AGGRESSIVE"})
    for other in ("indolent", None):
        with pytest.raises(ValueError, match=r'positive \("aggressive" against "indolent" here\)'):
            check_model(tmp_path, config | {"positive": other})
    del made["model_configuration"]["positive"]
    file.write_text(json.dumps(made))
    check_model(tmp_path, config | {"positive": None})
    check_model(tmp_path, {key: value for key, value in config.items() if key != "positive"})
    with pytest.raises(ValueError, match="positive"):
        check_model(tmp_path, config)


def test_what_a_server_answers_names_it(tmp_path) -> None:
    network = Given()
    network.calibration.threshold.fill_(0.25)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    tell = JudgePositived("pred", CLASSES, "Aggressive", str(tmp_path / "model.pt"))
    answer = tell({"pred": torch.tensor([0.3, 0.7])})["result"]
    assert answer == {"positive_class": "aggressive", "threshold": 0.25, "positive": True}
    assert tell({"pred": torch.tensor([0.2, 0.8])})["result"]["positive"] is False
    assert JudgePositived("pred", ["a", "b", "c"])({"pred": torch.ones(3) / 3})["result"] == {}


@pytest.mark.slow
def test_a_training_carries_it_into_all_it_leaves(bundle, quick, small_phantom, tmp_path, capsys, caplog) -> None:
    """The first class is positive by dataset.json; the results folder then needs no dataset to know it."""
    from workbench.predict import command as predict

    data = tmp_path / "data"
    shutil.copytree(small_phantom, data)
    document = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps(document | {"positive": "LOW"}))
    folder = tmp_path / "out"
    with caplog.at_level(logging.INFO):
        bundle(
            "training", ["configs/train.yaml"], output_dir=str(folder),
            **quick | {"dataset_dir": str(data), "max_epochs": 1, "missing_phases": False},
        )  # fmt: skip
    for name in ("train", "inference"):
        assert yaml.safe_load((folder / "configs" / f"{name}.yaml").read_text())["positive"] == "low"
        assert json.loads((folder / "configs" / f"{name}.json").read_text())["positive"] == "low"
    made = json.loads((folder / "configs" / "metadata.json").read_text())
    assert made["model_configuration"]["positive"] == "low"
    assert "the positive class is low" in made["description"]
    found = json.loads((folder / "metrics.json").read_text())
    assert found["positive"] == found["at_threshold"]["class"] == "low"
    assert found["classes"] == ["low", "high"]
    page = (folder / "report.html").read_text()
    assert "Called low from a probability of" in page
    assert "Positive class" in page
    assert "assumed" not in capsys.readouterr().out
    assert "8 validation cases tell too little" in caplog.text
    case = read_predictions(folder / "predictions.csv").cases[0]
    predict.main([f"--run={folder}", f"--input={data / case}", f"--output={tmp_path / 'one'}"])
    one = json.loads((tmp_path / "one" / "prediction.json").read_text())
    assert one["positive_class"] == "low"
    assert one["positive"] == (one["probabilities"]["low"] >= one["threshold"])
    called = "positive" if one["positive"] else "negative"
    assert f"{called} for low, called so from a probability of" in capsys.readouterr().out
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle(
            "inferring", [str(folder / "configs" / "inference.yaml")], bundle_root=str(folder),
            positive="hihg", dataset_dir=str(data), output_dir=str(tmp_path / "no"),
        )  # fmt: skip
    assert "nearest: 'high'" in str(message_of(caught.value))
