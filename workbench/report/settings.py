# SPDX-License-Identifier: Apache-2.0
"""Settings and results of a run, as TensorBoard shows them beside those of other runs."""

from __future__ import annotations

import math
import re
from typing import Any

from scripts.engines.environment import without_person
from scripts.engines.evaluation import FOLDER, no_host
from workbench.report.contents import Contents
from workbench.report.headline import strategy

KEYS = (
    "learning_rate", "batch_size", "max_epochs", "weight_decay", "warmup_epochs", "dropout", "phase_dropout",
    "clinical_dropout", "class_weights", "focal_gamma", "label_smoothing", "precision", "selection_rule",
    "share_encoder", "start_weights", "encoder_weights", "test_time_augmentation",
)  # fmt: skip
"""Settings that are shown with their values."""
NAMED = ("network_def", "fusion", "encoder", "region", "intensity")
"""Components that are shown by their class names."""


_COUNT = re.compile(r"n(_|$)")


def show_settings(contents: Contents) -> None:
    """Write settings and metrics into tensorboard/ of a run with ``SummaryWriter.add_hparams``.

    They become part of the run itself, not of another run below it: scalars ``<split>/auc``,
    ``<split>/accuracy``, ... and, for the tab HPARAMS, strategy, encoder, phases, dataset, seed and common
    settings. Nothing is written if the model's configuration is unknown or no case has a label.
    """
    if not contents.config or contents.metrics is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    with no_host(), SummaryWriter(str(contents.folder / FOLDER)) as writer:
        writer.add_hparams(settings(contents), scores(contents), run_name=".")


def scores(contents: Contents) -> dict[str, float]:
    """Return the macro metrics of the reported split as ``<split>/<metric>``, without undefined ones."""
    metrics: dict[str, Any] = contents.metrics or {}
    macro = metrics["outlines"][-1] if contents.outlines and metrics else metrics.get("macro", {})
    numbers = {name: value for name, value in macro.items() if isinstance(value, int | float)}
    found = {f"{contents.split}/{name}": float(value) for name, value in numbers.items() if not _COUNT.match(name)}
    best = [row for row in contents.history if row.get("best")]
    if best and contents.model == contents.folder:
        for name in ("validation_dice", "validation_auc", "validation_accuracy", "train_auc", "train_accuracy"):
            found[f"best/{name}"] = best[-1].get(name, math.nan)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def settings(contents: Contents) -> dict[str, str | float | bool]:
    """Return the settings that distinguish runs: numbers as numbers, everything else as text."""
    config = contents.config
    found: dict[str, Any] = {"strategy": strategy(config), "name": config.get("name")}
    found |= {key: _class(config[key]) for key in NAMED if isinstance(config.get(key), dict)}
    found |= {key: ", ".join(map(str, config.get(key) or [])) for key in ("phases", "views")}
    columns = [c if isinstance(c, str) else c["name"] for c in config.get("clinical") or []]
    found |= {"clinical": ", ".join(columns), "dataset": contents.trained_on.get("name")}
    found |= {key: " x ".join(map(str, config[key])) for key in ("spacing", "grid_size") if key in config}
    found |= {"seed": contents.training.get("seed", config.get("seed"))}
    found |= {key: config[key] for key in KEYS if key in config}
    return {key: v if isinstance(v, bool | int | float) else _text(v) for key, v in found.items()}


def _class(part: dict[str, Any]) -> str:
    return str(part.get("_target_", "")).rpartition(".")[2]


def _text(value: Any) -> str:
    return "none" if value is None or value == "" else without_person(str(value))
