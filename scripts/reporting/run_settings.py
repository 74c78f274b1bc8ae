"""Test results and settings of a run as scalars, by which TensorBoard sorts runs."""

from __future__ import annotations

import math
from typing import Any

from scripts.evaluation.tensorboard import FOLDER, no_host
from scripts.evaluation.without_person import without_person

from .contents import Contents
from .headline import strategy

KEYS = (
    "learning_rate", "batch_size", "max_epochs", "weight_decay", "warmup_epochs", "dropout", "phase_dropout",
    "clinical_dropout", "class_weights", "focal_gamma", "label_smoothing", "precision", "selection_rule",
    "share_encoder", "start_weights", "encoder_weights", "test_time_augmentation",
)  # fmt: skip
"""Settings that are shown as they are."""
NAMED = ("network_def", "fusion", "encoder", "region", "intensity")
"""Parts that are shown by the names of their classes."""


def show_settings(contents: Contents) -> None:
    """Write settings and metrics into tensorboard/ of a run, as ``SummaryWriter.add_hparams`` does.

    They are part of the run itself, not of one more below it: scalars ``<split>/auc``, ``<split>/accuracy``,
    ... and, for the tab HPARAMS, strategy, encoder, phases, dataset, seed and what people change. Nothing
    where the model's configuration is not known, or no case had a label.
    """
    if not contents.config or contents.metrics is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    with no_host(), SummaryWriter(str(contents.folder / FOLDER)) as writer:
        writer.add_hparams(settings(contents), scores(contents), run_name=".")


def scores(contents: Contents) -> dict[str, float]:
    """Return the macro metrics of the reported split, ``<split>/<metric>``; what is undefined is left out."""
    macro: dict[str, Any] = (contents.metrics or {}).get("macro", {})
    numbers = {name: value for name, value in macro.items() if isinstance(value, int | float)}
    found = {f"{contents.split}/{name}": float(value) for name, value in numbers.items() if name != "n"}
    best = [row for row in contents.history if row.get("best")]
    if best and contents.model == contents.folder:
        for name in ("validation_auc", "validation_accuracy", "train_auc", "train_accuracy"):
            found[f"best/{name}"] = best[-1].get(name, math.nan)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def settings(contents: Contents) -> dict[str, str | float | bool]:
    """Return what distinguishes runs: numbers as numbers, everything else as text."""
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
