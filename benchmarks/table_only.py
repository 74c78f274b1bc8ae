# SPDX-License-Identifier: Apache-2.0
"""Compare the table-only network with logistic regression on a table of patients and one outcome.

    python -m benchmarks.table_only --data hcc-data.txt --output docs/figures/table_only_hcc.csv

For the UCI HCC Survival data (165 patients, 49 columns, 10% of the values missing): repeated stratified
5-fold cross-validation, both methods on the same folds, everything fitted on the training part of each fold.
The network is trained as in configs/train.yaml, and its last epoch is used, since there is no validation
split. One row per seed, fold and method.

A column of 0 and 1 is read as a category, any other as a number; "?" is a missing value.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scripts.cases.batches import EpochBatchSampler
from scripts.engines.schedule import warmup_cosine
from scripts.losses.classification import ClassificationLoss
from scripts.metrics.paired import corrected_t_test
from scripts.networks.plain import TableNetwork
from scripts.networks.table_encoder import TableEncoder
from scripts.transforms.clinical import EncodeClinicald
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

FOLDS = 5
Column = dict[str, Any]


def read_table(file: Path, outcome: str) -> tuple[list[Column], list[dict[str, Any]], np.ndarray]:
    """Return the columns, the cases (each with its ``clinical`` values) and the outcomes, 0 or 1."""
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    labels = np.array([int(row.pop(outcome)) for row in rows])
    columns: list[Column] = []
    for name in rows[0]:
        binary = {row[name] for row in rows} <= {"0", "1", "?"}
        columns.append(
            {"name": name, "kind": "category", "values": ["0", "1"]} if binary else {"name": name, "kind": "number"}
        )
    categories = {column["name"] for column in columns if column["kind"] == "category"}
    cases = [{"clinical": {n: v if n in categories else float(v) for n, v in row.items() if v != "?"}} for row in rows]
    return columns, cases, labels


def encode(columns: list[Column], cases: list[dict[str, Any]]) -> Tensor:
    """Return the table [N, T], NaN where a value is missing."""
    transform = EncodeClinicald(columns=columns)
    return torch.stack([transform(case)["clinical"] for case in cases])


def train_network(
    columns: list[Column], cases: list[dict[str, Any]], labels: np.ndarray, seed: int, hidden: int | None
) -> TableNetwork:
    """Train the table-only network with the settings of configs/train.yaml."""
    config = yaml.safe_load(Path("configs/train.yaml").read_text(encoding="utf-8"))
    torch.manual_seed(seed)
    encoder = TableEncoder(columns, out_dim=2) if hidden is None else TableEncoder(columns, 2, hidden)
    encoder.fit(cases)
    network, loss = TableNetwork(num_phases=1, num_classes=2, table=encoder), ClassificationLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config["learning_rate"], weight_decay=config["weight_decay"])
    dataset = TensorDataset(encode(columns, cases), torch.as_tensor(labels))
    batches = EpochBatchSampler(len(cases), config["batch_size"], seed)
    loader = DataLoader(dataset, batch_sampler=batches)
    schedule = warmup_cosine(optimizer, loader, config["max_epochs"], config["warmup_epochs"])
    for epoch in range(config["max_epochs"]):
        batches.set_epoch(epoch)
        for clinical, label in loader:
            optimizer.zero_grad()
            loss(network(no_image(clinical), clinical), label).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def no_image(clinical: Tensor) -> Tensor:
    """Return an empty volume for each case."""
    return torch.zeros(len(clinical), 1, 1, 1, 1)


def regression(columns: list[Column]) -> Any:
    """Return logistic regression on imputed (mean, most frequent category) and standardised values."""
    numbers = [index for index, column in enumerate(columns) if column["kind"] == "number"]
    categories = [index for index, column in enumerate(columns) if column["kind"] == "category"]
    imputed = make_column_transformer(
        (SimpleImputer(strategy="mean"), numbers), (SimpleImputer(strategy="most_frequent"), categories)
    )
    return make_pipeline(imputed, StandardScaler(), LogisticRegression(max_iter=5000))


def fold_aucs(
    columns: list[Column], cases: list[dict[str, Any]], labels: np.ndarray, seed: int, hidden: int | None
) -> list[dict[str, Any]]:
    """Return one row for each fold and method."""
    table = encode(columns, cases)
    rows: list[dict[str, Any]] = []
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(table, labels)
    for fold, (training, test) in enumerate(folds):
        network = train_network(columns, [cases[i] for i in training], labels[training], seed, hidden)
        with torch.inference_mode():
            logits = network(no_image(table[test]), table[test])
        baseline = regression(columns).fit(table[training].numpy(), labels[training])
        scores = {
            "table_network": (logits[:, 1] - logits[:, 0]).numpy(),
            "logistic_regression": baseline.decision_function(table[test].numpy()),
        }
        for method, score in scores.items():
            auc = roc_auc_score(labels[test], score)
            rows.append({"seed": seed, "fold": fold, "method": method, "n": len(test), "auc": round(auc, 6)})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CSV with a header")
    parser.add_argument("--outcome", default="survived", help="column with the outcome, 0 or 1")
    parser.add_argument("--hidden", type=int, help="width of the hidden layer; default: that of TableEncoder")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per seed, fold, method")
    given = parser.parse_args(arguments)
    columns, cases, labels = read_table(given.data, given.outcome)
    rows = [row for seed in given.seeds for row in fold_aucs(columns, cases, labels, seed, given.hidden)]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    with given.output.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    aucs = {
        method: [row["auc"] for row in rows if row["method"] == method]
        for method in ("table_network", "logistic_regression")
    }
    aucs["difference"] = [a - b for a, b in zip(*aucs.values(), strict=True)]
    print(f"{len(cases)} patients, {len(columns)} columns, {len(given.seeds)} x {FOLDS} folds: mean AUC [95%]")
    for method, values in aucs.items():
        found = corrected_t_test(values, [0.0] * len(values), n_train=FOLDS - 1, n_test=1)
        print(f"{method}: {found.difference:.3f} [{found.lower:.3f}, {found.upper:.3f}]")


if __name__ == "__main__":
    main()
