# SPDX-License-Identifier: Apache-2.0
"""Groups of cases, by their site, the phases that they lack, or a column of the clinical table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scripts.cases.clinical import Column
from scripts.cases.document import Document, Item
from scripts.cases.splits import LABELLED
from scripts.files.plain_text import listing

SITE = "site"
MISSING_PHASES = "missing_phases"
UNRECORDED = "not recorded"  # group of the cases without a value
AGES = (18.0, 45.0, 65.0, 75.0)
"""Years at which ages are cut, as in the tables of the US National Center for Health Statistics (Health, US)."""
MOST_VALUES = 5  # A number with more distinct values is cut into bands
YEARS = ("years", "year", "yrs", "yr", "y", "a")


class Grouping(NamedTuple):
    """The group of each of n cases, by one column."""

    by: str  # name of the column
    group: list[str]  # [n]
    order: list[str]  # the groups that occur: bands from low to high, texts by name, `UNRECORDED` last

    @property
    def unknown(self) -> bool:
        """Whether no case has a value."""
        return self.order == [UNRECORDED]


@dataclass(frozen=True)
class CaseValues:
    """What every case of a dataset has in the columns by which cases are grouped."""

    columns: list[Column]  # name, kind, unit, and `limits` where the user gave some
    values: dict[str, dict[str, Any]]  # case -> column -> value, None where it is missing

    def of(self, cases: Sequence[str]) -> list[Grouping]:
        """Return the groups of some cases, by each column."""
        return [grouped([self.values[case][column["name"]] for case in cases], column) for column in self.columns]


def read_groups(document: Document, by: Sequence[str | Mapping], items: Sequence[Item]) -> CaseValues:
    """Return the values by which the cases of a dataset are grouped.

    Args:
        document: whose entries have been checked.
        by: `SITE`, `MISSING_PHASES`, names of clinical columns (whether or not the model reads them), or {name: limits
            of its bands, ascending}.
        items: the checked cases of these entries, with the phases that the model reads.

    Raises:
        ValueError: a column that the dataset does not have, or limits of a column of texts.
    """
    known: dict[str, Column] = {column["name"]: column for column in document.columns}
    known |= {name: {"name": name, "kind": "category"} for name in (SITE, MISSING_PHASES)}
    columns: list[Column] = []
    for entry in by:
        name, limits = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
        if name not in known:
            raise ValueError(
                f"`by` must name columns among {listing(name, known)} of {document.file}, found {name!r}; correct it, "
                "or take it out"
            )
        if limits and known[name]["kind"] != "number":
            raise ValueError(
                f"`by` can cut columns of numbers into bands, found limits for {name!r}; give its name alone"
            )
        columns.append(known[name] | ({"limits": list(limits)} if limits else {}))
    table = {str(one["case"]): one.get("clinical") or {} for split in LABELLED for one in document.entries(split)}
    phases = [phase for phase in document.phases if any(phase in item["image"] for item in items)]
    values = {}
    for item in items:
        lacked = [phase for phase in phases if phase not in item["image"]]
        words = {SITE: item["site"], MISSING_PHASES: f"without {', '.join(lacked)}" if lacked else "all phases"}
        row = table[item["case"]] | words
        values[item["case"]] = {column["name"]: row.get(column["name"]) for column in columns}
    return CaseValues(columns, values)


def grouped(values: Sequence[Any], column: Column) -> Grouping:
    """Return the groups of values: texts and few distinct numbers by value, ages by `AGES`, other numbers in thirds.

    >>> age = {"name": "age", "kind": "number", "unit": "years"}
    >>> grouped([44, 45.5, None, 80, 1, 70], age).order
    ['under 18', '18 to <45', '45 to <65', '65 to <75', '75 or more', 'not recorded']
    >>> grouped([0, 1, 1, None], {"name": "grade", "kind": "number"}).group
    ['0', '1', '1', 'not recorded']
    """
    known = sorted({value for value in values if value is not None})
    limits = column.get("limits")
    if column["kind"] != "number":
        names = {value: str(value) for value in known}
    else:
        if limits is None and (column.get("unit") in YEARS or column["name"].casefold() == "age"):
            limits = AGES
        if limits is None and len(known) > MOST_VALUES:
            thirds = np.quantile([value for value in values if value is not None], [1 / 3, 2 / 3])
            limits = list(dict.fromkeys(float(f"{limit:.3g}") for limit in thirds))
        names = {value: f"{value:g}" if limits is None else _band(value, limits) for value in known}
    group = [UNRECORDED if value is None else names[value] for value in values]
    order = list(dict.fromkeys(names.values())) + [UNRECORDED] * (None in values)
    return Grouping(column["name"], group, order)


def _band(value: float, limits: Sequence[float]) -> str:
    """Return the name of the band between ascending limits in which a value lies."""
    above = int(np.searchsorted(limits, value, side="right"))
    if above == 0:
        return f"under {limits[0]:g}"
    low = f"{limits[above - 1]:g}"
    return f"{low} or more" if above == len(limits) else f"{low} to <{limits[above]:g}"
