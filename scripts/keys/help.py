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

Every key that a user sets, with its default, what it may hold and what it is; `--help` behind a command
shows its own. A key that means the same in several files is listed once, and limits of a million and more
are not shown. Components, `{_target_: CLASS, ...}`, are not listed: set their arguments by `--key#argument
value`, as in `--region#margin 15`. `make twins` writes this page and the comments of the configurations
from `scripts/keys` and `workbench/keys.py`.

A value must have the type of its key and lie in its range; anything else is refused in one line.

| key | how to write it |
|---|---|
| true or false | `--calibrate false`; also `no`, `off`, `yes`, `on`; `--resume` alone is true |
| number | `--learning_rate 1e-3`; a whole number where the key is one |
| text, path | `--name 20240101`, `--case 001`: as typed; quotes around all of it are dropped |
| list | `--phases [T1,T1+C]`, `--spacing 1,1,3`; quotes within quotes are doubled: `"['it''s', b]"` |
| may be null | `--class_weights null`, or `none` unless a list could be meant |
| inside a component | `--optimizer#lr 0.001`: as the component's argument is typed |

An overlay is named behind the file that it changes. Expressions (`$...`), references (`@key`) and macros
(`%key`) are for overlays, and for keys whose default is one; keys that hold names from your data (`phases`,
`classes`, `clinical`, ...) never take them. MONAI meets a few mistakes before any code of the bundle runs and
ends in a traceback whose last line names the word: a configuration that is missing or no mapping, a misspelt
key in front of `#`, a macro that names nothing. MONAI also expands YAML aliases (`*name`), ten lines of which
can fill the memory: take overlays only from people from whom you would take a program.
"""
_HUGE = re.compile(r" (?:to|and at most) 1,000,000(?:,000)?\b(?! voxels)")
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
    parts, shown = [PAGE], set()
    for file in FILES:
        parts.append(f"\n## {file}\n\n| key | default | may hold | what it is |\n|---|---|---|---|\n")
        for name, key, default in settings(configs, file):
            held = _HUGE.sub("", described(key.kind))
            cells = (f"`{name}`", f"`{default}`" if default else "", held, key.meaning)
            row = "| " + " | ".join(cell.replace("|", "\\\\|") for cell in cells) + " |\n"
            if row not in shown:
                parts.append(row)
            shown.add(row)
    return "".join(parts)
