"""The overlay data.yaml of a dataset of images: what a configuration must know of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from scripts.data.clinical import Column
from scripts.data.overlay import from_here, positive_rows, results_name, rows_text, training_command
from scripts.data.volume_base import Volume
from scripts.data.volume_image import FIELD, brightest

LARGEST = 224
"""Pixels; larger images are reduced to it."""


def image_overlay_text(
    name: str,
    folder: Path,
    channels: Sequence[str],
    views: Sequence[str],
    classes: Sequence[str],
    clinical: Sequence[Column],
    images: Sequence[Volume],
    positive: str | None = None,
) -> str:
    """Return the text of data.yaml, to be passed behind train.yaml; one comment with the unit per key.

    Args:
        name: name of the dataset.
        folder: absolute folder of dataset.json.
        channels: <phase>_<view>, phases first, views inside.
        views: names of the views.
        classes: class names in order.
        clinical: declarations of the clinical columns.
        images: those that decide on size and brightness, opened.
        positive: the positive one of two classes.
    """
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
    rows: list[tuple[str, Any, str]] = [
        ("name", results_name(name), "name of the results folder"),
        ("dataset_dir", str(folder), "folder with dataset.json"),
        ("phases", phases, "images that are fused, one of each view; the order of the channels"),
        ("views", list(views), "the planes that the images show, inside each phase"),
        ("slicer", {"_target_": "scripts.transforms.GivenViews", "views": "@views"}, "views come as images"),
        ("reference_phase", channels[0], "image whose size is read first; all fill the same field"),
        ("classes", list(classes), "names of the labels; the order of the outputs"),
        *positive_rows(positive),
        ("clinical", [dict(column) for column in clinical], "columns of the clinical table"),
        ("orientation", "SPL", "one slice, rows downwards, columns to the right of the image"),
        ("grid_size", size, "1, rows and columns: every image is resized to it; change spacing with it"),
        (
            "spacing",
            spacing,
            f"{FIELD:g} / pixels: each image fills a nominal field of {FIELD:g} x {FIELD:g} mm",
        ),
        ("region", {"_target_": "scripts.transforms.WholeVolumeRegiond", "keys": "image"}, "the whole image"),
        ("intensity", window, "black and white of the files become 0 and 1"),
        ("geometry", geometry, "within the plane; one draw per case for all its images; degrees, pixels"),
    ]
    command = training_command([from_here(folder / "data.yaml")])
    return rows_text(name, command, rows)
