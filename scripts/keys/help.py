"""What the keys say of themselves: `--help`, the comments of the configurations, and docs/keys.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from scripts.files.plain_text import is_reference
from scripts.keys.declared import COMMANDS, FILES, UNREAD, Key, keys_of
from scripts.keys.key_types import content_in
from scripts.keys.kinds import Component, Derived
from scripts.keys.typed_values import described

PAGE = """\
# Keys

Every key that a user sets, its default value, and what it may hold; `--help` behind a command shows its own.
Components, `{_target_: CLASS, ...}`, are not listed: their arguments are set by `--key#argument value`, e.g.
`--region#margin 15`. Keys are declared once, in `scripts/keys`: the check before a run, the
comments of the configuration files and this page come from there, the last two by `make twins`.
"""
_ROW = re.compile(r"(?P<key>\w+):(?P<value>.*?)(?P<comment>  # .*)?")


def settings(configs: Path, file: str) -> list[tuple[str, Key, str]]:
    """Return the keys of a file that users set, with their default values as they are written in it."""
    content = content_in(configs, file)
    keys = keys_of(file)
    return [
        (name, keys[name], _written(value))
        for name, value in content.items()
        if name in keys and keys[name].kind not in (Component, Derived)
    ]


def _written(value: Any) -> str:
    if is_reference(value):
        return "(follows)"
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("...\n").strip()


def help_text(configs: Path, command: str | None) -> str:
    """Return the keys of a command as text: name, default, what it may hold, what it is."""
    found: dict[str, tuple[str, Key, str]] = {}
    unread = UNREAD.get(command or "", frozenset())
    for file in reversed(COMMANDS.get(command or "", ("train.yaml",))):  # those of its own come first
        rows = [row for row in settings(configs, file) if row[0] not in unread]
        found |= {row[0]: row for row in rows if row[0] not in found}
    lines = [
        f"Keys of {command or 'a run'}, each with its default; (follows): from other keys or the machine.",
        "A component has its arguments set by --KEY#ARGUMENT VALUE, e.g. --region#margin 15.",
    ]
    for name, key, default in found.values():
        lines += ["", f"--{name} {default}", f"    {key.meaning}", f"    must be {described(key.kind)}"]
    return "\n".join(lines)


def with_comments(text: str, file: str) -> str:
    """Return the text of a configuration file with the declared meaning behind each of its top-level keys.

    >>> with_comments("seed: 7  # old", "train.yaml")
    'seed: 7  # one seed gives one result'
    """
    keys = keys_of(file)
    lines = []
    for line in text.split("\n"):
        found = _ROW.fullmatch(line)
        if found and found["key"] in keys:
            line = f"{found['key']}:{found['value']}  # {keys[found['key']].meaning}"
        lines.append(line)
    return "\n".join(lines)


def page(configs: Path) -> str:
    """Return docs/keys.md."""
    parts = [PAGE]
    for file in FILES:
        parts.append(f"\n## {file}\n\n| key | default | may hold | what it is |\n|---|---|---|---|\n")
        for name, key, default in settings(configs, file):
            cells = (f"`{name}`", f"`{default}`" if default else "", described(key.kind), key.meaning)
            parts.append("| " + " | ".join(cell.replace("|", "\\\\|") for cell in cells) + " |\n")
    return "".join(parts)
