"""What configurations may say, taken from those that are shipped and from the code that writes them."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.verify.plain_config import LARGEST, places, read_plain

ROOT = Path(__file__).resolve().parents[2]
"""The bundle that runs."""
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
    for file in sorted((ROOT / "configs").rglob("*")):
        if file.suffix in LARGEST:
            found.add(read_plain(file))
    for file in sorted((ROOT / "scripts").rglob("*.py")):
        found.targets.update(_WRITTEN.findall(file.read_text(encoding="utf-8")))
    return found
