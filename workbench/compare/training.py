# SPDX-License-Identifier: Apache-2.0
"""The work of a job: it trains a network as `monai.bundle run training` does, or fits a model of scikit-learn."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from monai.bundle import ConfigWorkflow
from scripts.engines.environment import describe_machine
from scripts.metrics.prediction_sets import write_evidence
from scripts.metrics.predictions import read_predictions, write_predictions
from workbench.compare.strategies import SETTINGS, overlay_of, overrides_of

if TYPE_CHECKING:
    import pandas
    from scripts.cases.clinical import Column
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from workbench.compare.jobs import Job, Place

MOST_ITERATIONS = 5000
TIMINGS = 3  # Timed passes through the network, after one that is not timed
logging.getLogger(ConfigWorkflow.__module__).addFilter(
    lambda record: not record.getMessage().startswith("Not all config files are in")  # intended here
)


def train(place: Place, job: Job) -> dict[str, Any]:
    """Train on a fold and predict its test part; the results folder of the job is a complete small bundle.

    Returns:
        parameters (number), epochs (trained), device, and under `costs`, which differ from run to run,
        training_seconds (with validation; None if a killed job was resumed) and inference_ms (per case, the
        network alone).
    """
    output = place.output(job)
    resumed = (output / "models" / "last.pt").is_file()
    configs = place.bundle / "configs" / "train.yaml", place.folder / SETTINGS
    outlined = (place.fold(job) / "models" / "outline.pt").is_file()
    workflow = run_workflow(
        place.bundle,
        [*configs, overlay_of(place.bundle, job.strategy)],
        "training",
        name=job.name,
        dataset_dir=str(place.fold(job)),
        output_dir=str(output),
        split="test",
        seed=job.seed,
        cache=place.cache,
        cache_dir=str(place.cache_dir),
        resume=True,
        **overrides_of(job.strategy),
        **({"outlines_from": str(place.fold(job))} if outlined else {}),
        **({"phases": [job.phase], "reference_phase": job.phase, "clinical": []} if job.phase else {}),
    )
    held = read_predictions(output / "predictions.csv")
    labels = [label for label in held.labels or () if label is not None]
    patients = held.patients or held.cases
    fold = f"{job.repeat}, {job.seed}"
    write_evidence(output / "models" / "model.pt", held.probabilities, labels, held.cases, patients, "folds", fold)
    trainer = workflow.parser.get_parsed_content("train#trainer")
    network = workflow.parser.get_parsed_content("network")
    seconds = trainer.state.times["COMPLETED"]
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "epochs": trainer.state.epoch,
        "device": describe_machine(str(trainer.state.device))["machine"]["device"],
        "costs": {
            "training_seconds": None if resumed else round(seconds, 2),
            "inference_ms": round(_inference_ms(workflow), 3),
        },
    }


def run_workflow(bundle: Path, files: Sequence[Path], run_id: str, **overrides: Any) -> ConfigWorkflow:
    """Run a configuration in this process, as `monai.bundle run` does, and return it."""
    workflow = ConfigWorkflow(
        config_file=[str(file) for file in files],
        workflow_type="train",
        logging_file=False,
        run_id=run_id,
        bundle_root=str(bundle),
        **overrides,
    )
    workflow.initialize()
    workflow.run()
    return workflow


def _inference_ms(workflow: ConfigWorkflow) -> float:
    """Return the time of the trained network on one batch of test cases, in milliseconds per case."""
    import torch

    network, inferer, prepare, loader, device = (
        workflow.parser.get_parsed_content(key)
        for key in ("network", "validate#inferer", "validate#prepare_batch", "test#dataloader", "device")
    )
    image, _, _, optional = prepare(next(iter(loader)), device)
    network.eval()
    times = []
    with torch.inference_mode():
        for _ in range(1 + TIMINGS):
            start = time.perf_counter()
            inferer(image, network, **optional).sum().item()  # waits for the result, also on a GPU
            times.append(time.perf_counter() - start)
    return 1000 * median(times[1:]) / len(image)


def regression(columns: Sequence[Column]) -> Pipeline:
    """Return logistic regression with scikit-learn's defaults, in one pipeline with its preprocessing."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(_prepared(columns), LogisticRegression(max_iter=MOST_ITERATIONS))


def forest(columns: Sequence[Column], seed: int) -> Pipeline:
    """Return a random forest with scikit-learn's defaults (100 trees), in one pipeline with its preprocessing.

    Its probabilities are the mean over the trees of the share of each class in a leaf.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline

    return make_pipeline(_prepared(columns), RandomForestClassifier(random_state=seed, n_jobs=1))


def _prepared(columns: Sequence[Column]) -> ColumnTransformer:
    """Return what stands before a model of the table.

    Numbers: missing values become the mean, then all are standardised. Categories: missing values become the most
    frequent one, then each declared value becomes a column (one-hot).
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [column["name"] for column in columns if column["kind"] == "number"]
    categories = [column["name"] for column in columns if column["kind"] == "category"]
    values = [column["values"] for column in columns if column["kind"] == "category"]
    mean = SimpleImputer(strategy="mean", keep_empty_features=True)
    commonest = SimpleImputer(strategy="most_frequent", keep_empty_features=True)
    one_hot = OneHotEncoder(categories=values, handle_unknown="ignore")
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(mean, StandardScaler()), numbers),
            ("categories", make_pipeline(commonest, one_hot), categories),
        ]
    )


def clinical_frame(columns: Sequence[Column], cases: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """Return the clinical table, one row per case (an entry of dataset.json), NaN where a value is missing."""
    import numpy as np
    import pandas

    return pandas.DataFrame(
        {
            column["name"]: pandas.Series(
                [case.get("clinical", {}).get(column["name"], np.nan) for case in cases],
                dtype=np.float64 if column["kind"] == "number" else object,
            )
            for column in columns
        }
    )


def fit_regression(place: Place, job: Job) -> dict[str, Any]:
    """Fit logistic regression (see `_fit`)."""
    return _fit(place, job, regression, lambda fitted: int(fitted.coef_.size + fitted.intercept_.size))


def fit_forest(place: Place, job: Job) -> dict[str, Any]:
    """Fit a random forest (see `_fit`); its parameters are the thresholds and leaves of all trees."""

    def seeded(columns: Sequence[Column]) -> Pipeline:
        return forest(columns, job.seed)

    return _fit(place, job, seeded, lambda fitted: sum(tree.tree_.node_count for tree in fitted.estimators_))


def _fit(
    place: Place, job: Job, model_of: Callable[[Sequence[Column]], Pipeline], parameters: Callable[[Any], int]
) -> dict[str, Any]:
    """Fit on training and validation cases together, since no validation is needed, and predict the test part.

    Returns:
        As `train`; epochs are None.
    """
    dataset = json.loads((place.fold(job) / "dataset.json").read_text(encoding="utf-8"))
    columns, classes = dataset["clinical"], dataset["classes"]
    cases, test = dataset["training"] + dataset["validation"], dataset["test"]
    start = time.perf_counter()
    model = model_of(columns).fit(clinical_frame(columns, cases), [classes.index(case["label"]) for case in cases])
    seconds = time.perf_counter() - start
    table = clinical_frame(columns, test)
    start = time.perf_counter()
    probabilities = model.predict_proba(table)
    inference = 1000 * (time.perf_counter() - start) / len(test)
    write_predictions(
        place.output(job) / "predictions.csv",
        cases=[case["case"] for case in test],
        probabilities=probabilities,
        classes=classes,
        labels=[classes.index(case["label"]) for case in test],
        patients=[case["patient"] for case in test],
        positive=dataset.get("positive"),
    )
    return {
        "parameters": parameters(model[-1]),
        "epochs": None,
        "device": "cpu",
        "costs": {"training_seconds": round(seconds, 2), "inference_ms": round(inference, 3)},
    }
