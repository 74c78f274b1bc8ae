"""A CSV file that names everything: one row per case, one column per phase with the path of its file.

cases.csv     case,label[,patient,site,split][,roi],pre,arterial,portal[,clinical columns]
              p001,benign,...,p001/pre.nii.gz,p001/art.nii.gz,,...

`source` is the file. A column is a phase where all its cells are paths of images (.nii.gz, .nii, .nrrd, .mha,
.mhd) or empty. Relative paths count from the folder of the file. An empty cell is a missing phase.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from scripts.data.label_table import FIXED, read_cells, read_label_table
from scripts.data.layouts.found import Found, Source
from scripts.data.note import note
from scripts.data.volumes import image_ending


def find(source: Source) -> Found:
    """Read the cases from a CSV file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: no column of image paths, or a wrong table.
    """
    file = source.path
    if source.labels is not None:
        raise ValueError("layout 'table' takes the labels from the table itself; leave --labels out")
    if file.is_dir():
        raise ValueError(f"layout 'table' needs a CSV file, found the folder {file}; pass the file as --source")
    if not file.is_file():
        raise FileNotFoundError(f"table {file} does not exist; correct --source")
    headers, rows = read_cells(file)
    paths = [header for header in headers if header and header not in FIXED and _is_path(row[header] for row in rows)]
    phases = [header for header in paths if header != "roi"]
    if not phases:
        raise ValueError(
            f"table {file} must have a column with paths of images for each phase, found the columns "
            f"[{', '.join(headers)}]; a path ends in .nii.gz, .nii, .nrrd, .mha or .mhd"
        )
    table = read_label_table(file, source.clinical, skip=[*phases, "roi"])
    cases = []
    for row in rows:
        files = {header: os.path.join(file.parent, row[header]) for header in paths if row[header]}
        roi = {"roi": files.pop("roi")} if "roi" in files else {}
        cases.append({"case": row["case"], "image": files} | roi | table.rows[row["case"]])
    notes = [note("columns of the table not taken", table.left_out)]
    return Found(file.stem, phases, cases, clinical=table.clinical, notes=[line for line in notes if line])


def _is_path(cells: Iterable[str]) -> bool:
    """Whether there is a cell, and each that is not empty ends like an image."""
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(image_ending(Path(cell)) for cell in filled)
