# SPDX-License-Identifier: Apache-2.0
"""Write dataset.json, those of folds, and the overlay data.yaml, each completely or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from scripts import BUNDLE
from scripts.cases.clinical import Column
from scripts.cases.masks import each_mask
from scripts.cases.read import read_cases
from scripts.cases.splits import Case, Splits
from scripts.engines.running import bundle_command, from_here, training_command
from scripts.files.atomic import write_atomically
from scripts.files.plain_text import check_from_data, is_plain, literal
from scripts.volumes.open import FIELD, brightest
from scripts.volumes.volume import Volume
from workbench.prepare.grids import product
from workbench.prepare.outlines import OutlineGrid
from workbench.prepare.summary import held_text
from workbench.prepare.survey import Survey


@dataclass(frozen=True)
class Dataset:
    """What was chosen for a dataset; `folder` receives dataset.json and data.yaml.

    For 2D images, `views` names their views, and the phases are <phase>_<view>, views inside.
    """

    name: str
    folder: Path
    phases: list[str]
    classes: list[str]
    columns: list[Column]
    positive: str | None
    views: list[str]
    outlining: OutlineGrid | None = None  # where training cases have masks
    empty_masks: bool = False  # whether nothing is drawn in some masks


def write_dataset(folder: Path, header: Mapping[str, Any], splits: Splits) -> Path:
    """Write dataset.json if it can be read back, with paths below `folder` relative to it.

    Raises:
        ValueError, FileNotFoundError: it cannot be read back; then nothing is written.
    """
    content = {**header, **{split: [_entry(case, folder) for case in cases] for split, cases in splits.items()}}
    file = folder / "dataset.json"

    def write(temporary: Path) -> None:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        try:
            classes = content.get("classes", [])
            read_cases(temporary, content["phases"], classes, content["clinical"], labels=bool(classes))
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(str(error).replace(str(temporary), f"{file} (not written)")) from None

    return write_atomically(file, write)


def write_folds(folder: Path, header: Mapping[str, Any], folds: Mapping[str, Splits]) -> list[Path]:
    """Write the dataset.json of each fold, for `--dataset_dir`; those of an earlier run are removed."""
    for old in (folder / "folds").glob("r1_f*/dataset.json"):
        old.unlink()
    return [
        write_dataset(folder / "folds" / name, {**header, "fold": name}, {**splits, "unlabelled": []})
        for name, splits in folds.items()
    ]


def _entry(case: Case, folder: Path) -> dict[str, Any]:
    """Return a case as dataset.json holds it: paths below `folder` relative, no `split`."""

    def written(path: str) -> str:
        return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path

    entry = {key: value for key, value in case.items() if key != "split" and value not in (None, {})}
    entry["image"] = {phase: written(path) for phase, path in case["image"].items()}
    return entry | ({"roi": each_mask(case["roi"], written)} if case.get("roi") else {})


Row = tuple[str, Any, str]  # key, value and comment


def overlay_text(dataset: Dataset, proposal: Survey) -> str:
    """Return the text of data.yaml, to be passed after train.yaml; each key has a comment with its unit."""
    reference = proposal.reference
    finest = product(reference.finest)
    return overlay_of(
        dataset,
        [
            ("phases", dataset.phases, "volumes that are fused; the order of the channels"),
            ("reference_phase", reference.phase, f"phase whose axes define the common grid: {reference.reason}"),
        ],
        [
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
        ],
    )


def overlay_of(dataset: Dataset, phases: Sequence[Row], grid: Sequence[Row]) -> str:
    """Return the text of an overlay: what it is for, how to use it, and keys with values and comments.

    Raises:
        ValueError: a name that MONAI would execute, look up or change, or a line break in a name or path.
    """
    either = "class that threshold, ROC and decision curve are about; the other one is as good a choice"
    rows: list[Row] = [
        ("name", results_name(dataset.name), "name of the results folder"),
        ("dataset_dir", str(dataset.folder), "folder with dataset.json"),
        *phases,
        *([("classes", dataset.classes, "names of the labels; the order of the outputs")] if dataset.classes else []),
        *([] if dataset.positive is None else [("positive", dataset.positive, either)]),
        ("clinical", [dict(column) for column in dataset.columns], "columns of the clinical table"),
        *grid,
    ]
    lines = [
        f"# Overlay for {dataset.name}, written by `preparing`. Edit it as needed, then, from the same "
        "folder as `preparing`:",
        f"#   {command_for(dataset)}",
        *_outline_lines(dataset),
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


def command_for(dataset: Dataset) -> str:
    """Return the command that trains on a dataset: what classifies or, where no case has a class, what outlines."""
    return training_command([_data(dataset)]) if dataset.classes else _segmenting(dataset)


def _data(dataset: Dataset) -> str:
    return from_here(dataset.folder / "data.yaml")


def _segmenting(dataset: Dataset) -> str:
    line = bundle_command("segmenting", ["configs/train.yaml", _data(dataset), "configs/segment.yaml"], BUNDLE)
    line += dataset.outlining.arguments() if dataset.outlining else ""
    return line + (" --empty_masks True" if dataset.empty_masks else "")


def _outline_lines(dataset: Dataset) -> list[str]:
    """Return comments on how to outline what the masks show, and to classify what is outlined."""
    if dataset.outlining is None or not dataset.classes:
        return [] if dataset.outlining is None else [f"# {dataset.outlining.line()}"]
    regions = training_command([_data(dataset), "configs/regions/outlined.yaml"])
    return [
        f"# {dataset.outlining.line()}",
        f"#   {_segmenting(dataset)}",
        "# and to classify what a network outlines:",
        f"#   {regions}{dataset.outlining.arguments('outline_')}",
    ]


def results_name(name: str) -> str:
    """Return the dataset's name as the name of a folder.

    >>> results_name("My liver study (2024)")
    'my_liver_study_2024'
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "dataset"


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()


LARGEST = 224  # pixels; larger images are reduced to it


def image_overlay_text(dataset: Dataset, images: Sequence[Volume]) -> str:
    """Return the text of data.yaml for 2D images; `images`, opened, decide on size and brightness."""
    channels, views = dataset.phases, dataset.views
    phases = list(dict.fromkeys(channel.removesuffix(f"_{views[0]}") for channel in channels[:: len(views)]))
    shapes = [image.shape[1:] for image in images]
    height, width = (median(shape[axis] for shape in shapes) for axis in (0, 1))
    shrink = min(1.0, LARGEST / max(height, width))
    size = [1, max(1, round(height * shrink)), max(1, round(width * shrink))]
    spacing = [1.0, *(round(FIELD / pixels, 6) for pixels in size[1:])]
    white = max(brightest(image.path) for image in images)
    geometry = {
        "_target_": "scripts.transforms.RandomGeometry", "flip": [0.0, 0.0, 0.5], "rotate": [15.0, 0.0, 0.0],
        "scale": 0.1, "translate": [0.0, 4.0, 4.0], "spacing": "@spacing",
    }  # fmt: skip
    window = {
        "_target_": "scripts.transforms.WindowIntensityd", "keys": "image", "lower": 0.0, "upper": white,
    }  # fmt: skip
    return overlay_of(
        dataset,
        [
            ("phases", phases, "images that are fused, one of each view; the order of the channels"),
            ("views", list(views), "the planes that the images show, inside each phase"),
            ("slicer", {"_target_": "scripts.transforms.GivenViews", "views": "@views"}, "views come as images"),
            ("reference_phase", channels[0], "image whose size is read first; all fill the same field"),
        ],
        [
            ("orientation", "SPL", "one slice, rows downwards, columns to the right of the image"),
            ("grid_size", size, "1, rows and columns: every image is resized to it; change spacing with it"),
            ("spacing", spacing, f"{FIELD:g} / pixels: each image fills a nominal field of {FIELD:g} x {FIELD:g} mm"),
            ("region", {"_target_": "scripts.transforms.WholeVolumeRegiond", "keys": "image"}, "the whole image"),
            ("intensity", window, "black and white of the files become 0 and 1"),
            ("geometry", geometry, "within the plane; one draw per case for all its images; degrees, pixels"),
        ],
    )
