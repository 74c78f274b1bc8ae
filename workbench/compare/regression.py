"""The baseline without a network: logistic regression on the clinical table."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scripts.metrics.predictions import write_predictions

if TYPE_CHECKING:
    import pandas
    from sklearn.pipeline import Pipeline

    from scripts.cases.clinical import Column
    from workbench.compare.jobs import Job, Place

MOST_ITERATIONS = 5000


def regression(columns: Sequence[Column]) -> Pipeline:
    """Return logistic regression with scikit-learn's defaults, to be fitted with all that stands before it.

    Numbers: the mean for a missing value, then standardised. Categories: the most frequent for a missing
    value, then one column for each declared value.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [column["name"] for column in columns if column["kind"] == "number"]
    categories = [column["name"] for column in columns if column["kind"] == "category"]
    values = [column["values"] for column in columns if column["kind"] == "category"]
    mean = SimpleImputer(strategy="mean", keep_empty_features=True)
    commonest = SimpleImputer(strategy="most_frequent", keep_empty_features=True)
    one_hot = OneHotEncoder(categories=values, handle_unknown="ignore")
    prepared = ColumnTransformer(
        [
            ("numbers", make_pipeline(mean, StandardScaler()), numbers),
            ("categories", make_pipeline(commonest, one_hot), categories),
        ]
    )
    return make_pipeline(prepared, LogisticRegression(max_iter=MOST_ITERATIONS))


def clinical_frame(columns: Sequence[Column], cases: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """Return the clinical table, one row per case, NaN where a value is missing.

    Args:
        cases: entries of dataset.json.
    """
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
    """Fit on the whole outer training part, which nothing steers here, and predict the test part.

    Returns:
        as `workbench.compare.training.train`; epochs are None.
    """
    dataset = json.loads((place.fold(job) / "dataset.json").read_text(encoding="utf-8"))
    columns, classes = dataset["clinical"], dataset["classes"]
    cases, test = dataset["training"] + dataset["validation"], dataset["test"]
    start = time.perf_counter()
    model = regression(columns).fit(
        clinical_frame(columns, cases), [classes.index(case["label"]) for case in cases]
    )
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
    fitted = model[-1]
    return {
        "parameters": int(fitted.coef_.size + fitted.intercept_.size),
        "epochs": None,
        "device": "cpu",
        "costs": {"training_seconds": round(seconds, 2), "inference_ms": round(inference, 3)},
    }
