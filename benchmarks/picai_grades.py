# SPDX-License-Identifier: Apache-2.0
"""ISUP grade groups of PI-CAI as ordered and as unordered classes, in grouped five-fold cross-validation.

    python -m benchmarks.picai_grades --data picai_anatomy_clinical --output docs/figures/picai_grades.csv [--check]

`--data` as for `benchmarks.picai`. The grade (0: benign or no biopsy, 1 to 5) is the label; what became known after
the biopsy is no feature. Grade groups 4 and 5 are one class, for they have 92 studies together. Masks and clinical
table, `configs/data/picai.yaml`, concat; with and without `ordinal: true` on the same folds. All studies of a patient
are in one part; of the patients outside a fold one eighth steers training and one eighth is the calibration split.

One row per fold (`--folds 0 1 2` takes these alone), kind and seed; existing rows are not computed again, and
`--most 2` stops after two more. When all are there, the table between the markers of docs/results.md is written (with
`--check` compared): pooled predictions, 95% intervals by patient, and the paired difference.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from scripts.metrics.delong import auc_intervals
from scripts.metrics.interval import wilson_interval
from scripts.metrics.paired import bootstrap_difference, delong_test
from scripts.metrics.registry import weighted_scores
from scripts.metrics.rows import confidence_intervals
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.marked import keep_part, short
from benchmarks.picai import CHANNELS, COLUMNS, FOLDS, SPLIT_SEED, read_entries, write_images
from benchmarks.seeds import read_rows, run_bundle, tabulate

GRADES = ("0", "1", "2", "3", "4-5")
KINDS = {"unordered": [], "ordinal": ["configs/training/ordinal.yaml"]}
FIELDS = (
    "kind",
    "fold",
    "seed",
    "n",
    "auc",
    "quadratic_kappa",
    "grade_error",
    "accuracy",
    "threads",
    "processor",
    "torch",
)
SIGNIFICANT = 2  # the first grade of clinically significant cancer
TITLES = {"quadratic_kappa": "quadratic kappa", "grade_error": "mean grade error", "accuracy": "accuracy"}


def graded(data: Path, images: Path) -> list[dict[str, Any]]:
    """Return the entries of dataset.json with the grade as label."""
    sheet = pandas.read_csv(data / "marksheet.csv")
    names = sheet["patient_id"].astype(str) + "_" + sheet["study_id"].astype(str)
    grade = dict(zip(names, sheet["case_ISUP"].astype(int), strict=True))
    return [entry | {"label": GRADES[min(grade[entry["case"]], 4)]} for entry in read_entries(data, images)]


def write_folds(entries: list[dict[str, Any]], folder: Path) -> None:
    """Write the dataset.json of each fold."""
    header = {
        "name": "picai_grades",
        "phases": list(CHANNELS),
        "classes": list(GRADES),
        "clinical": [{"name": name, "kind": "number", "unit": unit} for name, (_, unit) in COLUMNS.items()],
    }
    label, patient = (np.array([entry[key] for entry in entries]) for key in ("label", "patient"))
    outer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SPLIT_SEED)
    for fold, (rest, test) in enumerate(outer.split(label, label, patient)):
        inner = StratifiedGroupKFold(8, shuffle=True, random_state=SPLIT_SEED)
        eighths = [rest[chosen] for _, chosen in inner.split(label[rest], label[rest], patient[rest])]
        parts = {"validation": eighths[0], "calibration": eighths[1], "training": np.concatenate(eighths[2:])}
        content = header | {split: [entries[i] for i in index] for split, index in {**parts, "test": test}.items()}
        (folder / f"fold{fold}").mkdir(parents=True, exist_ok=True)
        (folder / f"fold{fold}" / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


def train(kind: str, fold: int, seed: int, data: Path, results: Path) -> dict[str, Any]:
    """Train one kind on one fold with one seed, and return its row."""
    folder = results / f"{kind}_fold{fold}_seed{seed}"
    if not (folder / "metrics.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        files = ["configs/train.yaml", "configs/data/picai.yaml", *KINDS[kind]]
        settings = {"name": folder.name, "output_dir": folder, "dataset_dir": data / f"fold{fold}", "seed": seed}
        settings |= {"classes": list(GRADES), "positive": None, "missing_phases": False}
        run_bundle("training", files, settings, results / f"{folder.name}.log")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    row = {"kind": kind, "fold": fold, "seed": seed, "n": metrics["n"], **metrics["macro"]}
    row |= {"threads": metrics["threads"], "processor": metrics["machine"]["processor"]}
    row |= {"torch": metrics["versions"]["torch"]}
    return {key: row[key] for key in FIELDS}


class Pooled:
    """The pooled predictions of all folds of one kind, each the mean over its seeds."""

    def __init__(
        self, kind: str, folds: Sequence[int], seeds: Sequence[int], results: Path, patient: dict[str, str]
    ) -> None:
        tables = []
        for fold in folds:
            files = [results / f"{kind}_fold{fold}_seed{seed}" / "predictions.csv" for seed in seeds]
            found = [
                pandas.read_csv(file, index_col="case", keep_default_na=False, dtype={"true": str}) for file in files
            ]
            for grade in GRADES:
                found[0][f"p_{grade}"] = np.mean([table[f"p_{grade}"] for table in found], axis=0)
            tables.append(found[0])
        self.table = pandas.concat(tables).sort_index()
        self.probability = self.table[[f"p_{grade}" for grade in GRADES]].to_numpy(float)
        self.probability /= self.probability.sum(axis=1, keepdims=True)
        self.label = np.array([GRADES.index(grade) for grade in self.table["true"]])
        self.patients = [patient[str(case)] for case in self.table.index]

    @property
    def significant(self) -> tuple[np.ndarray, np.ndarray]:
        """Probability of no and of clinically significant cancer [n, 2], and whether there is any [n]."""
        risk = self.probability[:, SIGNIFICANT:].sum(axis=1)
        return np.stack([1 - risk, risk], axis=1), (self.label >= SIGNIFICANT).astype(int)

    def sets(self, level: int = 90) -> dict[str, tuple[float, float]]:
        """Return coverage, mean size, and the share of sets with a gap, of the first seed's sets."""
        inside = np.array([[grade in text.split("; ") for grade in GRADES] for text in self.table[f"set_{level}"]])
        hit = inside[np.arange(len(inside)), self.label]
        first, last = inside.argmax(axis=1), len(GRADES) - 1 - inside[:, ::-1].argmax(axis=1)
        gap = inside.any(axis=1) & (last - first + 1 > inside.sum(axis=1))
        return {"coverage": (hit.mean(), len(hit)), "size": (inside.sum(axis=1).mean(), 0), "gap": (gap.mean(), 0)}


def rows_of(pooled: dict[str, Pooled]) -> list[list[str]]:
    """Return the lines of the table."""
    one, other = pooled["ordinal"], pooled["unordered"]
    found = {
        kind: confidence_intervals(each.probability, each.label, each.patients)[-1] for kind, each in pooled.items()
    }

    def value(kind: str, metric: str) -> str:
        each, (lower, upper) = pooled[kind], found[kind][metric].bounds or (np.nan, np.nan)
        once = np.ones((1, len(each.label)))
        at = float(weighted_scores(each.probability, each.label, once)[metric][0, -1])
        return f"{short(at)} [{short(lower)}, {short(upper)}]"

    lines = []
    for metric, title in TITLES.items():
        by = bootstrap_difference(one.probability, other.probability, one.label, metric, one.patients)
        lines.append([title, value("ordinal", metric), value("unordered", metric), _difference(by)])
    by = delong_test(one.probability, other.probability, one.label, one.patients)
    lines.append(["AUC, mean over the grades", value("ordinal", "auc"), value("unordered", "auc"), _difference(by)])
    cells = []
    for each in (one, other):
        risk, label = each.significant
        interval = auc_intervals(risk, label, np.unique(each.patients, return_inverse=True)[1], 0)[1]
        lower, upper = interval.bounds or (np.nan, np.nan)
        cells.append(f"{short(delong_test(risk, risk, label, each.patients).first)} [{short(lower)}, {short(upper)}]")
    by = delong_test(one.significant[0], other.significant[0], one.significant[1], one.patients)
    lines.append(["AUC of grade 2 or more", *cells, _difference(by)])
    sets = [one.sets(), other.sets()]
    bounds = [wilson_interval(each["coverage"][0], len(set(one.patients))) or (np.nan, np.nan) for each in sets]
    covered = [
        f"{short(each['coverage'][0])} [{short(lower)}, {short(upper)}]"
        for each, (lower, upper) in zip(sets, bounds, strict=True)
    ]
    lines.append(["sets at 90%: share that holds the grade", *covered, ""])
    lines.append(["grades per set", *(f"{each['size'][0]:.2f}" for each in sets), ""])
    lines.append(["sets with a gap between grades", *(f"{each['gap'][0]:.1%}" for each in sets), ""])
    return lines


def _difference(found: Any) -> str:
    return f"{short(found.difference)} [{short(found.lower)}, {short(found.upper)}]"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of marksheet.csv and the masks")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--folds", nargs="+", type=int, choices=range(FOLDS), default=list(range(FOLDS)))
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each")
    parser.add_argument("--most", type=int, default=10**6, help="trainings in this call")
    parser.add_argument("--folder", type=Path, default=Path("data/picai_grades"), help="where images and folds go")
    parser.add_argument("--results", type=Path, default=Path("results/picai_grades"), help="folder of the runs")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per kind and fold")
    parser.add_argument("--document", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--check", action="store_true", help="compare the document with the figures")
    given = parser.parse_args(arguments)
    given.results.mkdir(parents=True, exist_ok=True)
    entries = graded(given.data, given.folder / "images")
    done = {(row["kind"], int(row["fold"]), int(row["seed"])) for row in read_rows(given.output)}
    jobs = [(kind, fold, seed) for seed in given.seeds for fold in given.folds for kind in KINDS]
    left = [job for job in jobs if job not in done]
    if left:
        write_images(given.data, given.folder / "images")
        write_folds(entries, given.folder)
    tabulate(
        left[: given.most],
        lambda job: [train(*job, given.folder, given.results)],
        lambda row: f"{row['kind']} fold {row['fold']} seed {row['seed']}: kappa {row['quadratic_kappa']:.3f}",
        given.output,
        FIELDS,
        given.jobs,
    )
    if len(left) > given.most:
        print(f"{len(left) - given.most} trainings are left; repeat the command")
        return
    patient = {entry["case"]: entry["patient"] for entry in entries}
    lines = rows_of({kind: Pooled(kind, given.folds, given.seeds, given.results, patient) for kind in KINDS})
    header = ["", "ordinal", "unordered", "difference"]
    text = "".join(f"| {' | '.join(line)} |\n" for line in [header, ["---"] * 4, *lines])
    print(text)
    command = f"python -m benchmarks.picai_grades --data {given.data.name} --output {given.output}"
    keep_part(given.document, "picai_grades", text, given.check, command)


if __name__ == "__main__":
    main()
