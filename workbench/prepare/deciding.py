# SPDX-License-Identifier: Apache-2.0
"""Which cases the decisions of `preparing` are based on: all of them, or the training cases alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.cases.clinical import Column, name_and_unit
from scripts.cases.column import ColumnValues, is_missing, read_column
from scripts.cases.splits import Case, Splits, everyone
from scripts.files.numbers import decimal_mark_of_all
from scripts.files.plain_text import listing, note

DECIDE_ON = ("all", "training")


@dataclass(frozen=True)
class Deciding:
    """The cases that decide on spacing, grid, region and intensity rule, categories and reference phase."""

    # ``all``, or ``training``: then nothing in a validation, test or unlabelled case changes a decision
    on: str = "all"

    def __post_init__(self) -> None:
        if self.on not in DECIDE_ON:
            known = listing(str(self.on), DECIDE_ON)
            raise ValueError(f"decide_on must be one of {known}, found {self.on!r}; correct --decide_on")

    @property
    def kind(self) -> str:
        """What the deciding cases are called: ``training``, or nothing where all decide."""
        return "" if self.on == "all" else self.on

    def of(self, splits: Splits) -> list[Case]:
        """Return the cases that decide, in the order of the splits."""
        return [case for split, cases in splits.items() if self.on in ("all", split) for case in cases]

    def names(self, splits: Splits) -> frozenset[str]:
        """Return the names of the cases that decide."""
        return frozenset(case["case"] for case in self.of(splits))

    def note(self, splits: Splits) -> str:
        """Return the line that says which cases decided."""
        number = len(self.of(splits))
        if self.on == "all":
            return (
                f"spacing, grid, intensity rule, reference phase and categories were chosen from all "
                f"{number} cases, test cases among them; --decide_on training uses the training cases alone"
            )
        return (
            f"spacing, grid, intensity rule, reference phase and categories were chosen from the {number} "
            "training cases alone"
        )


class CellValues(dict[str, Any]):
    """Clinical values of a case, with the table cells that they were read from.

    Args:
        texts: header -> cell, also of columns that were not taken.
        custom: how the file writes decimals, see `decimal_mark`.
    """

    def __init__(self, values: Mapping[str, Any], texts: Mapping[str, str], custom: str = "") -> None:
        super().__init__(values)
        self.texts = dict(texts)
        self.custom = custom


def texts_of(case: Case) -> dict[str, str]:
    """Return the cells of a case by header, where it comes from a table."""
    values = case.get("clinical")
    return values.texts if isinstance(values, CellValues) else {}


def decided_columns(
    splits: Splits, columns: Sequence[Column], deciding: Deciding
) -> tuple[dict[str, list[Case]], list[Column], list[str]]:
    """Return splits and columns as the deciding cases define them, and notes; unchanged where all cases decide.

    A value that the deciding cases do not have (a new category, or a text in a column of numbers) counts as
    missing.
    """
    kept = {split: list(cases) for split, cases in splits.items()}
    headers = list(dict.fromkeys(header for case in everyone(splits) for header in texts_of(case)))
    if not deciding.kind or not headers:
        return kept, list(columns), []
    names = deciding.names(splits)
    judged = [case for case in everyone(splits) if case["case"] in names]
    cells = {header: [texts_of(case).get(header, "") for case in judged] for header in headers}
    elsewhere = decimal_mark_of_all(cells.values())
    custom = next((case["clinical"].custom for case in everyone(splits) if texts_of(case)), "")
    rows = [case["case"] for case in judged]
    read = {header: read_column(header, texts, rows, elsewhere, custom) for header, texts in cells.items()}
    before = {column["name"]: column for column in columns}
    declared = {header: _declared(one.column, before) for header, one in read.items() if one.column}
    from_table = {name_and_unit(header)[0] for header in headers}
    decided = [*(c for c in columns if c["name"] not in from_table), *declared.values()]
    unknown: dict[str, list[str]] = {}

    def values(case: Case) -> Case:
        texts = texts_of(case)
        found = {n: v for n, v in case.get("clinical", {}).items() if n not in from_table}
        for header, column in declared.items():
            text = texts.get(header, "")
            if case["case"] in names:
                value = read[header].values[rows.index(case["case"])]
            else:
                value = _value(header, text, column, elsewhere, custom)
                if value is None and text and not is_missing(text):
                    unknown.setdefault(column["name"], []).append(f"{text!r} ({case['case']})")
            found |= {} if value is None else {column["name"]: value}
        return case | {"clinical": found}

    kept = {split: [values(case) for case in cases] for split, cases in splits.items()}
    notes = [
        note(f"clinical column {name!r}: what the {deciding.kind} cases do not know counts as missing", those)
        for name, those in unknown.items()
    ]
    taken = [column["name"] for column in decided if column["name"] not in before]
    notes.append(note(f"clinical columns taken after all, as the {deciding.kind} cases alone give them", taken))
    gone = [column["name"] for column in columns if column["name"] not in {one["name"] for one in decided}]
    notes.append(note(f"clinical columns that the {deciding.kind} cases alone do not give", gone))
    return kept, decided, [line for line in notes if line]


def _declared(column: Column, before: Mapping[str, Column]) -> Column:
    """Return a column with the unit that its layout gave it."""
    unit = before.get(column["name"], {}).get("unit")
    return column | ({"unit": unit} if unit and "unit" not in column and column["kind"] == "number" else {})


def _value(header: str, text: str, column: Column, elsewhere: str, custom: str) -> float | str | None:
    """Return a cell as a value of a column that other cases declared; None where it does not fit."""
    if column["kind"] == "category":
        same = {_plain(value): value for value in column["values"]}
        return same.get(_plain(text))
    try:
        found: ColumnValues = read_column(header, [text], [""], elsewhere, custom)
    except ValueError:
        return None
    if found.column is None or found.column["kind"] != "number":
        return None
    return found.values[0]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
