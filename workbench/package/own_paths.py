# SPDX-License-Identifier: Apache-2.0
"""Takes the paths of one machine out of a configuration before others get it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml
from scripts.engines.environment import without_home
from scripts.files.plain_text import from_literal
from scripts.files.yaml_files import read_yaml

# What such a key holds in the bundle as shipped; {name} is the last part of the path.
REPLACEMENTS = {
    "dataset_dir": "$@bundle_root + '/data/{name}'",
    "cache_dir": "$@bundle_root + '/data/cache'",
    "output_dir": "$scripts.engines.results_folder(@bundle_root, @name, @resume)",
    "model_file": "$@output_dir + '/models/model.pt'",
    "start_weights": None,
    "encoder_weights": None,
}

TEXTS = (".yaml", ".json", ".conf", ".md", ".txt")
"""Ends of names of the files that people write into, of a package."""


def _is_own(text: str) -> bool:
    text = from_literal(text)
    absolute = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    return absolute or text.startswith("~")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def remove_own_paths(file: Path) -> None:
    """Replace the paths of this machine in a YAML configuration; comments and order stay.

    A path names people and places, and leads nowhere on another machine. The known keys get what the shipped
    configuration has: ``dataset_dir: /home/me/liver`` becomes ``$@bundle_root + '/data/liver'``.
    ``start_weights`` and ``encoder_weights`` become null, however they were given.

    Raises:
        ValueError: for a path under another key, with file, key and path.
    """
    text = file.read_text(encoding="utf-8")
    for key, value in read_yaml(file).items():
        own = [found for found in _strings(value) if _is_own(found)]
        if not own and (key not in ("start_weights", "encoder_weights") or value is None):
            continue
        if key not in REPLACEMENTS:
            raise ValueError(
                f"{file.name}: {key} holds the path {own[0]} of this machine, which nobody else has; write "
                "it relative to @bundle_root"
            )
        new = REPLACEMENTS[key]
        if new is not None:
            name = PureWindowsPath(from_literal(str(value))).name
            new = new.format(name=re.sub(r"['\"\\#@]", "", name))
        text = _replace(text, key, new)
    file.write_text(text, encoding="utf-8")


def check_own_paths(configs: Path) -> None:
    """Refuse a path of this machine in a JSON configuration; the twins of YAML have none.

    Raises:
        ValueError: with file and path.
    """
    for file in sorted(configs.rglob("*.json")):
        try:
            own = list(filter(_is_own, _strings(json.loads(file.read_text(encoding="utf-8")))))
        except ValueError as error:
            raise ValueError(f"{file.name} must be JSON, found {error}; correct or remove it") from None
        if own:
            raise ValueError(
                f"{file.name} holds the path {own[0]} of this machine, which nobody else has; write it "
                "relative to @bundle_root, or remove the file"
            )


def forget_home(folder: Path, root: Path) -> None:
    """Take the home folder, and the folder the bundle lies in, out of comments and documents.

    Args:
        folder: what becomes the package.
        root: the bundle that it is made from.
    """
    for file in (path for path in folder.rglob("*") if path.suffix in TEXTS):
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
        if (new := without_home(without_home(text), root)) != text:
            file.write_text(new, encoding="utf-8", errors="surrogateescape")


def _replace(text: str, key: str, value: Any) -> str:
    """Give a top-level key of a YAML text another value; the lines that belong to it are indented."""
    line = yaml.safe_dump({key: value}, width=float("inf")).rstrip()
    entry = re.compile(rf"^{key}:.*(?:\n[ \t]+.*)*", re.MULTILINE)
    return entry.sub(lambda _: line, text)
