"""Prostate masks and clinical table of PI-CAI, together and each alone, in grouped five-fold validation.

    python -m benchmarks.picai --data picai_anatomy_clinical --jobs 2 --output docs/figures/picai.csv

`--data` holds marksheet.csv and picai_masks_48x48x32.npz. What was found out after the fact (lesions, grades,
histology) is never read. All studies of a patient are in one fold; one eighth of the patients outside a fold
are its validation split. One row per variant and fold; rows that are already there are not made again. In the
end: AUC of the pooled predictions with an interval over patients.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.seeds import figures, read_rows, run_bundle, tabulate
from scripts.evaluation import confidence_intervals

FIELDS = ("variant", "fold", "n", "auc", "auc_lower", "auc_upper", "threads", "processor", "torch")
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
FOLDS, SEED = 5, 0


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
    """Return one entry of dataset.json per study, with the values that were known before the biopsy.

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
    """Write dataset.json of each fold."""
    header = {
        "name": "picai",
        "phases": list(CHANNELS),
        "classes": ["no", "yes"],
        "clinical": [{"name": name, "kind": "number", "unit": unit} for name, (_, unit) in COLUMNS.items()],
    }
    label, patient = (np.array([entry[key] for entry in entries]) for key in ("label", "patient"))
    outer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    for fold, (rest, test) in enumerate(outer.split(label, label, patient)):
        inner = StratifiedGroupKFold(8, shuffle=True, random_state=SEED)
        training, validation = next(inner.split(label[rest], label[rest], patient[rest]))
        chosen = {"training": rest[training], "validation": rest[validation], "test": test}
        content = header | {split: [entries[i] for i in index] for split, index in chosen.items()}
        (folder / f"fold{fold}").mkdir(parents=True, exist_ok=True)
        (folder / f"fold{fold}" / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


def train(variant: str, fold: int, folder: Path, results: Path) -> dict[str, Any]:
    """Train one variant on one fold and return its row."""
    overlays, overrides = VARIANTS[variant]
    name = f"{variant}_fold{fold}"
    run_bundle(
        "training",
        ["configs/train.yaml", "configs/data/picai.yaml", *overlays],
        {"name": name, "output_dir": results / name, "dataset_dir": folder / f"fold{fold}", **overrides},
        results / f"{name}.log",
    )
    row = {"variant": variant, "fold": fold, **figures(results / name)}
    return {key: row[key] for key in FIELDS}


def report(variant: str, results: Path, entries: list[dict[str, Any]]) -> str:
    """Return the pooled AUC of a variant with its interval over patients."""
    patient = {entry["case"]: entry["patient"] for entry in entries}
    tables = [pandas.read_csv(results / f"{variant}_fold{fold}" / "predictions.csv") for fold in range(FOLDS)]
    table = pandas.concat(tables)
    auc = confidence_intervals(
        table[["p_no", "p_yes"]].to_numpy(),
        (table["true"] == "yes").to_numpy().astype(int),
        [patient[case] for case in table["case"].astype(str)],
    )[-1]["auc"]
    value = roc_auc_score(table["true"] == "yes", table["p_yes"])
    return f"{variant}: AUC {value:.3f} [{auc.lower:.3f}, {auc.upper:.3f}], n = {len(table)} studies, pooled"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of marksheet.csv and the masks")
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
    done = {(row["variant"], int(row["fold"])) for row in read_rows(given.output)}
    jobs = [(variant, fold) for fold in range(FOLDS) for variant in VARIANTS]
    tabulate(
        [job for job in jobs if job not in done],
        lambda job: [train(*job, given.folder, given.results)],
        lambda row: f"{row['variant']} fold {row['fold']}: AUC {row['auc']:.3f}",
        given.output,
        FIELDS,
        given.jobs,
    )
    for variant in VARIANTS:
        print(report(variant, given.results, entries))


if __name__ == "__main__":
    main()
