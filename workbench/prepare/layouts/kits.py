# SPDX-License-Identifier: Apache-2.0
"""KiTS, CT of kidneys with a tumour: one phase per case, and a mask.

source/case_00000/imaging.nii.gz, segmentation.nii.gz            2019: kidney, tumor
source/case_00000/imaging.nii.gz, aggregated_MAJ_seg.nii.gz      2021: kidney, tumor, cyst
source/case_00000/imaging.nii.gz, segmentation.nii.gz, instances/     2023: kidney, tumor, cyst

The editions are told apart by their files. Cases without a mask are unlabelled. A class comes from a table of
`labels` (case,label[,...]), e.g. made from kits.json; without one the cases can be outlined but not classified.
"""

from __future__ import annotations

from scripts.cases.splits import Case
from scripts.files.plain_text import note
from workbench.prepare.labels import LabelTable, read_label_table
from workbench.prepare.layouts import Found, Source, check_folder
from workbench.prepare.layouts.nnunet import OUTLINES

PHASE = "ct"
MASKS = ("segmentation.nii.gz", "aggregated_MAJ_seg.nii.gz")
STRUCTURES = ["kidney", "tumor", "cyst"]  # values 1, 2, 3; no cyst in 2019


def find(source: Source) -> Found:
    """Find the folders case_00000, ... below `source.path`, and join a table of labels where there is one."""
    check_folder(source.path)
    folders = sorted(file.parent for file in source.path.glob("case_*/imaging.nii.gz"))
    if not folders:
        raise ValueError(
            f"{source.path} must hold folders like case_00000 with imaging.nii.gz, found none; download the images "
            "as the README of KiTS says, and pass the folder that holds the cases as --source"
        )
    cases: list[Case] = []
    for folder in folders:
        drawn = next((folder / name for name in MASKS if (folder / name).is_file()), None)
        case = {"case": folder.name, "patient": folder.name, "image": {PHASE: str(folder / "imaging.nii.gz")}}
        cases.append(case | ({} if drawn is None else {"roi": str(drawn)}))
    cysts = any((folder / name).exists() for folder in folders for name in (MASKS[1], "instances"))
    table = LabelTable({}, [], []) if source.labels is None else read_label_table(source.labels, source.clinical)
    joined = table.join([case["case"] for case in cases])
    cases = [case | joined.row(case["case"]) for case in cases]
    notes = joined.notes(cases, "label file", "a folder") if source.labels is not None else [OUTLINES]
    notes.append(note("cases without a mask", [case["case"] for case in cases if "roi" not in case]))
    structures = list(source.structures or STRUCTURES[: 3 if cysts else 2])
    return Found(
        "KiTS", [PHASE], cases, clinical=table.clinical, notes=notes, structures=structures,
        outlines=source.labels is None,
    )  # fmt: skip
