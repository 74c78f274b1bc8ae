# SPDX-License-Identifier: Apache-2.0
"""A training that goes on between two validations ends as if it had never stopped."""

from __future__ import annotations

import shutil

import pandas
import pytest
import torch
from scripts.engines.checkpoint import Checkpoints, own_steps


@pytest.mark.usefixtures("without_pixels")
@pytest.mark.parametrize("interval", [2, pytest.param(5, marks=pytest.mark.slow)])  # an epoch has 3
def test_an_epoch_may_end_between_two_validations(bundle, quick, tmp_path, interval, monkeypatch):
    """Every row of the learning curves is the same, with loss and scores of training since the last one."""
    save = Checkpoints._save_last

    def save_first(self, trainer):
        if trainer.state.epoch == 1:
            save(self, trainer)

    monkeypatch.setattr(Checkpoints, "_save_last", save_first)
    settings = quick | {"max_epochs": 3, "batch_size": 8, "val_by_epoch": False, "val_interval": interval}
    settings |= {"run": ["$@train#trainer.run()"]}
    bundle("training", ["configs/train.yaml"], output_dir=str(tmp_path / "whole"), **settings)
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    for name in ("model.pt", "learning_curves.csv"):
        next((tmp_path / "stopped").rglob(name)).unlink()
    monkeypatch.setattr(Checkpoints, "_save_last", save)
    bundle("training", ["configs/train.yaml"], output_dir=str(tmp_path / "stopped"), resume=True, **settings)
    whole = pandas.read_csv(tmp_path / "whole" / "learning_curves.csv")
    assert list(whole["epoch"] * 3) == [i for i in range(1, 10) if i % interval == 0]
    for name in ("learning_curves.csv", "models/model.pt"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_state_of_more_processes_loses_no_iteration():
    first, second, third = ({"loss": torch.tensor(value)} for value in (1.0, 2.0, 3.0))
    assert own_steps([[first, second], [third]]) == [first, second, third]
    assert own_steps([[first]]) == [first]
    assert own_steps([]) == []
