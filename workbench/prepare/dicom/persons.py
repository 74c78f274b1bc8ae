# SPDX-License-Identifier: Apache-2.0
"""Hide the names and birth dates of patients in texts, and name cases by pseudonyms or identifiers."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from scripts.files.atomic import write_atomically
from scripts.files.csv_text import as_cell, read_rows
from workbench.prepare.dicom.scan import Study

STAND_INS = {
    "anonymous", "anonym", "anonymized", "anonymised", "anon", "unknown", "patient", "name", "none", "test",
    "phantom", "case", "image", "images", "series", "study", "dicom", "volume", "phase", "for", "not", "the",
    "and", "von", "van",
}  # fmt: skip
"""Placeholders for a name, and words too common to hide."""
HIDDEN, BIRTH = "(name)", "(birth)"
LEAST, LONG = 3, 5
"""Letters that a word of a name needs to be hidden on its own, and within other words."""
BETWEEN = r"(?:[^\w/]|[\d_]){0,2}"  # what may separate two words of a name
ASIAN = "[\u2e80-\ud7ff\uf900-\ufaff]"


class Persons:
    """Removes the names and birth dates of patients from texts.

    One word of a name is hidden where it has three letters or more, also without its accents or as Mueller
    for Müller; shorter words (Li, Wu) beside another word of the same name. A name with digits and without ^
    is a pseudonym.

    Args:
        names: PatientName of each, e.g. Müller^Jürgen.
        births: PatientBirthDate of each, YYYYMMDD; hidden in any order of year, month and day.

    >>> persons = Persons(["Müller^Jürgen", "Li^Wei", "ProstateX-0001"])
    >>> persons.without_names("mueller/JuergenMuller_LI-WEI/ProstateX-0001/li")
    '(name)/(name)_(name)/ProstateX-0001/li'
    >>> Persons([], ["19511224"]).without_names("ct_19511224/24.12.1951/1951-12-24b/119511224")
    'ct_(birth)/(birth)/(birth)b/119511224'
    >>> persons.named_in("CT12"), persons.named_in("MUELLER01")
    (False, True)
    """

    def __init__(self, names: Iterable[str], births: Iterable[str] = ()) -> None:
        patterns: set[str] = set()
        for name in set(names):
            words = sorted(_words(name), key=len, reverse=True)
            if not words:
                continue
            several = f"(?:{'|'.join(map(re.escape, words))})"
            patterns.add(rf"(?<![^\W\d_]){several}(?:{BETWEEN}{several})+(?![^\W\d_])")
            for word in words:
                if len(word) >= LONG or re.match(ASIAN, word):
                    patterns.add(re.escape(word))
                elif len(word) >= LEAST:
                    patterns.add(rf"(?<![^\W\d_]){re.escape(word)}(?![^\W\d_])")
        ordered = sorted(patterns, key=lambda pattern: (not pattern.startswith("(?<"), -len(pattern)))
        self._names = re.compile("|".join(ordered), re.IGNORECASE) if ordered else None
        dates = [_dates(birth) for birth in sorted(set(births)) if re.fullmatch(r"\d{8}", birth)]
        self._births = re.compile(rf"(?<!\d)(?:{'|'.join(dates)})(?!\d)") if dates else None

    def without_names(self, text: str) -> str:
        """Return a text with '(name)' in place of every name, and '(birth)' in place of every birth date."""
        if self._births is not None:
            text = self._births.sub(BIRTH, text)
        if self._names is None:
            return text
        return self._names.sub(HIDDEN, unicodedata.normalize("NFC", text))

    def named_in(self, text: str) -> bool:
        """Whether a text holds a name."""
        return self._names is not None and bool(self._names.search(unicodedata.normalize("NFC", text)))


def _dates(birth: str) -> str:
    """Return a pattern that matches a date YYYYMMDD as people write it."""
    year, month, day = birth[:4], birth[4:6], birth[6:]
    return "|".join("[-./_ ]?".join(parts) for parts in ((year, month, day), (day, month, year), (month, day, year)))


def _words(name: str) -> set[str]:
    """Return the words of a name, each also as it is written without accents."""
    if "^" not in name and re.search(r"\d", name):
        return set()
    words = set()
    for word in re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", name)):
        if word.lower() not in STAND_INS and (len(word) > 1 or re.match(ASIAN, word)):
            plain = "".join(one for one in unicodedata.normalize("NFD", word) if not unicodedata.combining(one))
            german = word.lower().translate({0xE4: "ae", 0xF6: "oe", 0xFC: "ue", 0xDF: "ss"})
            words |= {word.lower(), plain.lower(), german}
    return words


HEADER = ["case", "patient", "patient_id", "study_uid", "study_date"]
Names = dict[tuple[str, str], tuple[str, str]]  # key of a study -> name of the case, name of the patient


def pseudonyms(studies: Sequence[Study], file: Path) -> Names:
    """Number the studies and patients; those listed in `file` keep their numbers.

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
        The names, and the patient names that are such numbers.
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
