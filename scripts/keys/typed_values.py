# SPDX-License-Identifier: Apache-2.0
"""Converts a value, typed or given, to the type of the key that it sets."""

from __future__ import annotations

import collections.abc
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
import yaml
from annotated_types import Ge, Gt, Le, Len, Lt, Predicate
from scripts.files.plain_text import is_reference
from scripts.files.yaml_files import load_bounded
from scripts.keys.kinds import choices

_BOOLS = {**dict.fromkeys(("true", "yes", "on"), True), **dict.fromkeys(("false", "no", "off"), False)}
_NONE = frozenset(["null", "none", "~"])
_WHOLE = re.compile(r"[+-]?\d+")
_LISTS = (list, tuple, set, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_DICTS = (dict, collections.abc.Mapping)
_DESCRIBED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", PurePath: "a path"}
_CLOSING = {"[": "]", "(": ")", "{": "}"}


def members(kind: Any) -> list[Any]:
    """Return the types that a type annotation allows; `Any` stands for annotations without meaning here.

    >>> members(bool | None)
    [<class 'bool'>, <class 'NoneType'>]
    """
    origin = typing.get_origin(kind)
    if origin is typing.Union or origin is types.UnionType:
        return [member for part in typing.get_args(kind) for member in members(part)]
    if origin is typing.Annotated:
        return members(typing.get_args(kind)[0])
    if origin is Literal:
        return list(dict.fromkeys(type(value) for value in typing.get_args(kind)))
    if kind is None or kind is type(None):
        return [type(None)]
    if kind in (bool, int, float, str):
        return [kind]
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return [PurePath]
    if (origin or kind) in _LISTS or (origin or kind) in _DICTS:
        return [kind]
    return [Any]


def _element(kind: Any) -> Any:
    """Return the element type of a list, or the value type of a mapping."""
    given = [part for part in typing.get_args(kind) if part is not Ellipsis]
    return given[-1] if given else Any


def _of(kinds: Iterable[Any], family: tuple[Any, ...]) -> Any | None:
    return next((kind for kind in kinds if (typing.get_origin(kind) or kind) in family), None)


def described(kind: Any) -> str:
    """Return a description of a type with its range, in words.

    >>> from typing import Annotated
    >>> described(list[float] | None), described(Annotated[int, Ge(1)])
    ('a list of numbers or null', 'a whole number of at least 1')
    """
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    parts = typing.get_args(kind) if union else (kind,)
    return " or ".join(dict.fromkeys(_described_one(part) for part in parts))


def _described_one(kind: Any) -> str:
    """Return the words for a type that is not a union."""
    origin, given = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return f"one of [{', '.join(map(str, given))}]"
    if origin is typing.Annotated:
        rule = next((fact.func.__doc__ for fact in given[1:] if isinstance(fact, Predicate)), None)
        limits = _limits({type(fact): fact for fact in given[1:]})
        length = next((fact for fact in given[1:] if isinstance(fact, Len)), None)
        words = _described_one(given[0])
        if length is not None and words.startswith("a list"):
            least = f", at least {length.min_length}"
            words = words.replace("a list of", f"{length.min_length}") if length.max_length else words + least
        return rule if rule and rule[0] != "," else words + limits + (rule or "")
    if (origin or kind) in _LISTS:
        part = described(_element(kind))
        noun, rest = re.match(r"a (whole number|number|text|path)\b(.*)|()(.*)", part).group(1, 2)  # type: ignore[union-attr]
        if noun and " or " not in part:
            return f"a list of {noun}s{rest}"
        return "a list" if part == "a value" else f"a list, each element {part}"
    if (origin or kind) in _DICTS:
        return "a mapping {key: value}"
    (member,) = members(kind)
    return "null" if member is type(None) else _DESCRIBED.get(member, "a value")


def _limits(facts: Mapping[type, Any]) -> str:
    """Return the words for a range, e.g. ' from 0 to 1' or ' of at least 0 and below 1'."""
    if Ge in facts and Le in facts:
        return f" from {facts[Ge].ge:,} to {facts[Le].le:,}"
    lower = f"of at least {facts[Ge].ge:,}" if Ge in facts else f"above {facts[Gt].gt:,}" if Gt in facts else ""
    upper = f"at most {facts[Le].le:,}" if Le in facts else f"below {facts[Lt].lt:,}" if Lt in facts else ""
    return "".join(f" {words}" for words in (lower, "and" * bool(lower and upper), upper) if words)


def read_text(text: str, kind: Any) -> Any:
    """Return the value that a typed text means for a key of this type.

    Args:
        text: as typed; for a text key it is kept, except for quotes around all of it.
        kind: type annotation.

    Raises:
        ValueError: the text is no such value; the message only says what it must be.

    >>> read_text("No", bool), read_text("1e5", str), read_text("1e5", float), read_text("null", str | None)
    (False, '1e5', 100000.0, None)
    >>> read_text("[T1, T1+C]", list[str]), read_text("[001,1_0]", list[str]), read_text("1,1,3", list[float])
    (['T1', 'T1+C'], ['001', '1_0'], [1.0, 1.0, 3.0])
    """
    kinds = members(kind)
    bare = (text if {str, PurePath, Any} & set(map(_hashable, kinds)) else unquoted(text)).strip()
    if type(None) in kinds and bare.lower() in _NONE:
        if bare.lower() == "none" and _of(kinds, _LISTS) is not None and str not in kinds:
            raise ValueError(f"{described(kind)} ('none' could mean null or the empty list []: write the one meant)")
        return None
    if bool in kinds and bare.lower() in _BOOLS:
        return _BOOLS[bare.lower()]
    listed, mapped = _of(kinds, _LISTS), _of(kinds, _DICTS)
    if mapped is not None and bare.startswith("{"):
        return _read_mapping(bare, mapped)
    if listed is not None and (bare[:1] in ("[", "(") or not {str, PurePath, Any} & set(map(_hashable, kinds))):
        try:
            found = _read_list(bare, listed, alone=not {int, float} & set(map(_hashable, kinds)))
        except ValueError:
            raise ValueError(described(kind)) from None
        if found is not None:
            return found
    if int in kinds and _WHOLE.fullmatch(bare):
        return int(bare)
    if float in kinds and (number := _number(bare)) is not None:
        return number
    if str in kinds or (PurePath in kinds and bare):
        return unquoted(text)
    if Any in kinds:
        return _read_any(text)
    raise ValueError(described(kind))


def _hashable(kind: Any) -> Any:
    return kind if isinstance(kind, type) or kind is Any else None


def _number(text: str) -> float | None:
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def unquoted(text: str) -> str:
    r"""Return a text without quotes around all of it; quotes within are doubled or escaped by a backslash.

    >>> unquoted("'T2'"), unquoted("'it''s'"), unquoted(r"'it\'s'"), unquoted("'a' 'b'"), unquoted("it's")
    ('T2', "it's", "it's", "'a' 'b'", "it's")
    """
    bare = text.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "'\"":
        quote, within = bare[0], bare[1:-1]
        escaped = rf"\\{quote}|{quote}{quote}"
        if quote not in re.sub(escaped, "", within):
            return re.sub(escaped, quote, within)
    return text


def split_list(text: str) -> list[str]:
    """Split at commas outside quotes and inner brackets.

    >>> split_list("'a, b', [1, 2], c")
    ["'a, b'", '[1, 2]', 'c']
    """
    parts, start, depth, quote = [], 0, 0, ""
    for position, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"" and not text[start:position].strip():
            quote = sign
        elif sign in "[({":
            depth += 1
        elif sign in "])}":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    parts.append(text[start:].strip())
    return parts[:-1] if parts[-1] == "" else parts


def _read_list(text: str, kind: Any, alone: bool) -> list[Any] | None:
    """Read ``[a, b]``, ``(a, b)`` or ``a,b``; a single value without brackets is a list only for texts."""
    bracketed = text[:1] in ("[", "(")
    if not text or (bracketed and not text.endswith(_CLOSING[text[0]])):
        return None
    element = _element(kind)
    texts = split_list(text[1:-1] if bracketed else text)
    if not bracketed and len(texts) == 1 and not (alone and str in members(element)):
        return None
    return [read_text(part, element) for part in texts]


def _read_mapping(text: str, kind: Any) -> dict[str, Any]:
    try:
        content, node = load_bounded(text, yaml.BaseLoader), yaml.compose(text, yaml.BaseLoader)
    except (yaml.YAMLError, ValueError):
        content = node = None
    if not isinstance(content, dict) or not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{described(kind)}, with a space after each colon")
    if len(content) < len(node.value):
        raise ValueError(f"{described(kind)} with different keys")
    return {key: _read_leaves(value, _element(kind)) for key, value in content.items()}


def _read_leaves(value: Any, kind: Any) -> Any:
    """Convert the texts within a mapping or list to their types."""
    if isinstance(value, str):
        return read_text(value, kind)
    listed, mapped = _of(members(kind), _LISTS), _of(members(kind), _DICTS)
    if isinstance(value, list):
        return [_read_leaves(part, _element(listed) if listed is not None else Any) for part in value]
    inner = _element(mapped) if mapped is not None else Any
    return {key: _read_leaves(part, inner) for key, part in value.items()}


def _read_any(text: str) -> Any:
    """Read a text for a key of unknown type: as YAML would, but with 1e-3 as a number."""
    bare = text.strip()
    if bare[:1] in ("[", "{"):
        try:
            return _read_leaves(load_bounded(bare, yaml.BaseLoader), Any)
        except (yaml.YAMLError, ValueError):
            return text
    if bare.lower() in _BOOLS:
        return _BOOLS[bare.lower()]
    if bare.lower() in ("null", "none", "~"):
        return None
    if _WHOLE.fullmatch(bare):
        return int(bare)
    number = _number(bare)
    return unquoted(text) if number is None else number


def _is_float(value: Real) -> bool:
    """Return whether a number is finite as a float."""
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def typed(value: Any, kind: Any) -> Any:
    """Return a value from a configuration or a Python call as its key's type; a quoted text is read.

    Args:
        value: of any type; an expression or reference (``$``, ``@``, ``%``) within a list is kept.
        kind: type annotation.

    Raises:
        ValueError: the value is of another type; the message only says what it must be.

    >>> typed("false", bool), typed(1, float), typed((2, 2), list[int]), typed("0.5", float)
    (False, 1.0, [2, 2], 0.5)
    >>> typed(10**400, float)
    Traceback (most recent call last):
    ValueError: a number
    >>> typed(20240101, str)
    Traceback (most recent call last):
    ValueError: a text (in quotes where it looks like a number or like true)
    """
    kinds = members(kind)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        free = str in kinds and (value.lower() not in _NONE or not choices(kind))
        return value if free or PurePath in kinds or is_reference(value) else read_text(value, kind)
    if value is None and type(None) in kinds:
        return None
    if isinstance(value, bool) and bool in kinds:
        return value
    if isinstance(value, PurePath) and {PurePath, str} & set(map(_hashable, kinds)):
        return str(value)
    if isinstance(value, Integral) and not isinstance(value, bool) and int in kinds:
        return int(value)
    if isinstance(value, Real) and not isinstance(value, bool) and float in kinds and _is_float(value):
        return float(value)
    listed, mapped = _of(kinds, _LISTS), _of(kinds, _DICTS)
    if listed is not None and isinstance(value, list | tuple | set):
        if _element(listed) is Any:
            return list(value)
        try:
            return [typed(part, _element(listed)) for part in value]
        except ValueError as error:
            raise ValueError(f"a list, each element {error}") from None
    if mapped is not None and isinstance(value, Mapping):
        return value if _element(mapped) is Any else {key: typed(part, _element(mapped)) for key, part in value.items()}
    plain = value is None or isinstance(value, bool | Real | Sequence | Mapping)
    if Any in kinds or not plain:
        return value
    quotes = " (in quotes where it looks like a number or like true)" if str in kinds else ""
    raise ValueError(described(kind) + quotes)
