# SPDX-License-Identifier: Apache-2.0
"""Prostate masks and clinical table of PI-CAI, together and each alone, in grouped five-fold cross-validation.

    python -m benchmarks.picai --data picai_anatomy_clinical --jobs 2 --output docs/figures/picai.csv
    python -m benchmarks.picai --data ... --variants both --seeds 1 2 --output docs/figures/picai.csv

`--data` holds marksheet.csv and picai_masks_48x48x32.npz. What became known after the biopsy (lesions, grades,
histology) is never read. All studies of a patient are in one fold; one eighth of the patients outside a fold
are its validation split. One row per variant, fold and seed; existing rows are not computed again.
Each model is evaluated as it is, and with the mean over 8 test-time augmentations. At the end it
prints the AUC of the pooled predictions of all folds with an interval over patients: for one model per fold,
with test-time augmentation, and with that for the mean over seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from scripts.metrics.rows import confidence_intervals
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.seeds import figures, read_rows, run_bundle, tabulate

FIELDS = (
    "variant", "fold", "seed", "n", "auc", "auc_lower", "auc_upper", "augmented_auc", "threads", "processor",
    "torch",
)  # fmt: skip
CHANNELS = {"gland": "whole_gland_Bosma22b", "zones": "zones_HeviAI23"}
COLUMNS = {
    "age": ("patient_age", "years"),
    "log_psa": ("psa", "log(ng/mL)"),
    "log_psad": ("psad", "log(ng/mL/mL)"),
    "log_volume": ("prostate_volume", "log(mL)"),
}
VARIANTS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "image": ([], {"clinical": []}),
    "table": (["configs/fusion/table.yaml"], {}),
    "both": ([], {}),
}
FOLDS, SPLIT_SEED, AUGMENTATIONS = 5, 0, 8


def write_images(data: Path, folder: Path) -> None:
    """Write the masks as NIfTI files of 2 x 2 x 3 mm, once."""
    import nibabel

    if (folder / "complete").is_file():
        return
    with np.load(data / "picai_masks_48x48x32.npz") as archive:
        cases, channels, masks = archive["case"], list(archive["channels"]), archive["masks"]
    for case, volumes in zip(cases, masks, strict=True):
        (folder / str(case)).mkdir(parents=True, exist_ok=True)
        for phase, channel in CHANNELS.items():
            image = nibabel.Nifti1Image(volumes[channels.index(channel)], np.diag([2.0, 2.0, 3.0, 1.0]))
            nibabel.save(image, folder / str(case) / f"{phase}.nii.gz")
    (folder / "complete").touch()


def read_entries(data: Path, images: Path) -> list[dict[str, Any]]:
    """Return one entry of dataset.json per study, with the values known before the biopsy.

    Paths are absolute: one copy of the images serves the dataset.json of every fold.
    """
    with np.load(data / "picai_masks_48x48x32.npz") as archive:
        cases = [str(case) for case in archive["case"]]
    sheet = pandas.read_csv(data / "marksheet.csv")
    sheet.index = sheet["patient_id"].astype(str) + "_" + sheet["study_id"].astype(str)
    entries = []
    for case in cases:
        row = sheet.loc[case]
        clinical = {}
        for name, (column, _) in COLUMNS.items():
            value = float(row[column])
            if math.isfinite(value) and value > 0:
                clinical[name] = math.log(value) if name.startswith("log_") else value
        entries.append(
            {
                "case": case,
                "patient": str(row["patient_id"]),
                "site": row["center"],
                "image": {phase: str(images.resolve() / case / f"{phase}.nii.gz") for phase in CHANNELS},
                "clinical": clinical,
                "label": "yes" if row["case_csPCa"] == "YES" else "no",
            }
        )
    return entries


def write_folds(entries: list[dict[str, Any]], folder: Path) -> None:
    """Write the dataset.json of each fold."""
    header = {
        "name": "picai",
        "phases": list(CHANNELS),
        "classes": ["no", "yes"],
        "clinical": [{"name": name, "kind": "number", "unit": unit} for name, (_, unit) in COLUMNS.items()],
    }
    label, patient = (np.array([entry[key] for entry in entries]) for key in ("label", "patient"))
    outer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SPLIT_SEED)
    for fold, (rest, test) in enumerate(outer.split(label, label, patient)):
        inner = StratifiedGroupKFold(8, shuffle=True, random_state=SPLIT_SEED)
        training, validation = next(inner.split(label[rest], label[rest], patient[rest]))
        chosen = {"training": rest[training], "validation": rest[validation], "test": test}
        content = header | {split: [entries[i] for i in index] for split, index in chosen.items()}
        (folder / f"fold{fold}").mkdir(parents=True, exist_ok=True)
        (folder / f"fold{fold}" / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


def folder_of(results: Path, variant: str, fold: int, seed: int) -> Path:
    """Return the folder of one run."""
    return results / f"{variant}_fold{fold}_seed{seed}"


def train(variant: str, fold: int, seed: int, data: Path, results: Path) -> dict[str, Any]:
    """Train one variant on one fold with one seed, evaluate it twice, and return its row."""
    overlays, overrides = VARIANTS[variant]
    folder = folder_of(results, variant, fold, seed)
    log = results / f"{folder.name}.log"
    if not (folder / "metrics.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        settings = {"name": folder.name, "output_dir": folder, "dataset_dir": data / f"fold{fold}"}
        files = ["configs/train.yaml", "configs/data/picai.yaml", *overlays]
        run_bundle("training", files, settings | {"seed": seed, **overrides}, log)
    files = [str(folder / "configs" / f"{name}.yaml") for name in ("train", "evaluate")]
    settings = {"bundle_root": folder, "output_dir": folder / "augmented"}
    run_bundle("evaluating", files, settings | {"test_time_augmentation": AUGMENTATIONS}, log)
    row = {"variant": variant, "fold": fold, "seed": seed, **figures(folder)}
    row["augmented_auc"] = figures(folder / "augmented")["auc"]
    return {key: row[key] for key in FIELDS}


def pooled(folders: list[list[Path]], entries: list[dict[str, Any]]) -> str:
    """Return the AUC of the predictions of all folds, each the mean over its folders, with its interval."""
    patient = {entry["case"]: entry["patient"] for entry in entries}
    tables = []
    for models in folders:
        found = [pandas.read_csv(model / "predictions.csv", index_col="case") for model in models]
        mean = sum(table["p_yes"] for table in found) / len(found)
        tables.append(pandas.DataFrame({"true": found[0]["true"] == "yes", "p_yes": mean}))
    table = pandas.concat(tables)
    probability = np.stack([1 - table["p_yes"], table["p_yes"]], axis=1)
    patients = [patient[case] for case in table.index.astype(str)]
    auc = confidence_intervals(probability, table["true"].to_numpy().astype(int), patients)[-1]["auc"]
    value = roc_auc_score(table["true"], table["p_yes"])
    return f"AUC {value:.3f} [{auc.lower:.3f}, {auc.upper:.3f}], n = {len(table)} studies, pooled"


def report(variant: str, seeds: list[int], results: Path, entries: list[dict[str, Any]]) -> None:
    """Print the pooled figures of a variant."""
    runs = {seed: [folder_of(results, variant, fold, seed) for fold in range(FOLDS)] for seed in seeds}
    for seed, folders in runs.items():
        print(f"{variant}, seed {seed}: {pooled([[folder] for folder in folders], entries)}")
        augmented = [[folder / "augmented"] for folder in folders]
        print(f"{variant}, seed {seed}, test-time augmentation: {pooled(augmented, entries)}")
    if len(seeds) > 1:
        mean = [[runs[seed][fold] / "augmented" for seed in seeds] for fold in range(FOLDS)]
        print(f"{variant}, mean of seeds {seeds}, test-time augmentation: {pooled(mean, entries)}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of marksheet.csv and the masks")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each")
    parser.add_argument("--folder", type=Path, default=Path("data/picai"), help="where images and folds go")
    parser.add_argument("--results", type=Path, default=Path("results/picai"), help="folder of the runs")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per variant and fold")
    given = parser.parse_args(arguments)
    given.results.mkdir(parents=True, exist_ok=True)
    images = given.folder / "images"
    entries = read_entries(given.data, images)
    write_images(given.data, images)
    write_folds(entries, given.folder)
    done = {(row["variant"], int(row["fold"]), int(row["seed"])) for row in read_rows(given.output)}
    jobs = [(variant, fold, seed) for seed in given.seeds for fold in range(FOLDS) for variant in given.variants]
    tabulate(
        [job for job in jobs if job not in done],
        lambda job: [train(*job, given.folder, given.results)],
        lambda row: f"{row['variant']} fold {row['fold']} seed {row['seed']}: AUC {row['auc']:.3f}",
        given.output,
        FIELDS,
        given.jobs,
    )
    found = read_rows(given.output)
    for variant in VARIANTS:
        seeds = sorted({int(row["seed"]) for row in found if row["variant"] == variant})
        report(variant, seeds, given.results, entries)


if __name__ == "__main__":
    main()
