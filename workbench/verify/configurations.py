# SPDX-License-Identifier: Apache-2.0
"""What configurations may say, taken from those that are shipped and from the code that writes them."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts import BUNDLE
from workbench.verify.plain_config import LARGEST, Finding, places, read_plain

_WRITTEN = re.compile(r"""["'](scripts\.(?:\w+\.)*[A-Z]\w+)["']""")
"""A class of the package as a text of its code: what preparing and serving write into configurations."""


@dataclass
class Shipped:
    """The words of the bundle's own configurations.

    Attributes:
        expressions: each expression with the key that it stands at; MONAI takes ``#`` as ``::``.
        targets: every ``_target_``.
        modes: every ``_mode_``.
        values: of each key, all its values that are no list or mapping.
    """

    expressions: set[tuple[str, str]] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    modes: set[str] = field(default_factory=lambda: {"default"})
    values: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, config: Any) -> None:
        """Take the words of one configuration."""
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
    """Return the words of all configurations of the running bundle, and the targets that its code writes."""
    found = Shipped()
    for file in sorted((BUNDLE / "configs").rglob("*")):
        if file.suffix in LARGEST:
            found.add(read_plain(file))
    for file in sorted((BUNDLE / "scripts").rglob("*.py")):
        found.targets.update(_WRITTEN.findall(file.read_text(encoding="utf-8")))
    return found


FIXED = ("bundle_root", "output_dir", "output_file", "model_file", "trust")
"""Keys that say where is read and written, and what is believed: they hold a shipped value."""
_BELOW = "$@bundle_root + "
"""What a package writes before the text of a folder in it; of the keys that have such a folder as shipped."""
_OF_MODULES = re.compile(r"@(?:#|::)*imports\b")


def _is_literal(expression: str) -> bool:
    """Say whether an expression is one text in quotes, as `scripts.files.plain_text.literal` writes it."""
    try:
        return isinstance(ast.literal_eval(expression), str)
    except (SyntaxError, ValueError, MemoryError, RecursionError, TypeError):
        return False


def check_configuration(file: Path, name: str, allow: Collection[str] = ()) -> list[Finding]:
    """Return what a configuration file says that no shipped one does.

    Args:
        file: YAML or JSON file.
        name: how it is called in a finding.
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
    """Return what must hold of a value that does not, or None."""
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
