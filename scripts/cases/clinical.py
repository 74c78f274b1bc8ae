# SPDX-License-Identifier: Apache-2.0
"""The clinical table of a dataset: the columns it declares and the values that a case may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.files.plain_text import check_safe_names, is_plain, listing

Column = dict[str, Any]
"""{"name": str, "kind": "number" | "category", "unit": str (numbers only), "values": [str] (categories only)}"""

KINDS = ("number", "category")
KEYS = ("name", "kind", "unit", "values")
LARGEST = 1e15
"""Bound of a number: the network computes with their squares in float32."""
MOST_CATEGORIES = 12
"""A text column with more distinct values than this is free text, an id or a date, not a category."""


def check_columns(columns: Any, where: str) -> list[Column]:
    """Return the declared columns after checking that each has a name, a kind and, for a category, its values.

    Raises:
        ValueError: a declaration is incomplete, of unknown kind, or repeated.
    """
    if not isinstance(columns, list):
        raise ValueError(f"{where}: 'clinical' must be a list of columns, found {type(columns).__name__}")
    seen: set[str] = set()
    for position, column in enumerate(columns):
        name = column.get("name") if isinstance(column, dict) else None
        if not isinstance(name, str) or not name or not is_plain(name):
            raise ValueError(
                f"{where}: clinical column {position} must be an object with a 'name'; found {column!r:.200}"
            )
        if name in seen:
            raise ValueError(f"{where}: clinical column {name!r} is declared twice; remove one")
        seen.add(name)
        kind = column.get("kind")
        if kind not in KINDS:
            raise ValueError(
                f"{where}: clinical column {name!r} must have the kind 'number' or 'category', found {kind!r:.80}"
            )
        unknown = next((key for key in column if key not in KEYS), None)
        if unknown is not None or (kind == "number" and column.get("values") is not None):
            allowed = "name, kind and unit" if kind == "number" else "name, kind and values"
            raise ValueError(
                f"{where}: clinical column {name!r} is a {kind} and may have {allowed}, found "
                f"{'values' if unknown is None else unknown!r:.80}; remove it"
            )
        values = column.get("values")
        if kind == "category" and not (
            isinstance(values, list) and values and all(isinstance(value, str) and is_plain(value) for value in values)
        ):
            raise ValueError(
                f"{where}: clinical column {name!r} is a category and must list its 'values' as texts, found "
                f"{values!r:.200}"
            )
        if not isinstance(column.get("unit", ""), str) or not is_plain(column.get("unit", "")):
            raise ValueError(f"{where}: clinical column {name!r} must have a text as 'unit', if any")
    check_safe_names([column["name"] for column in columns], f"clinical columns in {where}")
    for column in columns:
        texts = [*(column.get("values") or []), *filter(None, [column.get("unit")])]
        check_safe_names(texts, f"values and unit of the clinical column {column['name']!r} in {where}")
    return columns


def select_columns(
    declared: Sequence[Column], wanted: Sequence[str | Mapping[str, Any]], where: str, required: bool = True
) -> list[Column]:
    """Return the wanted columns in the wanted order.

    Args:
        wanted: names, or whole declarations (of a trained model, whose order of `values` then applies).
        required: whether a column missing from the dataset is an error; at inference its values are missing.

    Raises:
        ValueError: a column that is not declared (the message suggests the nearest), or declared with another
            kind or unit.
    """
    by_name = {column["name"]: column for column in declared}
    if isinstance(wanted, str | Mapping):
        raise ValueError(f"`clinical` must be a list of columns, found {wanted!r}; write [{wanted!r}]")
    chosen: list[Column] = []
    for entry in wanted:
        name = entry if isinstance(entry, str) else str(entry.get("name", entry))
        if name not in by_name:
            if required or isinstance(entry, str):
                raise ValueError(
                    f"clinical column {name!r} is not among the columns {listing(name, by_name)} of {where}; "
                    "correct `clinical` or declare the column there"
                )
            chosen.append(dict(entry))
            continue
        column = by_name[name] if isinstance(entry, str) else {**by_name[name], **entry}
        if column["kind"] != by_name[name]["kind"]:
            raise ValueError(
                f"clinical column {name!r} has kind {column['kind']!r} in `clinical` but "
                f"{by_name[name]['kind']!r} in {where}; make them agree"
            )
        units = [declaration.get("unit") for declaration in (column, by_name[name])]
        if all(units) and units[0] != units[1]:
            raise ValueError(
                f"clinical column {name!r} has unit {units[0]!r} in `clinical` but {units[1]!r} in {where}; "
                "convert its values and make them agree"
            )
        chosen.append(dict(column))
    return chosen


def check_values(
    values: Any, declared: Sequence[Column], columns: Sequence[Column], case: str, where: str
) -> dict[str, float | str]:
    """Return a case's values of the chosen columns, without missing ones (null or absent).

    Args:
        declared: every column of the dataset, to catch misspelt names.

    Raises:
        ValueError: an undeclared column, or a value of the wrong type, not finite, or not in `values`.
    """
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"case {case}: 'clinical' must be an object of column: value, found {values!r:.80} in {where}")
    chosen = {column["name"]: column for column in columns}
    known = {column["name"]: column for column in declared} | chosen
    checked: dict[str, float | str] = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(
                f"case {case}: clinical column {name!r} is not among the columns {listing(name, known)} of "
                f"{where}; correct the name or declare the column"
            )
        if value is None:
            continue
        value = _check_value(value, known[name], case, where)
        if name in chosen:
            checked[name] = value
    return checked


def _check_value(value: Any, column: Column, case: str, where: str) -> float | str:
    name = column["name"]
    if column["kind"] == "category":
        if value not in column["values"] or not isinstance(value, str):
            raise ValueError(
                f"case {case}: clinical value {name!r} must be one of "
                f"{listing(str(value), column['values'])}, found {value!r:.80} in {where}; correct it, or "
                "leave it out when it is missing"
            )
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        unit = f" ({column['unit']})" if column.get("unit") else ""
        raise ValueError(
            f"case {case}: clinical value {name!r} must be a number{unit}, found {value!r:.80} in "
            f"{where}; write it without quotes, or leave it out when it is missing"
        )
    if not abs(value) < LARGEST:  # nor NaN
        raise ValueError(
            f"case {case}: clinical value {name!r} must be finite, and below {LARGEST:g}, found {value!r:.80} in "
            f"{where}; leave it out when it is missing"
        )
    return float(value)


def name_and_unit(header: str) -> tuple[str, str | None]:
    """Split a column header into its name and the unit in round or square brackets after it, if any.

    >>> name_and_unit("age [years]"), name_and_unit("sex"), name_and_unit("afp (log10(ng/mL))")
    (('age', 'years'), ('sex', None), ('afp', 'log10(ng/mL)'))
    """
    header = header.strip()
    for start, sign in enumerate(header):
        if sign in _CLOSING and start and header.endswith(_CLOSING[sign]):
            unit = header[start + 1 : -1].strip()
            if _is_balanced(unit):
                return header[:start].strip(), unit or None
    return header, None


_CLOSING = {"(": ")", "[": "]"}


def _is_balanced(text: str) -> bool:
    """Whether every bracket is closed after it was opened: not in "b) (c"."""
    depth = 0
    for sign in text:
        depth += (sign in "([") - (sign in ")]")
        if depth < 0:
            return False
    return depth == 0
