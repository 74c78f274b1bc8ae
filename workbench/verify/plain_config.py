# SPDX-License-Identifier: Apache-2.0
"""Configurations of a foreign folder, read without resolving anything, and findings about a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

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
        """Return one line, in which no sign of the folder can move the cursor or turn the text around."""
        place = f"{self.file}, {self.key}" if self.key else self.file
        found = repr(self.found)
        cut = found if len(found) <= LONGEST else f"{found[: LONGEST - 3]}..."
        place = (place if place.isprintable() else ascii(place))[: 2 * LONGEST]
        return f"{place}: found {cut}, must be {self.must}"


LARGEST = {".yaml": 256 * 1024, ".yml": 256 * 1024, ".json": 32 * 1024**2}
"""Bytes that a file of each kind may have."""
SEPARATOR = re.compile("#|::")


class _PlainLoader(yaml.SafeLoader):
    """YAML as MONAI reads it, without aliases, which grow without end, and without a key given twice."""

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
        ValueError: too large, no UTF-8, no YAML or JSON, an alias, a key twice, or nested too deeply; it says
            in a few words what was found.
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
    """Yield each value with its place and the last key that leads to it, from the outside in.

    MONAI splits keys at ``#`` and ``::`` and takes ``+`` as "add to": the last key is what remains.

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
