# SPDX-License-Identifier: Apache-2.0
"""A table that names everything: one row per case, one column per phase with the path of its file.

cases.csv     case,label[,patient,site,split][,roi],pre,arterial,portal[,clinical columns]
              p001,benign,...,p001/pre.nii.gz,p001/art.nii.gz,,...

`source` is the file, CSV or Excel. A column is a phase where its cells are paths of images (.nii.gz, .nii,
.nrrd, .mha, .mhd) or empty. Relative paths count from the folder of the file. An empty cell is a missing
phase.
"""

from __future__ import annotations

import os
from pathlib import Path

from scripts.cases.column import is_file, is_missing
from scripts.files.plain_text import note
from scripts.files.tables import Table, with_usual_names
from scripts.volumes.open import image_ending
from workbench.prepare.labels import FIXED, label_table, read_cells
from workbench.prepare.layouts import Found, Source


def find(source: Source) -> Found:
    """Read the cases from the table."""
    file = source.path
    if source.labels is not None:
        raise ValueError("layout 'table' takes the labels from the table itself; leave --labels out")
    if file.is_dir():
        raise ValueError(f"layout 'table' needs a CSV file, found the folder {file}; pass the file as --source")
    if not file.is_file():
        raise FileNotFoundError(f"table {file} does not exist; correct --source")
    cells = with_usual_names(read_cells(file), *FIXED)
    paths = [header for header in cells.headers if header not in FIXED and _holds_images(cells, header)]
    phases = [header for header in paths if header != "roi"]
    if not phases:
        raise ValueError(
            f"table {file} must have a column with paths of images for each phase (ending in .nii.gz, .nii, "
            f".nrrd, .mha or .mhd), found the columns [{', '.join(cells.headers)}]; add one. A table without "
            "any image cannot be trained on here: take scikit-learn's LogisticRegression, with which "
            "`comparing` compares the images, too"
        )
    table = label_table(cells, source.clinical, skip=[*phases, "roi"])
    cases = []
    for row, (case, entry) in zip(cells.rows, table.rows.items(), strict=True):
        files = {header: _path(cells, case, header, row[header]) for header in paths if not is_missing(row[header])}
        roi = {"roi": files.pop("roi")} if "roi" in files else {}
        cases.append({"case": case, "image": files} | roi | entry)
    notes = [*table.notes, note("columns of the table not taken", table.left_out)]
    return Found(file.stem, phases, cases, clinical=table.clinical, notes=notes)


def _holds_images(table: Table, header: str) -> bool:
    """Whether most cells of a column are paths of files, one of them of an image."""
    filled = [row[header] for row in table.rows if not is_missing(row[header])]
    images = [cell for cell in filled if image_ending(Path(cell))]
    return bool(images) and sum(cell in images or is_file(cell) for cell in filled) > len(filled) / 2


def _path(table: Table, case: str, header: str, cell: str) -> str:
    """Return the path of an image, relative to the folder of the table."""
    if image_ending(Path(cell)) is None:
        raise ValueError(
            f"case {case}: {header!r} must be the path of an image that can be read (.nii.gz, .nii, .nrrd, "
            f".mha, .mhd), found {cell!r} in {table}; convert the file, or empty the cell if the image is "
            "missing"
        )
    return os.path.join(table.file.parent, cell)
