"""The overlay data.yaml: what a configuration must know of one dataset."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.data.clinical import Column
from scripts.data.plain_text import check_from_data, is_plain, is_reference, literal
from scripts.data.reference_phase import product
from scripts.data.summary import held_text
from scripts.data.survey import Survey

BUNDLE = Path(__file__).resolve().parents[2]
"""Folder of this bundle."""


def overlay_text(
    name: str,
    folder: Path,
    phases: Sequence[str],
    classes: Sequence[str],
    clinical: Sequence[Column],
    proposal: Survey,
    positive: str | None = None,
) -> str:
    """Return the text of data.yaml, to be passed behind train.yaml; one comment with the unit per key.

    Args:
        name: name of the dataset.
        folder: absolute folder of dataset.json.
        phases: phases in order.
        classes: class names in order.
        clinical: declarations of the clinical columns.
        proposal: reference phase, spacing, grid size, region and intensity rule.
        positive: the positive one of two classes.
    """
    reference = proposal.reference
    finest = product(reference.finest)
    rows: list[tuple[str, Any, str]] = [
        ("name", results_name(name), "name of the results folder"),
        ("dataset_dir", str(folder), "folder with dataset.json"),
        ("phases", list(phases), "volumes that are fused; the order of the channels"),
        ("reference_phase", reference.phase, f"phase whose axes define the common grid: {reference.reason}"),
        ("classes", list(classes), "names of the labels; the order of the outputs"),
        *positive_rows(positive),
        ("clinical", [dict(column) for column in clinical], "columns of the clinical table"),
        ("orientation", "RAS", "axes of the grid: to the Right, Anterior, Superior"),
        (
            "spacing",
            proposal.spacing,
            f"mm per voxel; the finest phase has {finest} on each axis, in the median case",
        ),
        ("grid_size", proposal.grid_size, f"voxels; holds the region of {held_text(proposal)}"),
        (
            "region",
            proposal.region,
            "what the grid is centred on; margin in mm; component of the mask: largest, all",
        ),
        ("intensity", proposal.intensity, proposal.intensity_reason),
        ("phase_dropout_hides", "file", "what a hidden phase takes with it: also its scale and grid"),
    ]
    return rows_text(name, training_command([from_here(folder / "data.yaml")]), rows)


def positive_rows(positive: str | None) -> list[tuple[str, Any, str]]:
    """Return the row of the positive class, where there is one."""
    comment = "class that threshold, ROC and decision curve are about; the other one is as good a choice"
    return [] if positive is None else [("positive", positive, comment)]


def rows_text(name: str, command: str, rows: Sequence[tuple[str, Any, str]]) -> str:
    """Return the text of an overlay: what it is for, how to use it, and keys with values and comments.

    Raises:
        ValueError: a name that MONAI would execute, look up or change, or a line break in a name or path.
    """
    lines = [
        f"# Overlay for {name}, written by `preparing`. Edit it as needed, then, from the same folder as "
        "`preparing`:",
        f"#   {command}",
        "",
        *(
            f"{key}: {_flow(literal(value) if key == 'dataset_dir' else value)}  # {comment}"
            for key, value, comment in rows
        ),
    ]
    check_from_data({key: value for key, value, _ in rows}, "data.yaml")
    broken = [line for line in lines if not is_plain(line)]
    if broken:
        raise ValueError(
            f"names and paths in data.yaml must be text in one line, found {broken[0]!r:.200}; rename them"
        )
    return "\n".join(lines) + "\n"


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


def results_name(name: str) -> str:
    """Return the dataset's name as the name of a folder.

    >>> results_name("My liver study (2024)")
    'my_liver_study_2024'
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "dataset"


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()
