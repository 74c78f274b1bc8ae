# SPDX-License-Identifier: Apache-2.0
"""Learning curves show training beside validation, in the table, the figure and TensorBoard."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace as Part

import numpy as np
import pandas
import pytest
import torch
from scripts.engines.curves import LearningCurves
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

METRICS = {"auc": 0.7, "accuracy": 0.6, "loss": -0.5, "selection": 0.7}


def curves(folder, history: list) -> tuple[LearningCurves, Part, Part]:
    """Return the handler, a validation engine and a training engine of 3 iterations per epoch."""
    evaluator = Part(state=Part(metrics=METRICS, key_metric_name="selection"))
    optimizer = Part(param_groups=[{"lr": 0.1}])
    handler = LearningCurves(
        history, evaluator, Part(improved=True), optimizer, folder, ["pre"], ["a", "b"], [1.0, 1.0, 1.0]
    )
    return handler, evaluator, Part(state=Part(iteration=3, epoch_length=3, steps=[]))


def step(handler: LearningCurves, trainer: Part, pred: torch.Tensor, label: torch.Tensor) -> None:
    """Let the handler see one training step."""
    trainer.state.output = {"loss": torch.tensor(1.0), "pred": pred, "label": label}
    handler._collect(trainer)


def test_training_scores_are_those_of_all_cases_since_the_last_validation(tmp_path):
    handler, evaluator, trainer = curves(tmp_path, [])
    rng = np.random.default_rng(0)
    for _ in range(2):
        batches = [(rng.dirichlet((1, 1), 5), rng.integers(0, 2, 5)) for _ in range(3)]
        for pred, label in batches:
            step(handler, trainer, torch.tensor(pred), torch.tensor(label))
        handler._record(evaluator, trainer)
        p, y = (np.concatenate(part) for part in zip(*batches, strict=True))
        row = handler.history[-1]
        assert row["train_auc"] == pytest.approx(roc_auc_score(y, p[:, 1]), abs=1e-6)
        assert row["train_accuracy"] == pytest.approx((p.argmax(axis=1) == y).mean())


def test_one_class_alone_has_no_auc_and_stops_nothing(tmp_path):
    handler, evaluator, trainer = curves(tmp_path, [])
    step(handler, trainer, torch.tensor([[0.4, 0.6]]), torch.tensor([1]))
    handler._record(evaluator, trainer)
    assert np.isnan(handler.history[0]["train_auc"])
    assert handler.history[0]["train_accuracy"] == 1
    handler._scalars(evaluator, trainer)
    handler._draw(trainer)
    assert pandas.read_csv(tmp_path / "learning_curves.csv")["train_auc"].isna().all()


def test_rows_of_an_older_checkpoint_go_on(tmp_path):
    old = {"epoch": 1.0, "train_loss": 0.9, "learning_rate": 0.1, "validation_auc": 0.5}
    old |= {"validation_accuracy": 0.5, "validation_loss": 0.7, "selection": 0.5, "best": 1.0}
    handler, evaluator, trainer = curves(tmp_path, [dict(old)])
    step(handler, trainer, torch.eye(2), torch.tensor([0, 1]))
    handler._record(evaluator, trainer)
    handler._draw(trainer)
    table = pandas.read_csv(tmp_path / "learning_curves.csv")
    assert np.isnan(table["train_auc"][0])
    assert table["train_auc"][1] == 1
    assert table[list(old)].iloc[0].to_dict() == old


def test_tensorboard_sorts_runs_by_result_and_setting(trained):
    events = EventAccumulator(str(trained / "tensorboard"))
    names = [file.name for file in (trained / "tensorboard").rglob("*tfevents*")]
    assert names
    assert all(re.fullmatch(r"events\.out\.tfevents\.\d+\.host\.\d+\.\d+", name) for name in names)
    events.Reload()
    scalars = set(events.Tags()["scalars"])
    assert {"train_auc", "train_accuracy", "validation_auc", "test/auc", "test/accuracy"} <= scalars
    metrics = json.loads((trained / "metrics.json").read_text())["macro"]
    assert events.Scalars("test/auc")[0].value == pytest.approx(metrics["auc"])
    assert not [file for file in (trained / "tensorboard").iterdir() if file.is_dir() and file.name != "00000"]
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    shown = HParamsPluginData.FromString(content).session_start_info.hparams
    assert shown["strategy"].string_value == "PhaseFusionNetwork, fusion Concat, encoder ResidualEncoder"
    assert shown["learning_rate"].number_value == pytest.approx(0.003)
    assert shown["seed"].number_value == 0
    assert shown["region"].string_value == "MaskRegiond"
    table = pandas.read_csv(trained / "learning_curves.csv")
    assert table[["train_auc", "train_accuracy"]].notna().all().all()
