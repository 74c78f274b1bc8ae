# SPDX-License-Identifier: Apache-2.0
"""ACDC, cardiac cine MR: end-diastole (ed) and end-systole (es) as two phases, five classes.

The official layout (https://www.creatis.insa-lyon.fr/Challenge/acdc), as the training folder or as the
folder that holds training/ and testing/ (then the official test patients are the test split):

    patient001/Info.cfg                      ED: 1, ES: 12, Group: DCM, Height: 184.0 (cm), Weight: 95.0 (kg)
    patient001/patient001_frame01.nii.gz     and patient001_frame01_gt.nii.gz, the mask of the heart

or a copy with the two frames named:

    patient001/ed.nii.gz, es.nii.gz          and ed_seg.nii.gz, es_seg.nii.gz
    cases.csv                                columns patient, group; any other column is ignored

Each frame has a mask of its own, whose values are the cavity of the right ventricle, the myocardium and the
cavity of the left ventricle. The order of patient numbers follows the classes: it is never used. Each case
gets a box of 160 mm around the heart (the centre of the end-diastolic mask, or of the image where there is no
mask), over all slices.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from scripts.cases.folder import case_folders
from scripts.cases.splits import Case
from scripts.files.plain_text import listing
from scripts.files.tables import read_table
from scripts.volumes.grid import mask_limits, open_phase, ras_bounds
from workbench.prepare.layouts import Found, Source, check_folder

CLASSES = ["NOR", "DCM", "HCM", "MINF", "RV"]
PHASES = ["ed", "es"]
STRUCTURES = ["right ventricle", "myocardium", "left ventricle"]  # values 1, 2, 3
CLINICAL = [{"name": "height", "kind": "number", "unit": "cm"}, {"name": "weight", "kind": "number", "unit": "kg"}]
BOX_WIDTH = 160.0  # in-plane side of the box in mm


def find(source: Source) -> Found:
    """Find the ACDC patients below `source.path`, in the official layout or as the copy."""
    check_folder(source.path)
    table = source.path / "cases.csv"
    if table.is_file():
        rows = read_table(table, "table", "--source").rows
        groups = {row.get("patient", ""): row.get("group", "") for row in rows}
        cases = [_copied(folder, groups.get(folder.name), table) for folder in _patients(source.path)]
        return Found("ACDC", PHASES, cases, CLASSES, overlay="configs/data/acdc.yaml", structures=STRUCTURES)
    both = all((source.path / name).is_dir() for name in ("training", "testing"))
    cases = [_official(folder) for folder in _patients(source.path / "training" if both else source.path)]
    if both:
        cases += [_official(folder) | {"split": "test"} for folder in _patients(source.path / "testing")]
    overlay = "configs/data/acdc.yaml"
    return Found("ACDC", PHASES, cases, CLASSES, CLINICAL, overlay=overlay, structures=STRUCTURES)


def _patients(root: Path) -> list[Path]:
    folders = [folder for folder in case_folders(root) if re.fullmatch(r"patient\d+", folder.name)]
    if not folders:
        raise ValueError(
            f"{root} must hold the ACDC folders patient001, patient002, ..., found none; "
            "pass the folder that holds them, or the one with training/ and testing/, as --source"
        )
    return folders


def _official(folder: Path) -> dict[str, Any]:
    info_file = folder / "Info.cfg"
    if not info_file.is_file():
        raise FileNotFoundError(f"case {folder.name}: {info_file} does not exist; unpack the ACDC archive again")
    pairs = (line.split(":", 1) for line in info_file.read_text(encoding="utf-8").splitlines() if ":" in line)
    info = {key.strip(): value.strip() for key, value in pairs}
    image: dict[str, str] = {}
    masks: dict[str, Path] = {}
    for phase in PHASES:
        frame = info.get(phase.upper(), "")
        if not frame.isdigit():
            raise ValueError(
                f"case {folder.name}: {info_file} must have a line '{phase.upper()}: frame number', found {frame!r}"
            )
        stem = f"{folder.name}_frame{int(frame):02d}"
        image[phase], masks[phase] = _frame(folder, phase, stem), folder / f"{stem}_gt.nii.gz"
    clinical = {name: float(info[name.title()]) for name in ("height", "weight") if name.title() in info}
    return _entry(folder.name, info.get("Group"), info_file, image, masks) | {"clinical": clinical}


def _copied(folder: Path, group: str | None, table: Path) -> dict[str, Any]:
    image = {phase: _frame(folder, phase, phase) for phase in PHASES}
    return _entry(folder.name, group, table, image, {phase: folder / f"{phase}_seg.nii.gz" for phase in PHASES})


def _frame(folder: Path, phase: str, stem: str) -> str:
    for ending in (".nii.gz", ".nii"):
        if (folder / f"{stem}{ending}").is_file():
            return str(folder / f"{stem}{ending}")
    raise FileNotFoundError(
        f"case {folder.name}: phase {phase!r} must be the file {folder / stem}.nii.gz, which does not exist; "
        "unpack the archive again"
    )


def _entry(case: str, group: str | None, where: Path, image: dict[str, str], masks: dict[str, Path]) -> dict[str, Any]:
    if group not in CLASSES:
        raise ValueError(f"case {case}: group {group!r} is not among {listing(str(group), CLASSES)} in {where}")
    entry: Case = {"case": case, "patient": case, "image": image, "label": group}
    drawn = {phase: str(mask) for phase, mask in masks.items() if mask.is_file()}
    entry |= {"roi": drawn} if drawn else {}
    return entry | {"box": heart_box(case, image["ed"], drawn.get("ed"))}


def heart_box(case: str, image: str, mask: str | None) -> list[list[float]]:
    """Return a box (two corners in mm, RAS) around the heart: 160 mm in plane, all slices of the image.

    Args:
        mask: its heart mask, which gives the centre; None takes the centre of the image.
    """
    volume = open_phase(image, case, "ed")
    low, high = ras_bounds(volume, np.zeros(3), np.subtract(volume.shape, 1))
    centre = (low + high) / 2
    if mask is not None:
        heart = open_phase(mask, case, "roi")
        centre = np.mean(ras_bounds(heart, *mask_limits(heart, case)), axis=0)
    low[:2], high[:2] = centre[:2] - BOX_WIDTH / 2, centre[:2] + BOX_WIDTH / 2
    return [np.round(corner, 2).tolist() for corner in (low, high)]
