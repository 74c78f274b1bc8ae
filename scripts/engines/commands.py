"""Commands of the bundle as one would type them, for messages and comments."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from scripts import BUNDLE
from scripts.files.plain_text import is_reference


def training_command(overlays: Sequence[str], dataset_dir: str | None = None) -> str:
    """Return the command that trains with train.yaml and `overlays`, as one would type it where one is.

    >>> print(training_command(["configs/data/acdc.yaml"]))
    python -m monai.bundle run training --config_file "['configs/train.yaml','configs/data/acdc.yaml']"
    """
    where = f" --dataset_dir {shlex.quote(dataset_dir)}" if dataset_dir else ""
    return bundle_command("training", ["configs/train.yaml", *overlays], BUNDLE) + where


def bundle_command(run: str, files: Sequence[str], bundle: Path | None = None) -> str:
    """Return a command of the bundle, as one would type it.

    Args:
        run: what is run.
        files: configurations; those in `configs` are the bundle's own.
        bundle: its folder, which is named where one is elsewhere; None: the command is given in it.
    """
    root = ""
    if bundle is not None and bundle != Path.cwd():
        files = [from_here(bundle / file) if file.startswith("configs/") else file for file in files]
        root = f" --bundle_root {shlex.quote(from_here(bundle))}"
    listed = f"[{','.join(map(repr, files))}]"
    listed = f'"{listed}"' if not set(listed) & set('"$`\\!') else shlex.quote(listed)
    return f"python -m monai.bundle run {run} --config_file {listed}{root}"


def from_here(path: Path) -> str:
    """Return a path as one would type it: relative where it lies below the current folder.

    A name that MONAI would execute or look up has the folder in front.

    >>> from_here(Path.cwd() / "data"), from_here(Path.cwd() / "$x")
    ('data', './$x')
    """
    text = str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
    return f"./{text}" if is_reference(text) else text
