# SPDX-License-Identifier: Apache-2.0
"""BIDS (https://bids.neuroimaging.io): anatomical images by subject and session; one case per session.

source/participants.tsv                                       participant_id; label, group or diagnosis
source/sub-01/anat/sub-01_T2w.nii.gz                          phase T2w
source/sub-01/ses-1/anat/sub-01_ses-1_ce-gd_T1w.nii.gz        phase ce-gd_T1w
source/derivatives/*/sub-01/ses-1/anat/*_mask.nii.gz          region of interest, optional; also *_roi, *_dseg

A phase is the part of the name after subject and session; `phase_names` gives patterns for shorter names,
e.g. {arterial: ['acq-art*_T1w'], portal: ['acq-por*_T1w']}, and other images are then left out. `labels` may
replace participants.tsv: case,label, with sub-01_ses-1 or sub-01 as the case.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scripts.cases.folder import phase_of
from scripts.cases.splits import Case
from scripts.files.plain_text import note
from workbench.prepare.labels import LabelTable, read_cells, read_label_table
from workbench.prepare.layouts import Found, Source, check_folder

OPTIONS = {"phase_names"}
LABEL_COLUMNS = ("label", "group", "diagnosis")
REGION_SUFFIXES = ("mask", "roi", "dseg")


def find(source: Source) -> Found:
    """Find the sessions of a BIDS folder, with labels by session or by subject."""
    check_folder(source.path)
    table = _labels(source)
    cases: list[Case] = []
    others = set()
    for subject in _folders(source.path, "sub-"):
        for session in _folders(subject, "ses-") or [subject]:
            case = subject.name if session == subject else f"{subject.name}_{session.name}"
            image, left_out = _images(session, case, source)
            others |= set(left_out)
            if image:
                regions = _regions(source.path, session)
                entry: Case = {"case": case, "patient": subject.name, "image": image}
                entry |= {"roi": str(regions[0])} if len(regions) == 1 else {}
                cases.append(entry)
    if not cases:
        raise ValueError(
            f"{source.path} must hold sub-*/[ses-*/]anat/sub-*.nii.gz, found none that is a phase; pass the "
            "folder with participants.tsv as --source, and check --phase_names"
        )
    joined = table.join([name for case in cases for name in (case["case"], case["patient"])])
    cases = [case | joined.row(case["case"], case["patient"]) for case in cases]
    if not any("label" in case for case in cases):
        raise ValueError(
            f"the labels must name the sessions or subjects of {source.path}, found e.g. "
            f"{next(iter(table.rows), 'no row')!r} for {cases[0]['case']!r}; correct the names"
        )
    taken = {phase for case in cases for phase in case["image"]}
    notes = [
        *joined.notes(cases, "table of labels", "an image"),
        note("images that are no phase, left out", sorted(others)),
    ]
    phases = [phase for phase in source.phase_names or sorted(taken) if phase in taken]
    return Found(source.path.name, phases, cases, clinical=table.clinical, notes=notes)


def _labels(source: Source) -> LabelTable:
    if source.labels is not None:
        return read_label_table(source.labels, source.clinical)
    file = source.path / "participants.tsv"
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; restore it, or pass --labels FILE.csv with case,label")
    headers = read_cells(file).headers
    column = next((name for name in LABEL_COLUMNS if name in headers), None)
    if column is None:
        raise ValueError(
            f"{file} must have a column with the labels, named {', '.join(LABEL_COLUMNS)}, found "
            f"[{', '.join(headers)}]; rename the column, or pass --labels FILE.csv with case,label"
        )
    table = read_label_table(file, source.clinical, {"participant_id": "case", column: "label"})
    return replace(table, rows={f"sub-{case.removeprefix('sub-')}": row for case, row in table.rows.items()})


def _images(session: Path, case: str, source: Source) -> tuple[dict[str, str], list[str]]:
    """Return phase -> file, and the names that are no phase."""
    image: dict[str, str] = {}
    others = []
    for file in sorted((session / "anat").glob(f"{case}_*.nii*")):
        name = file.name.removeprefix(f"{case}_").split(".")[0]
        if name.rpartition("_")[2] in REGION_SUFFIXES:
            continue
        phase: str | None = name
        if source.phase_names:
            phase = phase_of(name, source.phase_names, f"case {case}: {file.name}")
        if phase is None or phase in image:
            if phase is not None:
                raise ValueError(
                    f"case {case}: phase {phase!r} must be one image, found {Path(image[phase]).name} and "
                    f"{file.name}; narrow the patterns in phase_names"
                )
            others.append(name)
            continue
        image[phase] = str(file)
    return image, others


def _regions(root: Path, session: Path) -> list[Path]:
    """Return the masks beside the images, else those of the derivatives."""
    below = session.relative_to(root)
    for folder in (session, *sorted((root / "derivatives").glob(f"*/{below}"))):
        found = [file for end in REGION_SUFFIXES for file in sorted((folder / "anat").glob(f"*_{end}.nii*"))]
        if found:
            return found
    return []


def _folders(root: Path, start: str) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name.startswith(start))
