"""A configuration says what the shipped ones say; its values may differ."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from scripts.verify.finding import Finding
from scripts.verify.plain_config import places, read_plain
from scripts.verify.shipped import shipped

FIXED = ("bundle_root", "output_dir", "output_file", "model_file", "trust")
"""Keys that say where is read and written, and what is believed: they hold a shipped value."""
_BELOW = "$@bundle_root + "
"""What a package writes before the text of a folder in it; of the keys that have such a folder as shipped."""
_OF_MODULES = re.compile(r"@(?:#|::)*imports\b")


def _is_literal(expression: str) -> bool:
    """Say whether an expression is one text in quotes, as `scripts.data.plain_text.literal` writes it."""
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
        return (
            None
            if isinstance(value, str) and value in own.modes
            else f"one of {', '.join(sorted(own.modes))}"
        )
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
