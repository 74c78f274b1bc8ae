# SPDX-License-Identifier: Apache-2.0
"""A clinical table beside the images, joined by case or else by patient, however their names are spelt."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

from scripts.cases.splits import Case, patient_of
from scripts.files.plain_text import listing, note
from scripts.files.tables import Table, is_identifier, read_table, with_usual_names

SPELT_ALIKE = 0.88
"""Similarity (0 to 1, as in `difflib`) from which two class names may be one with a typing error."""
FEW = 0.05  # largest share of the cases for a class that may be a misspelling of another
_LEVEL = re.compile(r"\d+|\b[ivx]+[a-d]?\b|\b[a-d]\b|[+-]+$|\bnon|\bin|\bun")
"""Parts of a name that distinguish levels of a scale, or a thing from its opposite."""


def folded(text: str) -> str:
    """Return a name in a normal form, without accidental differences of spelling.

    >>> pairs = (" High_Grade ", "high-grade"), ("001", "1.0"), ("HER2-", "HER2")
    >>> tuple(folded(one) == folded(other) for one, other in pairs)
    (True, True, False)
    """
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    number = re.fullmatch(r"(\d+)(?:[.,]0+)?", text)
    return str(int(number.group(1))) if number else re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", text)


def most_used_spelling(texts: Iterable[str]) -> dict[str, str]:
    """Return text -> the most frequent spelling among those with the same `folded` form.

    >>> most_used_spelling(["Benign", "benign", "benign"])
    {'Benign': 'benign', 'benign': 'benign'}
    """
    counts = Counter(texts)
    best: dict[str, str] = {}
    for text in sorted(counts, key=lambda text: (-counts[text], text)):
        best.setdefault(folded(text), text)
    return {text: best[folded(text)] for text in counts}


def merged(texts: Sequence[str], what: str) -> tuple[dict[str, str], list[str]]:
    """Return text -> the spelling used for it, and a line for each spelling that was replaced.

    >>> merged(["M", "m", "F"], "sex")[1]
    ["sex: 'm' (1) and 'M' (1) are taken for one, 'M'"]
    """
    counts, spelling = Counter(texts), most_used_spelling(texts)
    lines = [
        f"{what}: {text!r} ({counts[text]}) and {best!r} ({counts[best]}) are taken for one, {best!r}"
        for text, best in sorted(spelling.items())
        if text != best
    ]
    return spelling, lines


def slips(counts: Counter[str]) -> list[tuple[str, str]]:
    """Return pairs (rare name, frequent name) of nearly equal spelling, which may be the same.

    >>> slips(Counter({"malignant": 40, "malignent": 1, "stage 2": 30, "stage 3": 1}))
    [('malignent', 'malignant')]
    """
    found = []
    for rare in counts:
        if counts[rare] > max(2, FEW * counts.total()):
            continue
        for other in counts:
            alike = SequenceMatcher(None, folded(rare), folded(other)).ratio() >= SPELT_ALIKE
            levels = _LEVEL.findall(folded(rare)) != _LEVEL.findall(folded(other))
            if counts[other] > counts[rare] and alike and not levels:
                found.append((rare, other))
    return found


@dataclass(frozen=True)
class Matches:
    """Which name in a dataset corresponds to which name in a table."""

    # name in the dataset -> name in the table, for names that have a partner
    row_of: dict[str, str]
    loose: list[str]  # pairs spelt differently, as "1 and 001"

    def note(self, table: str) -> str:
        """Return a line about the pairs spelt differently; empty if there are none."""
        return note(f"names that the {table} spells differently (there, and here)", self.loose)


def match_names(known: Iterable[str], rows: Iterable[str]) -> Matches:
    """Match the names in a dataset with those in a table, one to one.

    Identical names match first, however their accents are encoded; then the remaining names with equal `folded`
    form, if there is exactly one on each side.

    >>> match_names(["001", "002", "P3"], ["1", "2.0", "p3", "4"]).row_of
    {'001': '1', '002': '2.0', 'P3': 'p3'}
    """
    by_name = {unicodedata.normalize("NFC", row): row for row in rows}
    names = list(dict.fromkeys(known))
    exact = {name: by_name[plain] for name in names if (plain := unicodedata.normalize("NFC", name)) in by_name}
    taken = set(exact.values())
    here, there = (_by_fold(name for name in names if name not in exact), _by_fold(set(by_name.values()) - taken))
    pairs = {one[0]: there[key][0] for key, one in here.items() if len(one) == 1 and len(there.get(key, [])) == 1}
    found = {name: (exact | pairs)[name] for name in names if name in exact or name in pairs}
    return Matches(found, [f"{row} and {name}" for name, row in pairs.items()])


def _by_fold(names: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(folded(name), []).append(name)
    return groups


NAME = "clinical table"
OPTION = "--clinical_table"
NOT_CLINICAL = ("label", "split", "site")
"""Columns with a meaning in label files; a clinical table ignores them, and they are not measurements."""
ROW = "\n"  # key of a row's name, for messages; no header can be a line break

Row = dict[str, str]


def read_clinical_rows(file: Path) -> Table:
    """Read a clinical table; each row gets `case` and `patient`, possibly empty, and a name for messages (`ROW`)."""
    table = with_usual_names(read_table(file, NAME, OPTION), "case", "patient", *NOT_CLINICAL)
    if not {"case", "patient"} & set(table.headers):
        raise ValueError(
            f"{table} must have a column 'case' or 'patient', found {listing('case', table.headers)}; name "
            "the column that holds the names of the cases or patients"
        )
    blank = dict.fromkeys(("case", "patient"), "")
    rows = [blank | row for row in table.rows]
    return replace(table, rows=[row | {ROW: row["case"] or row["patient"] or "without a name"} for row in rows])


def measurements(table: Table) -> list[str]:
    """Return the headers of a clinical table that may hold clinical values."""
    fixed = ("case", "patient", *NOT_CLINICAL)
    return [header for header in table.headers if header not in fixed and not is_identifier(header)]


def rows_by_case(table: Table, cases: Sequence[Case]) -> tuple[dict[str, Row], list[str]]:
    """Return case -> its row or else its patient's, and lines about cases without a row and rows without a case.

    Names are matched by `match_names`.

    Raises:
        ValueError: two rows for one case or patient, a row of a different patient, or no matching row at all.
    """
    by_case, by_patient = _keyed(table, "case"), _keyed(table, "patient")
    case_rows = match_names([case["case"] for case in cases], by_case)
    spare = by_patient or {name: row for name, row in by_case.items() if name not in case_rows.row_of.values()}
    patient_rows = match_names([patient_of(case) for case in cases], spare)
    joined: dict[str, Row] = {}
    for case in cases:
        name, patient = case["case"], patient_of(case)
        row = by_case[case_rows.row_of[name]] if name in case_rows.row_of else None
        row = spare[patient_rows.row_of[patient]] if row is None and patient in patient_rows.row_of else row
        if row is None:
            continue
        if row["patient"] and case.get("patient") and not match_names([row["patient"]], [case["patient"]]).row_of:
            raise ValueError(
                f"case {name} must be of one patient, found {case['patient']!r} with the images and "
                f"{row['patient']!r} in {table}; correct one"
            )
        joined[name] = row
    if not joined:
        keys = ", ".join(list(by_case | by_patient)[:3]) or "no row"
        raise ValueError(
            f"{table} must have a row for at least one case, found {keys} where the cases are "
            f"{cases[0]['case']!r}, ... (patient {patient_of(cases[0])!r}); correct its 'case' or "
            "'patient' column"
        )
    used = {id(row) for row in joined.values()}
    loose = list(dict.fromkeys([*case_rows.loose, *patient_rows.loose]))
    lines = [
        *table.notes,
        note(f"names that the {NAME} spells differently (there, and here)", loose),
        note(f"rows of the {NAME} without a case, left out", [r[ROW] for r in table.rows if id(r) not in used]),
        note(f"cases without a row in the {NAME}", [c["case"] for c in cases if c["case"] not in joined]),
    ]
    return joined, [line for line in lines if line]


def _keyed(table: Table, name: str) -> dict[str, Row]:
    """Return case -> its row, or patient -> the row that names this patient but no case."""
    keyed: dict[str, Row] = {}
    for row in table.rows:
        if not row[name] or (name == "patient" and row["case"]):
            continue
        if row[name] in keyed:
            raise ValueError(
                f"{name} {row[name]} must have one row in {table}, found two; remove one"
                + (", or name the case of each in a column 'case'" if name == "patient" else "")
            )
        keyed[row[name]] = row
    return keyed
