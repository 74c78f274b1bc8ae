# SPDX-License-Identifier: Apache-2.0
"""ACDC from its images alone: networks outline the chambers, and what they outline is classified.

    python -m benchmarks.acdc_outlined --dataset data/acdc --work results/acdc_outlined --repeats 3

Nested cross-validation by `comparing`: in every repeat of 5 folds 10 networks that each left out two folds outline the
training patients, and 5 that left out one the test patients; those of single phases in `--single_repeats` repeats.
Steps, each a comparison that continues where it was stopped: measures of the outlines of the first repeat, those of
single phases, further repeats, then networks: of the images within the outline, and of image and measures together.
`--until measures` ends before the networks. After each step the table and the section of the document are written.

The dataset is that of `preparing`, without its boxes, which are taken from the experts' contours. The images of the
copy are themselves cut to 160 mm around the heart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.figures.table import markdown_lines
from scripts.files.atomic import write_table
from scripts.metrics.outlines import OUTLINE_TITLES, outline_summary
from scripts.metrics.paired import bootstrap_difference, delong_test, p_text
from scripts.metrics.predictions import Predictions, read_predictions
from scripts.metrics.rows import classification_table, confidence_intervals
from workbench.compare.pool import pooled_predictions

from benchmarks.marked import keep_part, short
from benchmarks.seeds import read_rows, run_bundle
from benchmarks.subset import Case, write_subset

FILES = [
    "configs/compare.yaml",
    "configs/data/acdc.yaml",
    "configs/regions/outlined.yaml",
    "configs/data/acdc_outlined.yaml",
]
PHASES = ("ed", "es")
TABLES = ("random_forest", "logistic_regression")
MEASURES = {"measures": ["volume", "thickness", "thickness_max", "volume_change"], "walls": ["myocardium"]}
NETWORK = "concat"
COLUMNS = ("figure", "of", "repeats", "n", "value", "lower", "upper", "p_value")
TITLES = {
    **{name: f"measures, {name.replace('_', ' ')}" for name in TABLES},
    **{
        f"{name}_{phase}": f"measures of `{phase}` alone, {name.replace('_', ' ')}"
        for name in TABLES
        for phase in PHASES
    },
    "images": f"images within the outline, `{NETWORK}`",
    "single_ed": "image of `ed` within its outline",
    "single_es": "image of `es` within its outline",
    "images_and_measures": f"images and measures, `{NETWORK}`",
    "mean": "mean of the probabilities of images and of measures by random forest",
}
Row = dict[str, Any]


def steps(repeats: int, single_repeats: int, until: str) -> list[tuple[str, Row]]:
    """Return the comparisons, in order: the name of the folder, and the settings.

    >>> [(name, step["repeats"], step["single_repeats"]) for name, step in steps(2, 1, "measures")]
    [('measures', 1, 0), ('measures', 1, 1), ('measures', 2, 1)]
    """
    alone = [f"{name}_{phase}" for name in TABLES for phase in PHASES]
    tables = {"strategies": list(TABLES), "compared_with": alone, **MEASURES}
    of_images = {"strategies": [NETWORK], "compared_with": [f"single_{phase}" for phase in PHASES]}
    both = {"strategies": [NETWORK], "compared_with": [], **MEASURES}
    often = [(number, min(number, single_repeats)) for number in range(1, repeats + 1)]
    often = [(1, 0), *often] if single_repeats else often
    found = [("measures", tables | {"repeats": number, "single_repeats": single}) for number, single in often]
    if until == "networks":
        for number, single in often[1 if single_repeats else 0 :]:
            found += [("images", of_images | {"repeats": number, "single_repeats": single})]
            found += [("both", both | {"repeats": number, "single_repeats": 0})]
    return found


def without_boxes(dataset: Path, output: Path) -> Path:
    """Write the dataset.json whose cases have no box, and return its folder."""

    def choose(_: str, cases: list[Case]) -> list[Case]:
        return [{key: value for key, value in case.items() if key != "box"} for case in cases]

    return write_subset(dataset, output, choose).parent


def run(given: argparse.Namespace) -> None:
    """Take the steps; the table is written after each."""
    work = given.work.resolve()
    dataset = without_boxes(given.dataset.resolve(), work / "data")
    for name, step in steps(given.repeats, given.single_repeats, given.until):
        print(f"{name}: {step['repeats']} repeat(s), single phases in {step['single_repeats']}", flush=True)
        settings = {"dataset_dir": dataset, "output_dir": work / name, "outliners_dir": work / "outliner"}
        settings |= {"cache_dir": work / "cache", "folds": 5, "name": name} | step
        run_bundle("comparing", FILES, settings | ({"jobs": given.jobs} if given.jobs else {}))
        rows = figures(work)
        write_table(given.output, COLUMNS, ([row.get(key) for key in COLUMNS] for row in rows))
        write_section(given)


def figures(work: Path) -> list[Row]:
    """Return every figure of what is finished."""
    found = outline_figures(work / "outliner")
    parts = classified(work)
    for name, by_repeat in parts.items():
        found += scores(name, by_repeat)
    for phase in PHASES:
        for name in TABLES:
            found += differences(parts, name, f"{name}_{phase}")
        found += differences(parts, "images", f"single_{phase}")
    return found


def outline_figures(outliners: Path) -> list[Row]:
    """Return the Dice of held-out patients, of networks that left out one fold, averaged over repeats by patient."""
    found: list[Row] = []
    for phase in ("", *PHASES):
        ending = f"_{phase}" if phase else ""
        files = [file for file in outliners.glob(f"r*_without_*{ending}/outlines.csv") if _left_out_one(file, ending)]
        rows = [_scored(row) for file in sorted(files) for row in read_rows(file)]
        repeats = len({file.parent.name.partition("_")[0] for file in files})
        for row in outline_summary(rows) if rows else []:
            mask = row["mask"] or (phase if phase else "all")
            of = f"{row['structure']}, {mask}" + (", seen alone" if phase else "")
            lower, upper = row["dice_interval"] or (None, None)
            found.append(_row("dice", of, repeats, row["n_patients"], row["dice"], lower, upper))
    return found


def _row(*values: Any) -> Row:
    return dict(zip(COLUMNS, values, strict=False))


def _left_out_one(file: Path, ending: str) -> bool:
    return file.parent.name.removesuffix(ending).partition("_without_")[2].isdigit()


def _scored(row: Mapping[str, str]) -> Row:
    """Return a row of outlines.csv as `outline_summary` takes it."""
    scored: Row = {name: float(row[name]) if row[name] else None for name in OUTLINE_TITLES}
    known = {"in_truth": float(row["volume_ml"]) > 0, "in_prediction": float(row["predicted_volume_ml"]) > 0}
    return scored | known | {key: row[key] for key in ("case", "patient", "mask", "structure")}


def classified(work: Path) -> dict[str, dict[int, Predictions]]:
    """Return contender -> repeat -> predictions of all cases."""
    found: dict[str, dict[int, Predictions]] = {}
    for folder, names in (
        ("measures", {}),
        ("images", {NETWORK: "images"}),
        ("both", {NETWORK: "images_and_measures"}),
    ):
        by_job: dict[tuple[str, int], list[Predictions]] = {}
        for file in sorted((work / folder / "rows").glob("*.json")):
            row = json.loads(file.read_text(encoding="utf-8"))
            place = work / folder / "jobs" / file.stem / "predictions.csv"
            by_job.setdefault((names.get(row["strategy"], row["strategy"]), row["repeat"]), []).append(
                read_predictions(place)
            )
        for (name, repeat), parts in by_job.items():
            if len(parts) == 5:  # else the repeat is not finished
                found.setdefault(name, {})[repeat] = pooled_predictions(parts)
    together = found.get("images", {}).keys() & found.get("random_forest", {}).keys()
    if together:
        found["mean"] = {
            repeat: pooled_predictions([found["images"][repeat], found["random_forest"][repeat]]) for repeat in together
        }
    return found


def _data(pooled: Predictions) -> tuple[Any, list[int]]:
    return pooled.probabilities, [label for label in pooled.labels or [] if label is not None]


def scores(name: str, by_repeat: Mapping[int, Predictions]) -> list[Row]:
    """Return accuracy and AUC with intervals over patients, probabilities averaged over repeats."""
    pooled = pooled_predictions([by_repeat[repeat] for repeat in sorted(by_repeat)])
    macro = classification_table(*_data(pooled), pooled.classes)[-1]
    intervals = confidence_intervals(*_data(pooled), pooled.patients)[-1]
    found = []
    for figure in ("accuracy", "auc"):
        lower, upper = intervals[figure].bounds or (None, None)
        found.append(_row(figure, name, len(by_repeat), len(pooled.cases), macro[figure], lower, upper))
    return found


def differences(parts: Mapping[str, Mapping[int, Predictions]], first: str, second: str) -> list[Row]:
    """Return what both phases are better by than one, in the repeats that have both: paired by patient."""
    common = sorted(parts.get(first, {}).keys() & parts.get(second, {}).keys())
    if not common:
        return []
    one, other = (pooled_predictions([parts[name][repeat] for repeat in common]) for name in (first, second))
    label, patients = _data(one)[1], one.patients
    tests = {
        "accuracy": bootstrap_difference(one.probabilities, other.probabilities, label, "accuracy", patients),
        "auc": delong_test(one.probabilities, other.probabilities, label, patients),
    }
    of, n = f"{first} - {second}", (len(common), len(label))
    return [
        _row(f"difference of {figure}", of, *n, test.difference, test.lower, test.upper, test.p_value)
        for figure, test in tests.items()
    ]


def render(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the tables of the document."""

    def value(row: Mapping[str, str], signed: bool = False) -> str:
        cells = [short(float(row[key])) for key in ("value", "lower", "upper") if row[key]]
        text = f"{cells[0]} [{', '.join(cells[1:])}]"
        return f"+{text}" if signed and float(row["value"]) > 0 else text

    of = {(row["figure"], row["of"]): row for row in rows}
    dice = [[row["of"], row["repeats"], row["n"], value(row)] for row in rows if row["figure"] == "dice"]
    parts = ["\n".join(markdown_lines(["outlined, held-out patients", "repeats", "n", "Dice [95%]"], dice))]
    lines = []
    for name, title in TITLES.items():
        if ("accuracy", name) in of:
            accuracy, auc = (of[figure, name] for figure in ("accuracy", "auc"))
            lines.append([title, accuracy["repeats"], accuracy["n"], value(accuracy), value(auc)])
    parts.append("\n".join(markdown_lines(["classified from", "repeats", "n", "accuracy [95%]", "AUC [95%]"], lines)))
    lines = []
    for row in rows:
        if row["figure"] == "difference of accuracy":
            auc = of["difference of auc", row["of"]]
            cells = [
                f"{value(one, True)}, p {p_text(float(one['p_value']) if one['p_value'] else None)}"
                for one in (row, auc)
            ]
            lines.append([f"`{row['of']}`", row["repeats"], *cells])
    if lines:
        header = ["both phases against one", "repeats", "accuracy [95%], paired bootstrap", "AUC [95%], DeLong"]
        parts.append("\n".join(markdown_lines(header, lines)))
    return "\n\n".join(parts) + "\n"


def write_section(given: argparse.Namespace) -> None:
    """Write the section of the document from the table, or with `check` compare it."""
    part = render(read_rows(given.output))
    keep_part(given.document, "acdc_outlined", part, given.check, "python -m benchmarks.acdc_outlined")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=Path("data/acdc"), help="folder with dataset.json")
    parser.add_argument("--work", type=Path, default=Path("results/acdc_outlined"), help="receives all trainings")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--single_repeats", type=int, default=1, help="repeats with single phases")
    parser.add_argument("--until", choices=["measures", "networks"], default="networks", help="last kind of step")
    parser.add_argument("--jobs", type=int, help="trainings at a time; default: one per core")
    parser.add_argument("--output", type=Path, default=Path("docs/figures/acdc_outlined.csv"))
    parser.add_argument("--document", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    if given.check:
        write_section(given)
    else:
        run(given)


if __name__ == "__main__":
    main()
