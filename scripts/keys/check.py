# SPDX-License-Identifier: Apache-2.0
"""Descriptions of the keys (`--help`, comments, docs/keys.md), and checks for unknown, unused or conflicting keys."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from scripts import BUNDLE
from scripts.files.plain_text import is_reference
from scripts.keys.declared import COMMANDS, FILES, OF_CLASSIFIERS, TOOLS, UNREAD, Key, keys_of
from scripts.keys.key_types import content_in, content_of
from scripts.keys.kinds import Component, Derived
from scripts.keys.typed_values import described

PAGE = """\
# Keys

Every key that a user can set, with its default, what it may hold and what it is; `--help` after a command
lists its own keys. A key with the same meaning in several files is listed once, and limits of a million or
more are not shown. Components, `{_target_: CLASS, ...}`, are not listed: set their arguments by
`--key#argument value`, as in `--region#margin 15`. `make twins` writes this page and the comments of the
configurations from `scripts/keys` and `workbench/keys.py`.

A value must have the type of its key and lie in its range; anything else is refused with a one-line message.

| key | how to write it |
|---|---|
| true or false | `--calibrate false`; also `no`, `off`, `yes`, `on`; `--resume` alone is true |
| number | `--learning_rate 1e-3`; only a whole number if the key asks for one |
| text, path | `--name 20240101`, `--case 001`: as typed; quotes around the whole text are dropped |
| list | `--phases [T1,T1+C]`, `--spacing 1,1,3`; quotes within quotes are doubled: `"['it''s', b]"` |
| may be null | `--class_weights null`, or `none` unless a list could be meant |
| inside a component | `--optimizer#lr 0.001`: as the type of the component's argument requires |

An overlay is named after the file that it changes. Expressions (`$...`), references (`@key`) and macros
(`%key`) are for overlays, and for keys whose default is one; keys that hold names from your data (`phases`,
`classes`, `clinical`, ...) never take them. MONAI meets a few mistakes before any code of the bundle runs and
ends in a traceback whose last line names the word: a configuration that is missing or not a mapping, a misspelt
key in front of `#`, a macro that names nothing. MONAI also expands YAML aliases (`*name`), ten lines of which
can fill the memory: accept overlays only from people from whom you would accept a program.
"""
_HUGE = re.compile(r" (?:to|and at most) 1,000,000(?:,000)?\b(?! voxels)")
_ROW = re.compile(r"(?P<key>\w+):(?P<value>.*?)(?P<comment>  # .*)?")


def settings(configs: Path, file: str) -> list[tuple[str, Key, str]]:
    """Return the keys that users set in a file, each with its default as written there."""
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
    """Return the keys of a command as text: name, default, meaning, and what each may hold."""
    found: dict[str, tuple[str, Key, str]] = {}
    unread = UNREAD.get(command or "", frozenset())
    for file in reversed(COMMANDS.get(command or "", ("train.yaml",))):  # the command's own keys come first
        rows = [row for row in settings(configs, file) if row[0] not in unread]
        found |= {row[0]: row for row in rows if row[0] not in found}
    lines = [
        f"Keys of {command or 'a run'}, each with its default; (follows): derived from other keys or the machine.",
        "A component has its arguments set by --KEY#ARGUMENT VALUE, e.g. --region#margin 15.",
    ]
    for name, key, default in found.values():
        lines += ["", f"--{name} {default}", f"    {key.meaning}", f"    must be {described(key.kind)}"]
    return "\n".join(lines)


def with_comments(text: str, file: str) -> str:
    """Return the text of a configuration file with the declared meaning as comment on each top-level key.

    >>> with_comments("seed: 7  # old", "train.yaml")
    'seed: 7  # the same seed gives the same result'
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
    """Return the text of docs/keys.md."""
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


# Keys that MONAI's experiment tracking adds to a configuration.
TRACKING_KEYS = frozenset(
    [
        "experiment_name",
        "run_name",
        "tracking_uri",
        "save_execute_config",
        "is_not_rank0",
        "experiment_params",
        "artifacts",
    ]
)
_REFERENCE = re.compile(r"[@%](\w+)")


@cache
def known_keys(configs: Path, command: str | None = None) -> frozenset[str]:
    """Return every top-level key of the YAML files below `configs`; for a tool, those of its own files."""
    if command in TOOLS:
        contents = [content_in(configs, name) for name in COMMANDS[str(command)]]
    else:
        files = [*configs.rglob("*.yaml"), *(BUNDLE / "configs" / name for name in COMMANDS.get(command or "", ()))]
        contents = [content_of(file) for file in files]
    return frozenset(str(key).partition("#")[0].lstrip("+") for content in contents for key in content)


def check_command(
    typed: Iterable[str], config: dict[str, Any], configs: Path, run_id: str | None, files: Sequence[str | Path] = ()
) -> None:
    """Refuse a typed key that only another command reads, e.g. `--folds 5` for a training.

    Args:
        typed: keys of the command line.
        config: merged configuration; keys that it refers to count as read.
        configs: the bundle's configs folder.
        run_id: the key that is run.
        files: that are run; their keys are read.

    Raises:
        ValueError: naming the key and the commands that read it.
    """
    if run_id not in COMMANDS:
        return
    if run_id in OF_CLASSIFIERS and "num_structures" in config:
        raise ValueError(
            f"{run_id} is about the class of a case, found the configuration of a network that outlines; name the "
            "files of a results folder of `run training`"
        )
    read = set(_REFERENCE.findall(json.dumps(config, default=str)))
    read |= {key for file in COMMANDS[run_id] for key in content_in(configs, file)}
    read |= {key for file in files for key in content_of(Path(file))}
    read -= UNREAD.get(run_id, frozenset())
    for key in typed:
        if key in read:
            continue
        others = [
            name
            for name, files in COMMANDS.items()
            if key in content_in(configs, files[-1]) and name != run_id and key not in UNREAD.get(name, ())
        ]
        if others:
            names = " and ".join(sorted(others))
            raise ValueError(f"--{key} is a key of {names}; {run_id} does not read it: leave it out")
        owners = [str(file.relative_to(configs)) for file in configs.glob("*/*.yaml") if key in content_of(file)]
        if owners and key.partition("#")[0] not in read:  # else an argument, which an overlay happens to set, too
            first = min(owners, key=lambda owner: (owner not in FILES, owner))  # the file that declares it
            raise ValueError(
                f"--{key} is a key of configs/{first}, which is not among the files "
                "of this run; name it after the others in --config_file"
            )


def check_values(config: dict[str, Any]) -> None:
    """Refuse values that contradict each other.

    Raises:
        ValueError: naming the keys and their values.

    >>> check_values({"max_epochs": 1, "val_interval": 5, "val_by_epoch": True})
    Traceback (most recent call last):
    ValueError: val_interval must be at most max_epochs, found 5 and 1: nothing is validated; correct one
    """
    interval, epochs = config.get("val_interval"), config.get("max_epochs")
    both = isinstance(interval, int) and isinstance(epochs, int)
    if both and config.get("val_by_epoch") is True and interval > epochs:  # type: ignore[operator]
        raise ValueError(
            f"val_interval must be at most max_epochs, found {interval} and {epochs}: nothing is validated; correct one"
        )


def check_order(files: Sequence[str | Path]) -> None:
    """Refuse an overlay that is undone by a complete configuration after it.

    Args:
        files: in the order in which they are merged; unreadable ones are left for MONAI to report.

    Raises:
        ValueError: naming both files and the keys that are undone.
    """
    contents = [(Path(file), content_of(Path(file))) for file in files if Path(file).suffix in (".yaml", ".yml")]
    for position, (file, content) in enumerate(contents):
        for earlier, before in contents[:position]:
            undone = [key for key, value in before.items() if key in content and content[key] != value]
            if "imports" in content and "imports" not in before and undone:
                raise ValueError(
                    f"{earlier} must be named after {file}, which sets {', '.join(undone[:3])} again and so "
                    "undoes it; change their order in --config_file"
                )


def _is_run_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(str(item).startswith("$") for item in value)


def check_keys(config: dict[str, Any], known: Iterable[str], run_id: str | None = None) -> None:
    """Refuse a top-level key that no shipped file declares and no other key refers to.

    Args:
        config: merged configuration.
        known: keys of the shipped configuration files.
        run_id: the key that is run, which may be the user's own.

    Raises:
        ValueError: naming the unknown key and the nearest known one.

    Example:
        >>> config = {"max_epochs": 3, "max_epoch": 5}
        >>> check_keys(config, known=["max_epochs"])  # doctest: +NORMALIZE_WHITESPACE
        Traceback (most recent call last):
        ValueError: unknown key 'max_epoch': no configuration file declares it and nothing refers to it;
            did you mean 'max_epochs'?
    """
    accepted: set[str | None] = {*known, *TRACKING_KEYS, run_id}
    unknown = [key for key, value in config.items() if key not in accepted and not _is_run_list(value)]
    if not unknown:
        return
    referred = set(_REFERENCE.findall(json.dumps(config, default=str)))
    for key in unknown:
        if key in referred:
            continue
        nearest = difflib.get_close_matches(key, [str(name) for name in accepted if name], n=1, cutoff=0.5)
        hint = f"did you mean '{nearest[0]}'?" if nearest else "the keys are listed in configs/train.yaml"
        raise ValueError(f"unknown key '{key}': no configuration file declares it and nothing refers to it; {hint}")
