# SPDX-License-Identifier: Apache-2.0
"""YAML from untrusted sources, read only if aliases do not make it larger than it looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LONGEST = 256_000  # characters
MOST_NODES = 20_000  # strings, lists and mappings, counted as often as aliases repeat them
DEEPEST = 50

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C version, if PyYAML was built with it


def check_bounded(text: str) -> None:
    """Refuse YAML text whose aliases or depth would exceed the limits, before anything is built from it.

    Ten lines that each name the previous one ten times through aliases stand for ten billion values.

    >>> check_bounded("a: &a [x, x]\\nb: [*a, *a]")
    >>> check_bounded("a: &a [*a]")
    Traceback (most recent call last):
    ValueError: an alias, *a, that stands within what it names
    """
    if len(text) > LONGEST:
        raise ValueError(f"{len(text):,} characters, of at most {LONGEST:,}")
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in (name for name, _ in open_nodes):
                raise ValueError(f"an alias, *{event.anchor}, that stands within what it names")
            total += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            name, before = open_nodes.pop()
            sizes |= {} if name is None else {name: total - before}
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            sizes |= {} if event.anchor is None else {event.anchor: 1 + len(event.value) // 80}
        if total > MOST_NODES or len(open_nodes) > DEEPEST:
            many = total > MOST_NODES
            raise ValueError(f"more than {f'{MOST_NODES:,} values' if many else f'{DEEPEST} levels'}")


class OnceLoader(_LOADER):
    """A YAML loader that refuses duplicate and empty keys in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Build a mapping, or raise ValueError for a duplicate or empty key."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if "" in names:
            raise ValueError("a value without a key, behind a colon alone")
        if len(set(names)) < len(names):
            raise ValueError(f"the key {max(names, key=names.count)!r:.80} twice")
        return super().construct_mapping(node, deep)


def load_bounded(text: str, loader: type[Any] = OnceLoader) -> Any:
    """Parse YAML text within the limits of `check_bounded`.

    Raises:
        ValueError, yaml.YAMLError: as `check_bounded`; a duplicate key, or a value that does not fit its tag.
    """
    check_bounded(text)
    try:
        return yaml.load(text, loader)
    except (AttributeError, LookupError, TypeError, OverflowError) as error:  # how PyYAML fails on bad tags
        raise ValueError(f"a value that is not of its tag: {error}") from None


def read_yaml(file: str | Path) -> Any:
    """Return the content of a YAML file, {} if it is empty.

    Raises:
        OSError: it cannot be read.
        ValueError: not YAML in UTF-8, or beyond the limits of `check_bounded`.
    """
    try:
        content = load_bounded(Path(file).read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{file} must be YAML, found {' '.join(str(error).split())}; correct it") from None
    return {} if content is None else content
