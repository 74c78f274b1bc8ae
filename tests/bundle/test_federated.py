# SPDX-License-Identifier: Apache-2.0
"""MONAI's client for federated learning trains, evaluates and returns weights."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, ModelType, WeightType
from monai.fl.utils.exchange_object import ExchangeObject
from workbench.prepare.phantom.dataset import make_phantom

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A client as a federated system starts one: in a folder of its own, with data that nobody else sees."""
    make_phantom(tmp_path / "cases", seed=0, splits={"training": 8, "validation": 4, "test": 4})
    monkeypatch.chdir(tmp_path)
    algo = MonaiAlgo(
        bundle_root=str(ROOT),
        config_train_filename=["configs/train.yaml", "configs/training/federated.yaml"],
        config_evaluate_filename=["configs/train.yaml", "configs/training/federated.yaml"],
        train_kwargs={"dataset_dir": "cases", "output_dir": "out"},
        eval_kwargs={"dataset_dir": "cases", "output_dir": "out"},
        best_model_filepath=str(tmp_path / "out" / "models" / "model.pt"),
    )
    algo.initialize({ExtraItems.CLIENT_NAME: "hospital"})
    yield algo
    algo.finalize()


@pytest.mark.slow
def test_two_rounds_train_and_give_back_what_changed(client, tmp_path):
    shared = torch.load(ROOT / "models" / "model.pt")
    for number in (1, 2):
        client.train(ExchangeObject(weights={name: value.numpy() for name, value in shared.items()}))
        answer = client.get_weights()
        assert answer.weight_type == WeightType.WEIGHT_DIFF
        assert answer.statistics["num_executed_iterations"] == 1  # 8 cases, 16 per step
        change = {name: torch.as_tensor(value) for name, value in answer.weights.items()}
        assert set(change) == set(shared)
        assert change["encoder.stem.conv1.weight"].abs().max() > 0
        shared = {name: (value + change[name]).to(value.dtype) for name, value in shared.items()}
        scores = client.evaluate(ExchangeObject(weights={name: v.numpy() for name, v in shared.items()}))
        curves = pandas.read_csv(tmp_path / "out" / "learning_curves.csv")
        assert len(curves) == number
        last = curves.iloc[-1]
        assert scores.metrics["auc"] == pytest.approx(last["validation_auc"])
        assert -scores.metrics["loss"] == pytest.approx(last["validation_loss"], abs=1e-5)
        assert last["learning_rate"] == pytest.approx(0.003)
    best = client.get_weights({ExtraItems.MODEL_TYPE: ModelType.BEST_MODEL}).weights
    own = torch.load(tmp_path / "out" / "models" / "model.pt")
    assert all(torch.equal(best[name], value) for name, value in own.items())
    assert not torch.equal(best["head.bias"], torch.load(ROOT / "models" / "model.pt")["head.bias"])
    client.train(ExchangeObject(weights=best))
    client.send_weight_diff = False
    client.train(client.get_weights())  # its own tensors, given back
