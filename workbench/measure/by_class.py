# SPDX-License-Identifier: Apache-2.0
"""Mean and spread of measures in each class, with the number of cases behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scripts.cases.clinical import Column
from scripts.figures.table import UNKNOWN, Table, counted

ByClass = list[dict[str, Any]]
"""Of each measure: name, unit, and classes {class: [cases with a value, mean, standard deviation]}, for JSON."""


def measures_by_class(
    values: Sequence[Mapping[str, float | None]], labels: Sequence[str | None], columns: Sequence[Column]
) -> ByClass:
    """Describe measures in each class; cases without a label are left out.

    Args:
        values: column -> value of each case; missing ones are None, or not there.
        labels: class name of each case.
        columns: the measures, declared as clinical columns.

    Returns:
        The standard deviation is that of a sample (n - 1), None of a single case; the mean is None of none.

    >>> measures_by_class([{"v": 1.0}, {"v": 3.0}, {}], ["a", "a", "b"], [{"name": "v", "kind": "number"}])
    [{'name': 'v', 'unit': '', 'classes': {'a': [2, 2.0, 1.4142], 'b': [0, None, None]}}]
    """
    found: ByClass = []
    classes = list(dict.fromkeys(label for label in labels if label is not None))
    for column in columns:
        by_class = {}
        for name in classes:
            of_class = [row.get(column["name"]) for row, label in zip(values, labels, strict=True) if label == name]
            known = np.array([value for value in of_class if value is not None])
            mean = float(f"{known.mean():.5g}") if len(known) else None
            spread = float(f"{known.std(ddof=1):.5g}") if len(known) > 1 else None
            by_class[name] = [len(known), mean, spread]
        found.append({"name": column["name"], "unit": column.get("unit", ""), "classes": by_class})
    return found


def class_table(found: ByClass, classes: Sequence[str], title: str) -> Table:
    """Lay out the measures, one per row, and the classes side by side; n where it differs from that of the class.

    Args:
        classes: in the order of the columns.
    """
    names = [name for name in classes if any(name in row["classes"] for row in found)]
    most = {name: max(row["classes"].get(name, [0])[0] for row in found) for name in names}
    rows = []
    for row in found:
        cells = [_cell(row["classes"].get(name, [0, None, None]), most[name]) for name in names]
        rows.append([f"{row['name']} ({row['unit']})" if row["unit"] else row["name"], *cells])
    n = f"n = {counted(sum(most.values()), 'labelled case')}"
    notes = ["Mean ± standard deviation over the cases of a class, of all splits; n = where fewer have a value."]
    return Table(title, n, ["measure", *(f"{name} (n = {most[name]:,})" for name in names)], rows, notes)


def _cell(values: Sequence[Any], most: int) -> str:
    count, mean, spread = values
    if mean is None:
        return UNKNOWN
    digits = max(0, 2 - int(np.floor(np.log10(max(abs(mean), spread or 0.0, 1e-3)))))
    text = f"{mean:,.{digits}f}" + ("" if spread is None else f" ± {spread:,.{digits}f}")
    return text if count == most else f"{text} (n = {count:,})"
