# SPDX-License-Identifier: Apache-2.0
"""BraTS, glioma MR: four sequences per case on one grid, and a mask of the tumour.

source/BraTS20_Training_001/BraTS20_Training_001_{t1,t1ce,t2,flair,seg}.nii.gz    up to 2021
source/BraTS-GLI-00001-000/BraTS-GLI-00001-000-{t1n,t1c,t2w,t2f,seg}.nii.gz       from 2023; -000: time point
source/HGG/..., source/LGG/...                                                    up to 2019; folder: label

Labels come from `labels` (case,label[,...]), from name_mapping.csv (column Grade, 2019 and 2020), or from the
folders HGG and LGG. The mask seg is the region of interest; it is drawn by experts, so a model that uses it
needs one for new cases too. Its values are the necrotic core, oedema and enhancing tumour, 1, 2 and 3 from
2023 on; in the editions before, whose enhancing tumour is 4, masks numbered as the later ones are written below
the output. Time points of one patient stay together.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scripts.cases.masks import open_mask
from scripts.cases.splits import Case
from scripts.files.plain_text import note
from scripts.files.processes import work_through
from workbench.prepare.derived import write_nifti
from workbench.prepare.labels import LabelTable, read_cells, read_label_table
from workbench.prepare.layouts import Found, Source, check_folder

PHASES = ["t1", "t1ce", "t2", "flair"]
NAMES = {name: name for name in PHASES} | {"t1n": "t1", "t1c": "t1ce", "t2w": "t2", "t2f": "flair"}
"""Name in the file -> phase."""
GRADES = ("HGG", "LGG")
STRUCTURES = ["necrotic core", "oedema", "enhancing tumour"]  # values 1, 2, 3
ENHANCING_BEFORE = 4  # value of the third up to 2021


def find(source: Source) -> Found:
    """Find the cases below `source.path` and join their labels."""
    check_folder(source.path)
    table = _labels(source)
    roots = [source.path / grade for grade in GRADES if (source.path / grade).is_dir()] or [source.path]
    folders = sorted(path for root in roots for path in root.iterdir() if path.is_dir())
    cases = [case for folder in folders if (case := _case(folder))]
    joined = table.join([case["case"] for case in cases])
    cases = [case | joined.row(case["case"]) for case in cases]
    if not cases:
        raise ValueError(
            f"{source.path} must hold folders like BraTS20_Training_001 with BraTS20_Training_001_t1.nii.gz, "
            f"..., found none among {len(folders)} folders; correct --source"
        )
    if not any("label" in case for case in cases):
        raise ValueError(
            f"layout 'brats' needs a label for the cases of {source.path}, found none for e.g. "
            f"{cases[0]['case']}; pass --labels FILE.csv with the columns case,label"
        )
    notes = [
        *joined.notes(cases, "label file", "a folder"),
        note("cases without a mask", [case["case"] for case in cases if "roi" not in case]),
    ]
    if source.structures is None:
        later = re.compile(r"[_-]t(1n|1c|2w|2f)\.")
        before = [case for case in cases if "roi" in case and not later.search(str(case["image"]))]
        work_through(partial(_renumber, source.output / "masks"), before, bar="numbering masks", what="masks")
        what = f"masks whose enhancing tumour is {ENHANCING_BEFORE}, written with 3 to {source.output / 'masks'}"
        notes.append(note(what, [case["case"] for case in before]))
    return Found("BraTS", PHASES, cases, clinical=table.clinical, notes=notes, structures=STRUCTURES)


def _renumber(folder: Path, case: Case) -> None:
    """Write the mask of a case with 3 in place of 4, and let the case name it."""
    mask = open_mask(case["roi"], case["case"])
    voxels = mask.read()
    case["roi"] = str(folder / f"{case['case']}.nii.gz")
    write_nifti(Path(case["roi"]), np.where(voxels == ENHANCING_BEFORE, np.float32(3), voxels), mask.affine)


def _labels(source: Source) -> LabelTable:
    if source.labels is not None:
        return read_label_table(source.labels, source.clinical)
    file = source.path / "name_mapping.csv"
    if not file.is_file():
        return LabelTable({}, [], [])
    headers = read_cells(file).headers
    case = max((name for name in headers if re.fullmatch(r"BraTS_20\d\d_subject_ID", name)), default="")
    if not case or "Grade" not in headers:
        raise ValueError(
            f"{file} must have the columns Grade and BraTS_20xx_subject_ID, found [{', '.join(headers)}]; "
            "pass --labels FILE.csv with the columns case,label"
        )
    return read_label_table(file, [], {case: "case", "Grade": "label"})


def _case(folder: Path) -> dict[str, Any] | None:
    """Return the entry of one folder, None where it holds no sequence."""
    image: dict[str, str] = {}
    roi = None
    for file in sorted(folder.glob(f"{folder.name}[_-]*.nii*")):
        name = file.name[len(folder.name) + 1 :].split(".")[0].lower()
        if name == "seg":
            roi = str(file)
        elif name in NAMES:
            phase = NAMES[name]
            if phase in image:
                raise ValueError(
                    f"case {folder.name}: phase {phase!r} must be one file, found {Path(image[phase]).name} "
                    f"and {file.name}; remove one"
                )
            image[phase] = str(file)
    if not image:
        return None
    entry: Case = {"case": folder.name, "patient": _patient(folder.name), "image": image}
    entry |= {"roi": roi} if roi else {}
    entry |= {"label": folder.parent.name} if folder.parent.name in GRADES else {}
    return entry


def _patient(case: str) -> str:
    """Return the name without the time point that editions from 2023 have.

    >>> _patient("BraTS-GLI-00001-000"), _patient("BraTS20_Training_001")
    ('BraTS-GLI-00001', 'BraTS20_Training_001')
    """
    return re.sub(r"(BraTS-\w+-\d{5})-\d{3}$", r"\1", case)
