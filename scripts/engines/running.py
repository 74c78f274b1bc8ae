# SPDX-License-Identifier: Apache-2.0
"""The configuration that MONAI is currently executing, and commands written as a user would type them."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow
from scripts import BUNDLE
from scripts.files.plain_text import is_reference


def _callers(kind: type) -> Any | None:
    """Return the innermost caller of type `kind`, found as ``self`` on the call stack."""
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, kind):
            return owner
        frame = frame.f_back  # type: ignore[assignment]
    return None


def running_parser() -> ConfigParser | None:
    """Return the parser whose expression is being evaluated, or None outside a configuration.

    MONAI passes an expression only the objects that it refers to by ``@``. But the results folder must hold the
    whole configuration, and a misspelt key can only be found by looking at all keys. The parser is therefore
    taken from the call stack.
    """
    return _callers(ConfigParser)


def running_run_id() -> str | None:
    """Return the run id (``training``, ``evaluating``, ...) of the running workflow, or None."""
    workflow = _callers(ConfigWorkflow)
    return None if workflow is None else workflow.run_id


def bundle_folder(bundle_root: str | Path) -> Path:
    """Return the running bundle: `bundle_root`, or if that is no bundle, the one whose files are being read.

    ``.`` is no bundle if `monai.bundle.load` or a federated client reads a bundle from another folder.
    """
    root, files = Path(str(bundle_root)).resolve(), folder_of_files()  # MONAI makes 2024 a number
    return root if files is None or (root / "configs" / "metadata.json").is_file() else files


def folder_of_files() -> Path | None:
    """Return the folder of the bundle whose configuration files are being read, or None outside a workflow."""
    workflow = _callers(ConfigWorkflow)
    return None if workflow is None else Path(workflow.config_root_path).resolve().parent


def running_config(
    columns: Sequence[Mapping[str, Any]] | None = None,
    positive: str | None = None,
    structures: Sequence[str] | None = None,
    masks: str | None = None,
) -> dict[str, Any]:
    """Return the merged, unresolved configuration (files, overlays, command line) that is being run.

    Args:
        columns: full declarations, which replace the names of the columns in `clinical`: a trained model must
            know its categories and their order wherever it goes.
        positive: name of the positive class, which replaces `positive` likewise; None leaves it.
        structures, masks: of a network that outlines, likewise.

    Raises:
        RuntimeError: called outside a configuration.
    """
    parser = running_parser()
    if parser is None:
        raise RuntimeError("running_config() works only inside an expression of a bundle configuration")
    config = {key: value for key, value in parser.get().items() if key != ConfigParser.meta_key}
    config |= {} if columns is None else {"clinical": [dict(column) for column in columns]}
    settled = {"positive": positive, "structures": structures and list(structures), "masks": masks}
    return config | {key: value for key, value in settled.items() if value is not None}


_REFERENCE = re.compile(r"@(\w+)")


def network_parts(config: dict[str, Any], kinds: tuple[str, ...]) -> list[str]:
    """Return those of `kinds` that the network uses, by following the references in the configuration.

    The reader refers to the encoders of volumes and of planes; only those that `views` asks for are returned.

    >>> config = {"network_def": {"encoder": "@reader"}, "reader": {"a": "@encoder", "b": "@plane_encoder"},
    ...           "encoder": {}, "plane_encoder": {}, "fusion": {}, "views": ["axial"]}
    >>> network_parts(config, ("fusion", "encoder", "plane_encoder"))
    ['plane_encoder']
    """
    views = config.get("views") or []
    unread = {"plane_encoder"} if not views else set() if "volume" in views else {"encoder"}
    if "plane_encoder" not in config:  # a configuration of a version without views
        unread = set()
    reached: set[str] = set()
    waiting = ["network_def"]
    while waiting:
        key = waiting.pop()
        if key in config and key not in reached:
            reached.add(key)
            waiting += _REFERENCE.findall(json.dumps(config[key], default=str))
    return [kind for kind in kinds if kind in reached - unread]


def training_command(overlays: Sequence[str], dataset_dir: str | None = None) -> str:
    """Return the command that trains with train.yaml and `overlays`, to be typed in the current folder.

    >>> print(training_command(["configs/data/acdc.yaml"]))
    python -m monai.bundle run training --config_file "['configs/train.yaml','configs/data/acdc.yaml']"
    """
    where = f" --dataset_dir {shlex.quote(dataset_dir)}" if dataset_dir else ""
    return bundle_command("training", ["configs/train.yaml", *overlays], BUNDLE) + where


def bundle_command(run: str, files: Sequence[str], bundle: Path | None = None) -> str:
    """Return a command of the bundle as a user would type it.

    Args:
        run: run id, e.g. training.
        files: configuration files; those in `configs` are the bundle's own.
        bundle: folder of the bundle, which the command names unless it is the current folder; None: the command
            is to be typed in that folder.
    """
    root = ""
    if bundle is not None and bundle != Path.cwd():
        files = [from_here(bundle / file) if file.startswith("configs/") else file for file in files]
        root = f" --bundle_root {shlex.quote(from_here(bundle))}"
    listed = f"[{','.join(map(repr, files))}]"
    listed = f'"{listed}"' if not set(listed) & set('"$`\\!') else shlex.quote(listed)
    return f"python -m monai.bundle run {run} --config_file {listed}{root}"


def from_here(path: Path) -> str:
    """Return a path as a user would type it: relative if it lies below the current folder.

    A name that MONAI would execute or look up gets the prefix ``./``.

    >>> from_here(Path.cwd() / "data"), from_here(Path.cwd() / "$x")
    ('data', './$x')
    """
    text = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
    return f"./{text}" if is_reference(text) else text
