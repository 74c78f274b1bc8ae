# SPDX-License-Identifier: Apache-2.0
"""Write phantom cases to a folder: `dataset.json`, NIfTI files, and `truth.csv` with what the oracle knows."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scripts.files.atomic import write_table
from tqdm import tqdm
from workbench.prepare.phantom.acquisition import Case, Scan, make_case
from workbench.prepare.phantom.oracle import (
    CLASSES,
    CLINICAL,
    PHASES,
    REFERENCE,
    Latents,
    clinical_log_odds,
    image_log_odds,
    phase_subsets,
    probability,
)

DEFAULT_SPLITS = {"training": 120, "validation": 40, "test": 40}
DEFAULT_CASES = sum(DEFAULT_SPLITS.values())
SPLITS = ("training", "validation", "test")
ABANDONED_AFTER_S = 3600.0


def _write_nifti(path: Path, volume: Scan) -> None:
    image = nib.Nifti1Image(volume.voxels, volume.affine)
    image.set_qform(volume.affine, code=1)
    image.set_sform(volume.affine, code=1)
    image.header.set_xyzt_units("mm", "sec")
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=2, mtime=0))


def case_name(index: int) -> str:
    """The name of case `index` and of its patient: `phantom_0007`."""
    return f"phantom_{index:04d}"


def write_case(folder: Path, index: int, case: Case) -> dict[str, object]:
    """Write one case's files under `folder` and return its entry in `dataset.json`."""
    name = case_name(index)
    (folder / name).mkdir()
    for phase, volume in case.images.items():
        _write_nifti(folder / name / f"{phase}.nii.gz", volume)
    _write_nifti(folder / name / "lesion.nii.gz", case.roi)
    return {
        "case": name,
        "patient": name,
        "site": case.latents.site,
        "image": {phase: f"{name}/{phase}.nii.gz" for phase in case.images},
        "roi": f"{name}/lesion.nii.gz",
        "clinical": case.latents.clinical,
        "label": CLASSES[case.latents.label],
    }


def truth_columns() -> list[str]:
    """The columns of `truth.csv`; `p_true_*` are probabilities of the class `high`."""
    subsets = ["_".join(subset) for subset in phase_subsets()[:-1]]
    return [
        "case", "split", "label", "phases", "p_true", "p_true_all", *(f"p_true_{name}" for name in subsets),
        "p_true_clinical", "p_true_with_clinical",
    ]  # fmt: skip


def truth_row(index: int, split: str, latents: Latents) -> dict[str, str]:
    """The oracle's view of one case.

    `p_true` uses the phases that are in the files; `p_true_all` and `p_true_<phases>` use the named phases
    whether or not they were acquired; `p_true_clinical` uses the table alone, `p_true_with_clinical` the
    table and the phases in the files.
    """
    contrast = np.array([latents.contrast_hu])
    present = latents.present_phases()
    at_hand = float(image_log_odds(contrast, present)[0])
    table = clinical_log_odds(latents.clinical)
    log_odds = {"p_true": at_hand, "p_true_clinical": table, "p_true_with_clinical": at_hand + table}
    for subset in phase_subsets():
        name = "all" if subset == PHASES else "_".join(subset)
        log_odds[f"p_true_{name}"] = float(image_log_odds(contrast, subset)[0])
    row = {"case": case_name(index), "split": split, "label": CLASSES[latents.label], "phases": " ".join(present)}
    return row | {column: f"{float(probability(value)):.6g}" for column, value in log_odds.items()}


def _check_splits(folder: Path, first: int, splits: Mapping[str, int]) -> None:
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown:
        raise ValueError(f"phantom splits must be among {list(SPLITS)}, found {unknown}: correct the split names")
    for split, count in splits.items():
        if count < 2 or count % 2:
            raise ValueError(f"phantom split '{split}' must have an even number of cases, found {count}: use 2, 4, ...")
    if first < 0 or first % 2:
        raise ValueError(f"the first phantom case must be an even number, found {first}: use 0, 200, ...")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"the phantom's folder must be new or empty, found files in {folder}: choose another or remove it"
        )


def _remove_abandoned(folder: Path) -> None:
    """Remove partial folders beside `folder` that a killed run left: not written to for an hour."""
    for partial in folder.parent.glob(f".{folder.name}.partial-*"):
        if time.time() - partial.stat().st_mtime > ABANDONED_AFTER_S:
            shutil.rmtree(partial, ignore_errors=True)


def make_phantom(
    folder: str | Path, seed: int = 0, first: int = 0, splits: Mapping[str, int] = DEFAULT_SPLITS, progress: bool = True
) -> Path:
    """Write phantom cases `first`, `first + 1`, ... as a dataset; each split is half low, half high.

    Files are written into a hidden sibling of `folder` that is renamed at the end, so an interrupted run
    leaves no half-made dataset.

    Args:
        seed: case i is a function of (seed, i) alone.
        first: index of the first case, even; cases 0 to 199 are the default dataset, 200 onwards are extra.
        splits: even number of cases per split, in this order.

    Raises:
        ValueError: `folder` has files in it or cannot be written, or `first` or `splits` is not as stated.
    """
    folder = Path(folder).absolute()
    _check_splits(folder, first, splits)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    except OSError as error:
        raise ValueError(
            f"the phantom must be written to {folder}, found '{error}': choose a writable folder"
        ) from None
    try:
        _write_dataset(partial, seed, first, splits, progress)
        partial.chmod(0o755)
        _publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / "dataset.json"


def _write_dataset(folder: Path, seed: int, first: int, splits: Mapping[str, int], progress: bool) -> None:
    plan = [split for split, count in splits.items() for _ in range(count)]
    entries: dict[str, list[dict[str, object]]] = {split: [] for split in splits}
    rows = []
    for offset, split in enumerate(tqdm(plan, desc="making the phantom", unit="case", disable=not progress)):
        case = make_case(seed, first + offset)
        entries[split].append(write_case(folder, first + offset, case))
        rows.append(truth_row(first + offset, split, case.latents))
    _write_truth(folder / "truth.csv", rows)
    header = {
        "name": "phantom",
        "description": f"Synthetic three-phase CT of liver lesions, seed {seed}; not for clinical use.",
        "phases": list(PHASES),
        "reference": REFERENCE,
        "classes": list(CLASSES),
        "clinical": list(CLINICAL),
    }
    (folder / "dataset.json").write_text(json.dumps(header | entries, indent=1) + "\n")


def _write_truth(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    columns = truth_columns()
    write_table(path, columns, ([row[name] for name in columns] for row in rows))


def _publish(partial: Path, folder: Path) -> None:
    """Rename the finished folder into place; where another process was faster, keep its dataset."""
    try:
        os.replace(partial, folder)
    except OSError:
        if not (folder / "dataset.json").is_file():
            raise


def ensure_phantom(dataset_dir: str | Path, seed: int = 0) -> None:
    """Make the built-in phantom where the default configuration looks for it, once.

    Does nothing where `dataset.json` is already there, or where the path does not end in `data/phantom`, so
    that a mistyped path of a user's own dataset is never filled with a phantom.
    """
    folder = Path(dataset_dir).absolute()
    if folder.parts[-2:] == ("data", "phantom") and not (folder / "dataset.json").is_file():
        try:
            make_phantom(folder, seed=seed)
        except ValueError:
            if not (folder / "dataset.json").is_file():  # else another process was faster
                raise
