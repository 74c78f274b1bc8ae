# SPDX-License-Identifier: Apache-2.0
"""Read a configuration as data, and compare it with the shipped ones: only its values may differ."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from scripts import BUNDLE

LONGEST = 120


@dataclass(frozen=True)
class Finding:
    """What was found at one place, and what must hold there.

    >>> print(Finding("configs/train.yaml", "run::0", "$import os", "an expression of the bundle"))
    configs/train.yaml, run::0: found '$import os', must be an expression of the bundle
    """

    file: str
    key: str
    found: Any
    must: str

    def __str__(self) -> str:
        """Return one line without characters that could move the cursor or reverse the text."""
        place = f"{self.file}, {self.key}" if self.key else self.file
        found = repr(self.found)
        cut = found if len(found) <= LONGEST else f"{found[: LONGEST - 3]}..."
        place = (place if place.isprintable() else ascii(place))[: 2 * LONGEST]
        return f"{place}: found {cut}, must be {self.must}"


LARGEST = {".yaml": 256 * 1024, ".yml": 256 * 1024, ".json": 32 * 1024**2}
"""Most bytes of a file of each kind."""
SEPARATOR = re.compile("#|::")


class _PlainLoader(yaml.SafeLoader):
    """YAML as MONAI reads it, but without aliases, which can expand without limit, and without duplicate keys."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError(f"an alias in line {self.peek_event().start_mark.line + 1}")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [key.value for key, _ in node.value]
        _refuse_twice([name for name in names if isinstance(name, str)])
        if any(key.tag != "tag:yaml.org,2002:str" for key, _ in node.value):  # a number, null, << and the like
            raise ValueError(f"a key that is no text in line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _refuse_twice(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"the key {name[:80]!r} twice")
        seen.add(name)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_twice([name for name, _ in pairs])
    return dict(pairs)


def read_plain(file: Path) -> Any:
    """Return the content of a configuration file, none of it resolved.

    Raises:
        ValueError: too large, not UTF-8, not YAML or JSON, an alias, a duplicate key, or nested too deeply; the
            message says what was found.
    """
    kind = file.suffix.lower()
    size = file.stat().st_size
    if size > LARGEST[kind]:
        raise ValueError(f"{size} bytes, more than {LARGEST[kind]}")
    try:
        text = file.read_text(encoding="utf-8")
        if kind == ".json":
            return json.loads(text, object_pairs_hook=_pairs)
        return yaml.load(text, _PlainLoader)
    except RecursionError:
        raise ValueError("brackets in brackets without end") from None
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, LookupError, TypeError) as error:  # of tags
        raise ValueError(f"no plain text of this kind: {' '.join(str(error).split())}") from None


def places(config: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield the place, last key and value of every node, from the outside in.

    MONAI splits keys at ``#`` and ``::`` and takes ``+`` as "add to", so these are removed from the last key.

    >>> list(places({"a#_target_": "b", "c": ["d"]}))[1:]
    [('a#_target_', '_target_', 'b'), ('c', 'c', ['d']), ('c::0', 'c', 'd')]
    """
    waiting: list[tuple[str, str, Any]] = [("", "", config)]
    while waiting:
        place, name, value = waiting.pop()
        yield place, name, value
        before = f"{place}::" if place else ""
        inner: list[tuple[str, str, Any]] = []
        if isinstance(value, Mapping):
            inner = [(f"{before}{key}", SEPARATOR.split(str(key).lstrip("+"))[-1], value[key]) for key in value]
        elif isinstance(value, list | tuple | set):
            inner = [(f"{before}{index}", name, item) for index, item in enumerate(value)]
        waiting += reversed(inner)


_WRITTEN = re.compile(r"""["'](scripts\.(?:\w+\.)*[A-Z]\w+)["']""")
"""A class of the package named in its code: preparing and serving write these into configurations."""


@dataclass
class Shipped:
    """The vocabulary of the bundle's own configurations.

    Attributes:
        expressions: each expression with its key; MONAI takes ``#`` as ``::``.
        targets: every ``_target_``.
        modes: every ``_mode_``.
        values: of each key, all values except lists and mappings.
    """

    expressions: set[tuple[str, str]] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    modes: set[str] = field(default_factory=lambda: {"default"})
    values: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, config: Any) -> None:
        """Add the vocabulary of one configuration."""
        for _, name, value in places(config):
            if isinstance(value, dict | list):
                continue
            self.values.setdefault(name, []).append(value)
            if name == "_target_":
                self.targets.add(value)
            elif name == "_mode_":
                self.modes.add(value)
            elif isinstance(value, str) and value.startswith("$"):
                self.expressions.add((name, value.replace("#", "::")))


@functools.cache
def shipped() -> Shipped:
    """Return the vocabulary of all configurations of the running bundle, and the targets that its code writes."""
    found = Shipped()
    for file in sorted((BUNDLE / "configs").rglob("*")):
        if file.suffix in LARGEST:
            found.add(read_plain(file))
    for file in sorted((BUNDLE / "scripts").rglob("*.py")):
        found.targets.update(_WRITTEN.findall(file.read_text(encoding="utf-8")))
    return found


FIXED = ("bundle_root", "output_dir", "output_file", "model_file", "trust")
"""Keys that decide where files are read and written and what is trusted: they must hold a shipped value."""
_BELOW = "$@bundle_root + "
"""What a package writes before the name of a folder in it; allowed for keys that ship with such a folder."""
_OF_MODULES = re.compile(r"@(?:#|::)*imports\b")


def _is_literal(expression: str) -> bool:
    """Whether an expression is one text in quotes, as `scripts.files.plain_text.literal` writes it."""
    try:
        return isinstance(ast.literal_eval(expression), str)
    except (SyntaxError, ValueError, MemoryError, RecursionError, TypeError):
        return False


def check_configuration(file: Path, name: str, allow: Collection[str] = ()) -> list[Finding]:
    """Return what a configuration file holds that no shipped one does.

    Args:
        file: YAML or JSON file.
        name: its name in findings.
        allow: further targets, e.g. of a strategy of one's own.
    """
    try:
        content = read_plain(file)
        if name.startswith("configs/") and not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__}, no mapping of keys")
    except (ValueError, OSError) as error:
        return [Finding(name, "", str(error), "a small plain YAML or JSON file, without aliases")]
    found = [(place, value, _fault(key, value, allow)) for place, key, value in places(content)]
    return [Finding(name, place, value, must) for place, value, must in found if must]


def _fault(key: str, value: Any, allow: Collection[str]) -> str | None:
    """Return the rule that a value breaks, or None."""
    own = shipped()
    if key == "_target_":
        known = isinstance(value, str) and (value in own.targets or value in allow)
        return None if known else "a target of the bundle's configurations, or named by --allow"
    if key == "_mode_":
        return None if isinstance(value, str) and value in own.modes else f"one of {', '.join(sorted(own.modes))}"
    if key in FIXED and not isinstance(value, dict | list) and value not in own.values.get(key, []):
        known_ones = ", ".join(dict.fromkeys(map(str, own.values.get(key, []))))
        return f"as shipped, one of {known_ones}; give another on the command line"
    if not isinstance(value, str):
        return None
    if value.startswith("%"):
        return "no content of another file"
    if _OF_MODULES.search(value):
        return "no reference to a module"
    if value.startswith("$"):
        below = any(name == key and text.startswith(_BELOW) for name, text in own.expressions)
        text = value[len(_BELOW) :] if below and value.startswith(_BELOW) else value[1:]
        known = (key, value.replace("#", "::")) in own.expressions or _is_literal(text)
        return None if known else f"an expression that the bundle's configurations have at {key!r}"
    return None
