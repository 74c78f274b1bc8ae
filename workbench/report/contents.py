# SPDX-License-Identifier: Apache-2.0
"""Contents of a results or evaluation folder, read once for the whole report."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.engines.environment import without_person
from scripts.files.csv_text import read_rows
from scripts.files.plain_text import from_literal
from scripts.files.yaml_files import read_yaml
from scripts.metrics.predictions import read_predictions
from workbench.report.dataset import RECORD, Summary, summarise_dataset


@dataclass(frozen=True)
class Contents:
    """An evaluated model.

    Attributes:
        clinical_missing: clinical column that the model reads -> number of predicted cases without it.
    """

    folder: Path  # where report.html belongs
    model: Path  # results folder of the model, or of the first of an ensemble; `folder` itself after a training
    models: int  # number of models that predict together
    split: str  # reported split
    metrics: dict[str, Any] | None  # metrics.json, None if no case has a label
    n: int  # cases with a label, or all cases if none has one
    patients: int  # number of their patients; 0 if unknown
    config: dict[str, Any]  # configuration of the model's training; {} if the model's folder is gone
    training: dict[str, Any]  # environment.json of the training, {} if there is none
    evaluation: dict[str, Any]  # evaluation.json, {} in folders of older versions
    history: list[dict[str, float]]  # learning curves, one row per validation
    trained_on: Summary  # summary of the training's dataset
    reported: Summary  # summary of the reported dataset
    clinical_missing: dict[str, int] = field(default_factory=dict)
    predicted: int = 0  # number of predicted cases, with a label or without

    @property
    def cases(self) -> str:
        """Number of reported cases, as text for captions."""
        return f"n = {self.n:,} {'case' if self.n == 1 else 'cases'}, {self.split} split"

    @property
    def outlines(self) -> bool:
        """Whether the model outlines; else it classifies."""
        return "segmenting" in self.config or "outlines" in (self.metrics or {})

    @property
    def same_data(self) -> bool:
        """Whether the reported dataset is the one that the model was trained on."""
        return self.trained_on == self.reported


def read_contents(folder: str | Path) -> Contents:
    """Read a folder written by `training` or `evaluating`.

    Raises:
        FileNotFoundError: it holds neither metrics.json nor predictions.csv nor learning_curves.csv.
    """
    folder = Path(folder).resolve()
    evidence = ("metrics.json", "predictions.csv", "learning_curves.csv")
    if not any((folder / name).is_file() for name in evidence):
        raise FileNotFoundError(
            f"{folder} must hold the results of a training, an evaluation or a comparison, found no "
            f"{', no '.join(evidence)} and no comparison.csv; give such a folder by --bundle_root"
        )
    record, metrics = _json(folder / RECORD), _json(folder / "metrics.json") or None
    named = record.get("models") or ["." if (folder / "configs").is_dir() else ".."]
    model = (folder / Path(named[0]).expanduser()).resolve()
    file, curves = model / "configs" / "train.yaml", model / "learning_curves.csv"
    config: dict[str, Any] = read_yaml(file) if file.is_file() else {}
    evaluation, training = without_person([record, _json(model / "environment.json")])
    trained_on = without_person(_training_data(folder, model, evaluation, config, training))
    history = read_rows(curves)[1] if curves.is_file() else []
    reported = evaluation.get("data") or trained_on
    split = str(evaluation.get("split") or (metrics or {}).get("name") or config.get("split", "test"))
    return Contents(
        folder=folder,
        model=model,
        models=len(named),
        split=split,
        metrics=metrics,
        config=config,
        training=training,
        evaluation=evaluation,
        history=[{key: float(value or "nan") for key, value in row.items()} for row in history],
        trained_on=trained_on,
        reported=reported,
        **_predicted(folder / "predictions.csv", metrics, reported.get("splits", {}).get(split)),
    )


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _predicted(file: Path, metrics: dict[str, Any] | None, split: dict[str, Any] | None) -> dict[str, Any]:
    """Count the reported cases, their patients, and the clinical columns that the predicted cases lacked."""
    if metrics and "outlines" in metrics:
        most = {name: max(row[f"n_{name}"] for row in metrics["outlines"]) for name in ("cases", "patients")}
        known = split is not None and split["patients"] is not None
        return {"n": most["cases"], "patients": most["patients"] if known else 0, "predicted": metrics["n"]}
    if not file.is_file():
        return {"n": metrics["n"] if metrics else 0, "patients": 0}
    found = read_predictions(file)
    labels = found.labels or [None] * len(found.cases)
    rows = [row for row, label in enumerate(labels) if metrics is None or label is not None]
    patients = found.patients if found.patients != found.cases else None  # no patient is named
    counts = {"n": len(rows), "patients": len({patients[row] for row in rows}) if patients else 0}
    if found.clinical_missing is None:
        return counts
    lacked = Counter(name for names in found.clinical_missing for name in names)
    return counts | {"clinical_missing": dict(lacked), "predicted": len(found.cases)}


def _training_data(
    folder: Path, model: Path, evaluation: dict[str, Any], config: dict[str, Any], training: dict[str, Any]
) -> Summary:
    """Return the summary of the training's dataset as it was recorded, else of its present state on disk."""
    dataset_dir = from_literal(str(config.get("dataset_dir", "$")))
    record = evaluation if model == folder else _json(model / RECORD)
    same_file = record.get("dataset_sha256") in {training.get("dataset_sha256")} - {None}
    if record and (same_file or without_person([record["dataset_dir"]]) == without_person([dataset_dir])):
        return record["data"]
    if dataset_dir.startswith("$"):
        return {"reason": "the model's folder holds no record of the data that it was trained on"}
    return summarise_dataset(dataset_dir, config["phases"])
