# SPDX-License-Identifier: Apache-2.0
"""PI-CAI and ProstateX, prostate MR: t2w, adc and hbv, and T2 in two more planes; a marksheet with the table.

source/10000/10000_1000000_{t2w,adc,hbv,cor,sag}.mha     patient_study_sequence, in any nesting
source/marksheet.csv                                     or passed as `labels`

The label is case_csPCa, clinically significant cancer. The centre is the site. Clinical columns are those
known before the biopsy: patient_age, psa, psad and prostate_volume. Columns that come from the biopsy or from
reading the lesions (lesion_*, case_ISUP, histopath_type) would give the answer away and are never taken.
Patients with several studies stay together.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from workbench.prepare.labels import LabelTable, read_cells, read_label_table
from workbench.prepare.layouts import Found, Source, check_folder

PHASES = ["t2w", "adc", "hbv", "cor", "sag"]
CLASSES = ["no", "yes"]
UNITS = {"patient_age": "years", "psa": "ng/mL", "psad": "ng/mL/mL", "prostate_volume": "mL"}
"""Clinical column -> unit."""
LEAKING = re.compile(r"lesion_.*|.*ISUP.*|.*_GS|histopath.*|.*PIRADS.*|case_csPCa", re.IGNORECASE)


def find(source: Source) -> Found:
    """Find the studies below `source.path` and join the marksheet by patient and study."""
    check_folder(source.path)
    for name in source.clinical or ():
        if LEAKING.fullmatch(name):
            raise ValueError(
                f"clinical column {name!r} must be known before the biopsy, but it comes from it or from "
                f"reading the lesions; take it out of --clinical (known before: {', '.join(UNITS)})"
            )
    sheet = source.labels or source.path / "marksheet.csv"
    table = _table(sheet, source)
    images = _images(source.path)
    if not images:
        raise ValueError(
            f"{source.path} must hold files like 10000_1000000_t2w.mha, found none; unpack the images there, "
            "or correct --source"
        )
    joined = table.join([case for case, _ in images])
    cases = [
        {"case": case, "patient": patient, "image": files} | joined.row(case)
        for (case, patient), files in images.items()
    ]
    if not any("label" in case for case in cases):
        raise ValueError(
            f"the columns patient_id and study_id of {sheet} must name the files of {source.path}, found "
            f"e.g. {next(iter(table.rows), 'no row')!r} for {cases[0]['case']!r}; correct --labels"
        )
    notes = joined.notes(cases, "marksheet", "an image")
    return Found("PI-CAI", PHASES, cases, CLASSES, table.clinical, notes=notes)


def _table(file: Path, source: Source) -> LabelTable:
    if not file.is_file():
        raise FileNotFoundError(f"marksheet {file} does not exist; pass it as --labels marksheet.csv")
    cells = read_cells(file)
    headers, rows = cells.headers, cells.rows
    for needed in ("patient_id", "study_id", "case_csPCa"):
        if needed not in headers:
            raise ValueError(f"marksheet {file} must have a column {needed!r}, found [{', '.join(headers)}]")
    wanted = list(UNITS) if source.clinical is None else list(source.clinical)
    rename = {"study_id": "case", "case_csPCa": "label", "center": "site"}
    table = read_label_table(file, [name for name in wanted if name in headers], rename)
    by_study = {row["study_id"]: row["patient_id"] for row in rows}
    joined = {
        f"{by_study[study]}_{study}": row | ({"label": row["label"].lower()} if "label" in row else {})
        for study, row in table.rows.items()
    }
    clinical = [
        column | ({"unit": UNITS[column["name"]]} if column["name"] in UNITS else {}) for column in table.clinical
    ]
    return replace(table, rows=joined, clinical=clinical)


def _images(root: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return (case, patient) -> phase -> file; a case is patient_study."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for file in sorted(root.rglob("*.mha")):
        match = re.fullmatch(rf"(([^_]+)_[^_]+)_({'|'.join(PHASES)})\.mha", file.name)
        if match is None:
            continue
        case, patient, phase = match.groups()
        files = found.setdefault((case, patient), {})
        if phase in files:
            raise ValueError(
                f"case {case}: phase {phase!r} must be one file, found {files[phase]} and {file}; remove one"
            )
        files[phase] = str(file)
    return {key: {phase: files[phase] for phase in PHASES if phase in files} for key, files in found.items()}
