# SPDX-License-Identifier: Apache-2.0
"""The table that gives each case its label: case,label[,patient,site,split][,clinical columns]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scripts.cases.clinical import Column, name_and_unit
from scripts.cases.column import ColumnValues, is_code, is_missing, read_column
from scripts.cases.splits import LABELLED, Case
from scripts.cases.table import Matches, folded, match_names, merged, slips
from scripts.files.numbers import decimal_mark_of_all
from scripts.files.plain_text import listing, note
from scripts.files.tables import Table, is_identifier, missing_column, read_table, with_usual_names
from workbench.prepare.deciding import CellValues

FIXED = ("case", "label", "patient", "site", "split")
"""Columns with a meaning of their own; every other one is clinical."""
RULE = "its first line must be case,label[,patient,site,split][,clinical columns]"


@dataclass(frozen=True)
class LabelTable:
    """The rows of a label file."""

    # case -> entry for dataset.json (label, patient, site, split, clinical), without what is empty
    rows: dict[str, dict]
    clinical: list[Column]
    left_out: list[str]  # headers of columns that were not taken, with the reason where it is not plain
    notes: list[str] = field(default_factory=list)

    def join(self, names: Iterable[str]) -> Joined:
        """Find the rows of a dataset's names, however both are spelt (`match_names`)."""
        return Joined(self, match_names(names, self.rows))


@dataclass(frozen=True)
class Joined:
    """The rows of a label file, by the names that a dataset uses for them."""

    table: LabelTable
    match: Matches

    def row(self, *names: str) -> dict[str, Any]:
        """Return the row of the first of several names that has one, else nothing."""
        found = (self.match.row_of[name] for name in names if name in self.match.row_of)
        return self.table.rows.get(next(found, ""), {})

    def notes(self, cases: Sequence[Case], file: str, source: str) -> list[str]:
        """Say what was assumed, and what has no partner: cases without a label, rows without a `source`."""
        unlabelled = [case["case"] for case in cases if "label" not in case]
        unused = sorted(set(self.table.rows) - set(self.match.row_of.values()))
        return [
            *self.table.notes,
            self.match.note(file),
            note("cases without a label, kept as unlabelled", unlabelled),
            note(f"rows of the {file} without {source}, left out", unused),
            note(f"columns of the {file} not taken", self.table.left_out),
        ]


def read_label_table(
    file: Path, clinical: Sequence[str] | None = None, rename: Mapping[str, str] | None = None, skip: Sequence[str] = ()
) -> LabelTable:
    """Read a label file, CSV or Excel (see `read_table`); `read_column` reads its clinical columns.

    Args:
        clinical: columns to take as clinical values; None takes every column that is left.
        rename: header in the file -> the name it stands for, e.g. {"participant_id": "case"}; None: the usual
            headers are known (`USUAL_HEADERS`).
        skip: headers that are neither fixed nor clinical.
    """
    table = read_cells(file, rename)
    return label_table(table if rename is not None else with_usual_names(table, *FIXED), clinical, skip)


def read_cells(file: Path, rename: Mapping[str, str] | None = None) -> Table:
    """Read the texts of a label file; "n/a" in a .tsv (BIDS) is missing."""
    table = read_table(file, "label file", "--labels", rename)
    if file.suffix.lower() != ".tsv":
        return table
    rows = [{header: "" if text == "n/a" else text for header, text in row.items()} for row in table.rows]
    return replace(table, rows=rows)


def label_table(table: Table, clinical: Sequence[str] | None = None, skip: Sequence[str] = ()) -> LabelTable:
    """Return the labels, patients, sites, splits and clinical values of the cases of a table.

    Args:
        table: with the columns of `FIXED` under these names. Without a column `case`, `patient` is the case.

    Raises:
        ValueError: a column that must be there is missing, no label at all, a case listed twice, an unknown
            split, or a wanted clinical column that is missing or free text.
    """
    notes = list(table.notes)
    named = all(row.get("patient") for row in table.rows) and "patient" in table.headers
    key = "patient" if named and "case" not in table.headers else "case"
    if key == "patient" and "label" in table.headers:
        notes.append(f"the {table.name} has no column 'case': its column for the patient names the cases")
    for needed in (key, "label"):
        if needed not in table.headers:
            raise missing_column(table, needed, "--labels", RULE)
    if table.rows and not any(row["label"] for row in table.rows):
        raise ValueError(f"{table} must give a label to at least one case, found the column 'label' empty; fill it")
    columns, left_out, read = _columns(table, key, clinical, skip)
    notes += [line for column in columns for line in column.notes]
    unknown: dict[str, list[str]] = {"patient": [], "site": []}
    spelling: dict[str, dict[str, str]] = {}
    for name in unknown:
        texts = [row[name] for row in table.rows if row.get(name) and not is_missing(row[name])]
        spelling[name], lines = merged(texts, name)
        notes += lines
    rows: dict[str, dict] = {}
    for position, row in enumerate(table.rows):
        case = row[key]
        if not case:
            raise ValueError(f"{table} must name a case in each row, found a row without: {row}")
        if case in rows:
            raise ValueError(f"case {case} must have one row in {table}, found two; remove one")
        entry = {name: row[name] for name in FIXED[1:] if row.get(name)}
        for name, cases in unknown.items():
            if name in entry and is_missing(entry[name]):
                del entry[name]
                cases.append(case)
            elif name in entry:
                entry[name] = spelling[name][entry[name]]
        if "split" in entry:
            entry["split"] = _split(table, case, entry["split"])
        values = {column.column["name"]: column.values[position] for column in columns if column.column}
        filled = {name: value for name, value in values.items() if value is not None}
        rows[case] = entry | {"clinical": CellValues(filled, {header: row[header] for header in read}, table.decimal)}
    notes += [note(f"cases whose {name} counts as unknown", cases) for name, cases in unknown.items() if cases]
    declared = [column.column for column in columns if column.column]
    return LabelTable(rows, declared, left_out, notes)


def _split(table: Table, case: str, text: str) -> str:
    if text.lower() not in LABELLED:
        raise ValueError(f"case {case}: split {text!r} is not among {listing(text, LABELLED)} in {table}")
    return text.lower()


def _columns(
    table: Table, key: str, clinical: Sequence[str] | None, skip: Sequence[str]
) -> tuple[list[ColumnValues], list[str], list[str]]:
    """Return the wanted clinical columns, the headers that are left out, and those that were read."""
    rest = [
        header
        for header in table.headers
        if header not in FIXED and header not in skip and (clinical is not None or not is_identifier(header))
    ]
    by_name = {name_and_unit(header)[0]: header for header in rest}
    twice = next((header for header in rest if by_name[name_and_unit(header)[0]] != header), None)
    if twice is not None:
        other = by_name[name_and_unit(twice)[0]]
        raise ValueError(f"{table} must have columns of different names, found {twice!r} and {other!r}; rename one")
    for name in clinical or ():
        if name not in by_name:
            raise ValueError(
                f"clinical column {name!r} is not among {listing(name, by_name)} in {table}; correct "
                "--clinical or the file"
            )
    read = read_columns(table, [by_name[name] for name in (by_name if clinical is None else clinical)], key)
    for header, column in read.items():
        if column.column is None and clinical is not None:
            raise ValueError(
                f"clinical column {name_and_unit(header)[0]!r} must be numbers or few different texts, found "
                f"{'free text or nothing' if column.reason in PLAIN else column.reason} in {table}; take it "
                "out of --clinical"
            )
    taken = {header for header, column in read.items() if column.column is not None}
    names = [header for header in table.headers if is_identifier(header) and header not in (*FIXED, *rest)]
    left_out = [_with_reason(header, read) for header in [*rest, *names] if header not in taken]
    return [read[header] for header in read if header in taken], left_out, list(read)


PLAIN = ("free text", "empty", "")


def _with_reason(header: str, read: Mapping[str, ColumnValues]) -> str:
    reason = read[header].reason if header in read else ""
    return header if reason in PLAIN else f"{header} ({reason})"


def read_columns(table: Table, headers: Sequence[str], key: str) -> dict[str, ColumnValues]:
    """Read columns of a table by header (see `read_column`); `key` is the column that names the rows."""
    elsewhere = decimal_mark_of_all([row[header] for row in table.rows] for header in headers)
    names = [row[key] for row in table.rows]
    try:
        return {
            header: read_column(header, [row[header] for row in table.rows], names, elsewhere, table.decimal)
            for header in headers
        }
    except ValueError as error:
        raise ValueError(f"{table}: {error}") from None


def one_spelling(cases: Sequence[Case], classes: Sequence[str] | None = None) -> tuple[list[Case], list[str]]:
    """Return the cases with one spelling for labels that differ by case or spaces only, and what to say.

    Args:
        classes: names that were asked for, whose spelling counts; else that of most cases.

    Raises:
        ValueError: no case has a label, or all have the same.

    >>> one_spelling([{"label": label} for label in ("Benign", "benign", "benign", "malignant")])[1]
    ["warning: label: 'Benign' (1) and 'benign' (2) are taken for one, 'benign'"]
    """
    labels = [case["label"] for case in cases if "label" in case]
    spelling, lines = merged(labels, "label")
    wished = {folded(name): str(name) for name in classes or ()}
    spelling = {
        text: text if text in wished.values() else wished.get(folded(text), best) for text, best in spelling.items()
    }
    counts = Counter(spelling[text] for text in labels)
    if len(counts) < 2:
        found = f"{next(iter(counts))!r} for all {len(labels)} cases" if counts else "none"
        raise ValueError(
            f"the cases must have labels of at least two classes, found {found}; fill the labels of the "
            "source or the label file"
        )
    lines += [
        f"classes {rare!r} ({counts[rare]} cases) and {other!r} ({counts[other]} cases) are spelt nearly "
        "alike; if one is a slip, correct it"
        for rare, other in slips(counts)
    ]
    lines += [
        f"label {name!r} ({count} cases) is a class of its own; if it means that the label is not known, "
        "empty these cells"
        for name, count in counts.items()
        if is_missing(name) or is_code(name)
    ]
    changed = [case | {"label": spelling[case["label"]]} if "label" in case else case for case in cases]
    return changed, [f"warning: {line}" for line in lines]
