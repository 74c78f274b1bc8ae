# SPDX-License-Identifier: Apache-2.0
"""Self-contained HTML pages, and configurations without the paths of this machine."""

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

# Values of these keys in the bundle as shipped; {name} is the last part of the path.
REPLACEMENTS = {
    "dataset_dir": "$@bundle_root + '/data/{name}'",
    "cache_dir": "$@bundle_root + '/data/cache'",
    "output_dir": "$scripts.engines.results_folder(@bundle_root, @name, @resume)",
    "model_file": "$@output_dir + '/models/model.pt'",
    "start_weights": None,
    "encoder_weights": None,
}

TEXTS = (".yaml", ".json", ".conf", ".md", ".txt")
"""Endings of the files of a package that people may have written paths into."""


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
    """Replace the paths of this machine in a YAML configuration; comments and order are kept.

    A path may reveal names, and does not exist on other machines. Known keys get the form of the shipped
    configuration: ``dataset_dir: /home/me/liver`` becomes ``$@bundle_root + '/data/liver'``. ``start_weights`` and
    ``encoder_weights`` always become null.

    Raises:
        ValueError: a path under another key; names file, key and path.
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
    """Refuse paths of this machine in JSON configurations; the twins of YAML files have none.

    Raises:
        ValueError: there is one; names file and path.
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
    """Remove the home folder, and the path of the bundle, from comments and documents.

    Args:
        folder: folder that becomes the package.
        root: the bundle from which it is made.
    """
    for file in (path for path in folder.rglob("*") if path.suffix in TEXTS):
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
        if (new := without_home(without_home(text), root)) != text:
            file.write_text(new, encoding="utf-8", errors="surrogateescape")


def _replace(text: str, key: str, value: Any) -> str:
    """Replace the value of a top-level key in a YAML text, including its indented lines."""
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
    "subgroups": None,
    "outlined": None,
    "figures": [],
    "comparison": None,
    "checklists": [],
    "provenance": [],
    "again": None,
    "configurations": [],
}
"""Values of a page without any of its sections; see report.html.j2."""


def render(values: dict[str, Any], page: str) -> str:
    """Fill the template of a page; every value is escaped, and a missing value is an error.

    Args:
        values: values of the template, e.g. of `report.html.j2`.
        page: name of the file; its template has the same name followed by .j2.
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
    """Render a page into a folder, as a whole or not at all, and print its path."""
    file = write_text(folder / page, render(values, page))
    print(f"report: {file.resolve()}", flush=True)
    return file


def configurations(files: Sequence[Path], anonymous: bool = False) -> list[tuple[str, str]]:
    """Return name and text of each file that exists, without paths of this machine if `anonymous`."""
    there = [file for file in files if file.is_file()]
    if not anonymous:
        return [(file.name, without_person(file.read_text(encoding="utf-8"))) for file in there]
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(shutil.copy(file, folder)) for file in there]
        for copy in copies:
            remove_own_paths(copy)
        return [(copy.name, copy.read_text(encoding="utf-8")) for copy in copies]
