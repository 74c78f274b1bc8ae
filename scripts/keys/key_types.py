# SPDX-License-Identifier: Apache-2.0
"""The type of every key: as declared, else from its component's signature, else from its default value.

An argument of a component (``intensity#joint``) has the type that the constructor declares.
"""

from __future__ import annotations

import inspect
import pydoc
import re
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from monai.bundle import ComponentLocator
from scripts import BUNDLE
from scripts.files.plain_text import is_reference, listing, nearest
from scripts.files.yaml_files import read_yaml
from scripts.keys.declared import COMMANDS, TOOLS, declared_keys
from scripts.keys.kinds import choices, in_range
from scripts.keys.typed_values import described

FREE = frozenset(["case", "layout", "phase_names"])
"""Keys whose text is only looked up when the command runs and may therefore contain any character."""

OF_DATA = frozenset(["displayable_configs", "phase_names"])
"""Mappings whose keys come from the data."""

COMPONENT_KEYS = frozenset(["_target_", "_disabled_", "_requires_", "_desc_", "_mode_"])
MISSING = object()


@cache
def content_of(file: Path) -> dict[str, Any]:
    """Return the content of a configuration file, {} if there is none; read only once per process."""
    return (read_yaml(file) or {}) if file.is_file() else {}


def content_in(configs: Path, name: str) -> dict[str, Any]:
    """Return the content of a file in a model's configs folder, or else of the running bundle's file."""
    return content_of(configs / name) or content_of(BUNDLE / "configs" / name)


def shown_type(default: Any) -> Any:
    """Return the type of a default value; `Any` if it implies none.

    >>> shown_type([2.0, 2.0, 2.0]), shown_type(None), shown_type("$len(@phases)"), shown_type({"keys": "x"})
    (list[float], typing.Any, typing.Any, <class 'dict'>)
    """
    if isinstance(default, list):
        kinds = {shown_type(part) for part in default}
        element = kinds.pop() if len(kinds) == 1 else Any
        return list if element is Any else list[element]  # type: ignore[valid-type]
    if default is None or default is MISSING or is_reference(default):
        return Any
    return type(default)


def check_range(key: str, value: Any, kind: Any) -> None:
    """Refuse a value that is outside the range of its key or not one of its choices.

    Raises:
        ValueError: naming key, range and value.
    """
    if in_range(value, kind):
        return
    known, given = choices(kind), value if isinstance(value, list) else [value]
    close = nearest(next((str(part) for part in given if part not in known), ""), known)
    hint = f" (nearest: {close!r})" if close else ""
    raise ValueError(f"{key} must be {described(kind)}{hint}, found {value!r:.120}; correct it")


class KeyTypes:
    """What the keys of one command may hold.

    Args:
        configs: the bundle's configs folder.
        command: e.g. preparing; None for a user's own run.
        locator: finds MONAI's components by their short names.
    """

    def __init__(self, configs: Path, command: str | None = None, locator: ComponentLocator | None = None) -> None:
        names = list(reversed(COMMANDS.get(command or "", ())))
        if command not in TOOLS:
            first = [*names, "train.yaml", "evaluate.yaml", "inference.yaml"]
            tools = {file for tool in TOOLS for file in COMMANDS[tool]} | {"compare.yaml"}
            files = [*configs.glob("*.yaml"), *(BUNDLE / "configs").glob("*.yaml")]
            others = sorted({file.name for file in files} - tools)
            names = list(dict.fromkeys([*first, *others]))
        self.defaults = [content_in(configs, name) for name in names]
        self.declared = declared_keys(command)
        self.locator = locator or ComponentLocator()

    def default(self, path: Sequence[str]) -> Any:
        """Return the value of a key in the bundle's files, preferring a plain one, or `MISSING`."""
        found = MISSING
        for content in self.defaults:
            value: Any = content
            for name in path:
                value = value.get(name, MISSING) if isinstance(value, Mapping) else MISSING
            if value is not MISSING and (found is MISSING or shown_type(found) is Any):
                found = value
        return found

    def of(self, path: Sequence[str], parent: Any) -> tuple[Any, bool]:
        """Return the type of a key, and whether values of another type must be refused.

        Args:
            path: names from the top level down.
            parent: the mapping that holds the key in the running configuration.
        """
        if "#".join(path) in self.declared:
            return self.declared["#".join(path)].kind, True
        if isinstance(parent, Mapping) and "_target_" in parent:
            if path[-1] in COMPONENT_KEYS:
                return Any, False
            argument = self._argument(parent["_target_"], path[-1])
            if argument is not Any:
                return argument, False
        shown = shown_type(self.default(path))
        return shown, len(path) == 1

    def check_place(self, path: Sequence[str], parent: Any, text: str) -> None:
        """Refuse a key that nothing reads in a section such as ``train``, and a component without `_target_`.

        Args:
            path: names from the top level down.
            parent: the mapping that holds the key in the running configuration.
            text: the whole configuration; keys that it refers to count as read.

        Raises:
            ValueError: naming the key and the nearest known one.
        """
        if "#" in path[-1]:
            raise ValueError(f"names within {path[0]} must be without '#', found {path[-1]!r}; leave it out")
        key, default, value = "#".join(path), self.default(path), parent[path[-1]]
        section = self.default(path[:-1]) if len(path) > 1 else None
        if (
            default is MISSING
            and isinstance(section, Mapping)
            and not {"_target_", *COMPONENT_KEYS} & {*section, *parent, path[-1]}
            and path[0] not in OF_DATA
            and not re.search(rf"[@%]{'(?:#|::)'.join(map(re.escape, path))}\b", text)
        ):
            known = listing(path[-1], map(str, section))
            raise ValueError(f"unknown key {key!r}: `{'#'.join(path[:-1])}` has {known}; correct it")
        component = isinstance(default, Mapping) and "_target_" in default
        if component and isinstance(value, Mapping) and "_target_" not in value:
            first = next(iter(value), next(iter(default)))
            raise ValueError(
                f"{key} must be a component {{_target_: CLASS, ...}}, found {dict(value)!r:.120}; name its "
                f"class, or set one argument by {key}#{first}"
            )

    def check_range(self, path: Sequence[str], value: Any) -> None:
        """Refuse a value that is outside the range of its key or not one of its choices."""
        if "#".join(path) in self.declared:
            check_range("#".join(path), value, self.declared["#".join(path)].kind)

    def takes_expressions(self, path: Sequence[str]) -> bool:
        """Return whether a key is meant for expressions: its default is one or a component, or it has none."""
        default = self.default(path)
        return default is MISSING or isinstance(default, Mapping) or is_reference(default)

    def check(self, path: Sequence[str], parent: Any) -> None:
        """Refuse an argument that its component does not take.

        Raises:
            ValueError: naming the key and the nearest argument.
        """
        value = parent[path[-1]] if isinstance(parent, Mapping) else None
        if path[-1] == "transforms" and isinstance(value, list):
            for wrong in (part for part in value if not isinstance(part, Mapping) and not is_reference(part)):
                raise ValueError(f"{'#'.join(path)} must be a list of components, found {wrong!r:.80} in it")
        target = self._place(parent.get("_target_")) if isinstance(parent, Mapping) else None
        names = None if target is None or path[-1] in COMPONENT_KEYS else _names(target)
        if names is not None and path[-1] not in names:
            raise ValueError(
                f"unknown key '{'#'.join(path)}': {target.rpartition('.')[2]} takes "  # type: ignore[union-attr]
                f"{listing(path[-1], names)}; correct it"
            )

    def _place(self, target: Any) -> str | None:
        """Return module and name of a component; None if an expression determines it."""
        if not isinstance(target, str) or is_reference(target):
            return None
        if "." in target:
            return target
        module = self.locator.get_component_module_name(target)
        return f"{module[0] if isinstance(module, list) else module}.{target}"

    def _argument(self, target: Any, name: str) -> Any:
        """Return the type that a component declares for an argument."""
        place = self._place(target)
        return Any if place is None else _arguments(place).get(name, Any)


@cache
def _names(target: str) -> tuple[str, ...] | None:
    """Return the argument names of a class or function; None if it takes any, or cannot be inspected."""
    try:
        found = inspect.signature(pydoc.locate(target)).parameters  # type: ignore[arg-type]
    except (Exception, pydoc.ErrorDuringImport):
        return None
    return None if any(one.kind is one.VAR_KEYWORD for one in found.values()) else tuple(found)


@cache
def _arguments(target: str) -> dict[str, Any]:
    """Return the declared types of the arguments of a class or function."""
    try:
        component: Any = pydoc.locate(target)
        call = component.__init__ if inspect.isclass(component) else component
        return {name: kind for name, kind in typing.get_type_hints(call).items() if name != "return"}
    except (Exception, pydoc.ErrorDuringImport):  # what cannot be inspected declares no types
        return {}
