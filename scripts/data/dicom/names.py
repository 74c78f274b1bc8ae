"""Names of cases and patients: numbers, with a key outside the dataset, or the identifiers themselves."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from scripts.evaluation.cells import as_cell, read_rows

from .persons import Persons
from .scan import Study

HEADER = ["case", "patient", "patient_id", "study_uid", "study_date"]
Names = dict[tuple[str, str], tuple[str, str]]
"""Key of a study -> name of the case, name of the patient."""


def pseudonyms(studies: Sequence[Study], file: Path) -> Names:
    """Number the studies and patients; those that `file` knows keep their numbers.

    Raises:
        ValueError: the file is not one that `write_key` wrote.
    """
    known: Names = {}
    patients: dict[str, str] = {}
    for row in _rows(file):
        known[row["patient_id"], row["study_uid"]] = (row["case"], row["patient"])
        if row["patient_id"]:
            patients[row["patient_id"]] = row["patient"]
    last_case = _highest([case for case, _ in known.values()])
    last_patient = _highest([patient for _, patient in known.values()])
    names: Names = {}
    for study in studies:
        if study.key not in known:
            last_case += 1
            if not study.patient_id or study.patient_id not in patients:
                last_patient += 1
                patients[study.patient_id] = f"patient_{last_patient:04d}"
            known[study.key] = (f"case_{last_case:04d}", patients[study.patient_id])
        names[study.key] = known[study.key]
    return names


def identifiers(studies: Sequence[Study]) -> tuple[Names, list[str]]:
    """Name each patient by PatientID, and each study by it and its date where a patient has several.

    A PatientID that holds the patient's name is replaced by a number.

    Returns:
        The names; and those of the patients that are numbers.
    """
    names: Names = {}
    taken: set[str] = set()
    number_of = Counter(study.patient_id for study in studies)
    own = {study.patient_id for study in studies if Persons([study.person]).named_in(study.patient_id)}
    free = (name for number in count(1) if (name := f"patient_{number:04d}") not in number_of)
    numbers = dict(zip(sorted(own), free, strict=False))
    for study in studies:
        patient = numbers.get(study.patient_id) or _safe(study.patient_id) or _safe(study.uid)
        case = stem = f"{patient}_{_safe(study.date)}" if number_of[study.patient_id] > 1 else patient
        number = 1
        while case in taken:
            number += 1
            case = f"{stem}_{number}"
        taken.add(case)
        names[study.key] = (case, patient)
    return names, list(numbers.values())


def write_key(studies: Sequence[Study], names: Names, file: Path) -> None:
    """Write which case is which patient and study; lines for other studies stay."""
    from scripts.evaluation.atomic import write_atomically

    rows = {(row["patient_id"], row["study_uid"]): row for row in _rows(file)}
    for study in studies:
        values = [*names[study.key], study.patient_id, study.uid, study.date]
        rows[study.key] = dict(zip(HEADER, values, strict=True))
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    ordered = sorted(rows.values(), key=lambda row: row["case"])
    writer.writerows({name: as_cell(row[name]) for name in HEADER} for row in ordered)

    def write(temporary: Path) -> None:
        temporary.write_text(text.getvalue(), encoding="utf-8")
        temporary.chmod(0o600)

    write_atomically(file, write)


def _rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a key that was written before, none where there is no file."""
    if not file.is_file():
        return []
    header, rows = read_rows(file)
    if rows and not set(HEADER) <= set(header):
        raise ValueError(f"mapping {file} must have the columns {','.join(HEADER)}; pass another --mapping")
    return rows


def _highest(names: Sequence[str]) -> int:
    """Return the highest number at the end of a name.

    >>> _highest(["case_0001", "case_0007", "own name"])
    7
    """
    return max((int(match.group()) for name in names if (match := re.search(r"\d+$", name))), default=0)


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")
