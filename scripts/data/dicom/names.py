"""Names of cases and patients: numbers, whose key stays outside the dataset, or the identifiers themselves."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from .scan import Study

HEADER = ["case", "patient", "patient_id", "study_uid", "study_date"]
Names = dict[str, tuple[str, str]]
"""Study Instance UID -> name of the case, name of the patient."""


def pseudonyms(studies: Sequence[Study], file: Path) -> Names:
    """Number the studies and patients; those that `file` knows keep their numbers.

    Raises:
        ValueError: the file is not one that `write_key` wrote.
    """
    known: Names = {}
    patients: dict[str, str] = {}
    if file.is_file():
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        if rows and not set(HEADER) <= set(rows[0]):
            raise ValueError(f"mapping {file} must have the columns {','.join(HEADER)}; pass another --mapping")
        for row in rows:
            known[row["study_uid"]] = (row["case"], row["patient"])
            if row["patient_id"]:
                patients[row["patient_id"]] = row["patient"]
    names: Names = {}
    for study in studies:
        if study.uid in known:
            names[study.uid] = known[study.uid]
            continue
        patient = patients.get(study.patient_id) or _next("patient", [name for _, name in known.values()])
        if study.patient_id:
            patients[study.patient_id] = patient
        known[study.uid] = names[study.uid] = (_next("case", [name for name, _ in known.values()]), patient)
    return names


def identifiers(studies: Sequence[Study]) -> Names:
    """Name each patient by PatientID, and each study by it and its date where a patient has several."""
    names: Names = {}
    taken: set[str] = set()
    for study in studies:
        patient = _safe(study.patient_id) or _safe(study.uid)
        several = sum(other.patient_id == study.patient_id for other in studies) > 1
        case = stem = f"{patient}_{_safe(study.date)}" if several else patient
        number = 1
        while case in taken:
            number += 1
            case = f"{stem}_{number}"
        taken.add(case)
        names[study.uid] = (case, patient)
    return names


def write_key(studies: Sequence[Study], names: Names, file: Path) -> None:
    """Write which case is which patient and study; lines for other studies stay."""
    from scripts.evaluation.atomic import write_atomically

    rows: dict[str, dict[str, str]] = {}
    if file.is_file():
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = {row["study_uid"]: row for row in csv.DictReader(stream)}
    for study in studies:
        case, patient = names[study.uid]
        values = [case, patient, study.patient_id, study.uid, study.date]
        rows[study.uid] = dict(zip(HEADER, values, strict=True))
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(sorted(rows.values(), key=lambda row: row["case"]))

    def write(temporary: Path) -> None:
        temporary.write_text(text.getvalue(), encoding="utf-8")
        temporary.chmod(0o600)

    write_atomically(file, write)


def _next(word: str, taken: Sequence[str]) -> str:
    """Return the name behind the highest number taken.

    >>> _next("case", ["case_0001", "case_0007"])
    'case_0008'
    """
    numbers = [int(name.rpartition("_")[2]) for name in taken if re.fullmatch(rf"{word}_\d+", name)]
    return f"{word}_{max(numbers, default=0) + 1:04d}"


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")
