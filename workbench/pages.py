# SPDX-License-Identifier: Apache-2.0
"""Self-contained HTML pages, and configurations without the paths of one machine."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml
from scripts.engines.environment import without_home, without_person
from scripts.files.atomic import write_text
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


TEMPLATES = Path(__file__).resolve().parent / "report"
REPORT = "report.html"
NOTHING: dict[str, Any] = {
    "facts": [],
    "meaning": [],
    "cautions": [],
    "data": [],
    "splits": [],
    "headline_tables": [],
    "figures": [],
    "comparison": None,
    "provenance": [],
    "again": None,
    "configurations": [],
}
"""What a page has without any of its sections; see report.html.j2."""


def render(values: dict[str, Any], page: str) -> str:
    """Fill the template of a page; every value is escaped, and a value that is not there is an error.

    Args:
        values: see the template, `report.html.j2` for instance.
        page: name of the file; its template is called so, with .j2 behind.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{page}.j2").render(values)


def write_page(folder: Path, values: dict[str, Any], page: str) -> Path:
    """Render a page into a folder, as a whole or not at all, and say where it is."""
    file = write_text(folder / page, render(values, page))
    print(f"report: {file.resolve()}", flush=True)
    return file


def configurations(files: Sequence[Path], anonymous: bool = False) -> list[tuple[str, str]]:
    """Return name and text of each file that is there, without paths of this machine if `anonymous`."""
    there = [file for file in files if file.is_file()]
    if not anonymous:
        return [(file.name, without_person(file.read_text(encoding="utf-8"))) for file in there]
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(shutil.copy(file, folder)) for file in there]
        for copy in copies:
            remove_own_paths(copy)
        return [(copy.name, copy.read_text(encoding="utf-8")) for copy in copies]
