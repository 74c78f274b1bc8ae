# SPDX-License-Identifier: Apache-2.0
"""Kinds of values that keys hold: types with ranges. The docstrings of predicates are the words of messages."""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le, Len, Lt, Predicate
from pydantic import BaseModel, TypeAdapter, ValidationError
from scripts.files.plain_text import is_plain, is_reference


class Keys(BaseModel, protected_namespaces=(), use_attribute_docstrings=True):
    """Keys of a configuration file: name, type with range, and meaning with its unit."""


def is_orientation(text: str) -> bool:
    """three letters, one of each of L/R, P/A and I/S, e.g. RAS"""
    return sorted(max("LPI".find(sign), "RAS".find(sign)) for sign in text) == [0, 1, 2]


def is_folder_name(name: str) -> bool:
    """the name of a folder below results"""
    parts = Path(name).parts
    inside = bool(parts) and ".." not in parts and not Path(name).is_absolute()
    return inside and name == name.strip() and is_plain(name)


def is_device(text: str) -> bool:
    """a device of PyTorch: cpu, cuda or cuda:NUMBER, mps"""
    try:
        return torch.device(text).type in ("cpu", "cuda", "mps", "xpu")
    except RuntimeError:
        return False


def fits_in_memory(size: Sequence[int]) -> bool:
    """3 whole numbers of at least 1, together at most 1,000,000,000 voxels"""
    return len(size) == 3 and min(size) > 0 and math.prod(size) <= 10**9


def are_shares(shares: Sequence[float]) -> bool:
    """3 numbers from 0 to 1 that add up to 1, the first above 0"""
    return len(shares) == 3 and min(shares) >= 0 < shares[0] and math.isclose(sum(shares), 1, abs_tol=1e-6)


def is_component(value: Any) -> bool:
    """a component {_target_: CLASS, ...}, or a reference to one, e.g. '@criterion'"""
    return (isinstance(value, Mapping) and "_target_" in value) or is_reference(value)


def is_derived(value: Any) -> bool:
    """an expression or a component, since it follows from other keys; leave it out"""
    return isinstance(value, Mapping | list) or is_reference(value)


def two_or_none(names: Sequence[str]) -> bool:
    """a list of texts, at least 2, each once; [] of a network that only outlines"""
    return len(names) != 1 and each_once(names)


def each_once(values: Sequence[Any]) -> bool:
    """, each once"""
    names = [value.get("name") if isinstance(value, Mapping) else value for value in values]
    return len(set(map(str, names))) == len(names)


def are_groupings(columns: Sequence[Any]) -> bool:
    """a list of columns, each once: names, or {name: [ascending limits]} for bands of numbers"""
    names = [next(iter(one), "") if isinstance(one, Mapping) else one for one in columns]
    cut = [one for one in columns if isinstance(one, Mapping)]
    limits = [values for one in cut for values in one.values()]
    good = all(len(one) == 1 for one in cut) and all(values for values in limits)
    rising = all(
        math.isfinite(a) and a < b < math.inf for one in limits for a, b in zip(one, [*one[1:], 1e300], strict=True)
    )
    return good and rising and all(names) and each_once(names)


Count = Annotated[int, Ge(1), Le(10**9)]
Number = Annotated[int, Ge(0), Le(10**9)]
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
Positive = Annotated[float, Gt(0), Le(10**6)]
NotNegative = Annotated[float, Ge(0), Le(10**6)]
Share = Annotated[float, Ge(0), Le(1)]
Probability = Annotated[float, Ge(0), Lt(1)]
OpenShare = Annotated[float, Gt(0), Lt(1)]
Text = Annotated[str, Len(1)]
Name = Annotated[str, Predicate(is_folder_name)]
Texts = Annotated[list[Text], Len(1), Predicate(each_once)]
Spacing = Annotated[list[Annotated[float, Ge(0.001), Le(10**6)]], Len(3, 3)]
GridSize = Annotated[list[int], Predicate(fits_in_memory)]
Shares = Annotated[list[float], Predicate(are_shares)]
Orientation = Annotated[str, Predicate(is_orientation)]
Device = Annotated[str, Predicate(is_device)]
Columns = Annotated[list[str | dict[str, Any]], Predicate(each_once)]
Groupings = Annotated[list[str | dict[str, list[float]]], Predicate(are_groupings)]
Component = Annotated[Any, Predicate(is_component)]
Derived = Annotated[Any, Predicate(is_derived)]
Split = Literal["training", "validation", "calibration", "test"]
View = Literal["axial", "coronal", "sagittal", "volume"]
Paths = Path | list[Path]


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def in_range(value: Any, kind: Any) -> bool:
    """Return whether a value of the right type is also within the range or among the choices of its key.

    Expressions and references pass, since their values are known only once they are resolved.

    >>> in_range({"transforms": ["@region"]}, Component)
    False
    >>> in_range(0, Count), in_range("bf16", Literal["bf16", "fp32"]), in_range("$2 + 1", Count)
    (False, True, True)
    """
    if kind == Component:
        return is_component(value)  # whatever its arguments refer to
    if _has_reference(value):
        return True
    try:
        _adapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def _has_reference(value: Any) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return is_reference(value) or any(map(_has_reference, parts))


def choices(kind: Any) -> list[str]:
    """Return the texts that a kind allows; empty if it allows any.

    >>> choices(Literal["none", "n4"] | None), choices(list[View]), choices(str)
    (['none', 'n4'], ['axial', 'coronal', 'sagittal', 'volume'], [])
    """
    if typing.get_origin(kind) is Literal:
        return [value for value in typing.get_args(kind) if isinstance(value, str)]
    found = [choice for part in typing.get_args(kind) for choice in choices(part)]
    return list(dict.fromkeys(found))
