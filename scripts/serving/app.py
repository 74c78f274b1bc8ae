"""Lays out MONAI Label's own bundle app with this bundle in it."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path

from scripts.data.fingerprint import content_hash
from scripts.engines.twins import write_twins
from scripts.packaging.package import BUNDLE_NAME
from scripts.serving.grade import GRADE_NAME, judging_configuration, write_grade_bundle

logger = logging.getLogger(__name__)

PARTS = ("configs", "scripts", "docs", "LICENSE")
"""What is copied anew each time; the weights are not, once labels have taught them."""


def sample_app() -> Path:
    """Return the folder of the app for bundles that comes with MONAI Label.

    Raises:
        FileNotFoundError: MONAI Label is not installed.
    """
    folder = Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"MONAI Label must be installed beside this Python, found no {folder}; run `make label`"
        )
    return folder


def lay_out(app: Path, bundle: Path) -> list[str]:
    """Put the app and a bundle into a folder that MONAI Label can start.

    The weights are copied when the bundle's own have changed since; otherwise those that labels taught stay.

    Args:
        app: folder to write, or to bring up to date.
        bundle: this repository, or a results folder.

    Returns:
        Names of the models: the classifier, and the one that paints its answer.

    Raises:
        FileNotFoundError: the bundle has no weights.
    """
    weights = bundle / "models" / "model.pt"
    if not weights.is_file():
        raise FileNotFoundError(f"{bundle} must hold models/model.pt, found none; train first")
    shutil.copytree(sample_app(), app, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    served = app / "model" / BUNDLE_NAME
    for part in PARTS:
        source, target = bundle / part, served / part
        if target.is_dir():
            shutil.rmtree(target)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    write_twins(served / "configs")
    copy_weights(weights, served / "models")
    file = served / "configs" / "inference.json"
    inference = json.loads(file.read_text(encoding="utf-8"))
    write_grade_bundle(served, app / "model" / GRADE_NAME)
    file.write_text(json.dumps(judging_configuration(inference), indent=4) + "\n", encoding="utf-8")
    return [BUNDLE_NAME, GRADE_NAME]


def copy_weights(source: Path, models: Path) -> None:
    """Copy the weights unless these very weights were copied before."""
    digest, record = content_hash(source), models / "copied_from.sha256"
    if record.is_file() and record.read_text(encoding="utf-8") == digest and (models / "model.pt").is_file():
        logger.info("weights in %s stay as they are, with what labels have taught them", models)
        return
    if models.exists():
        shutil.rmtree(models)
    models.mkdir(parents=True)
    shutil.copyfile(source, models / "model.pt")
    record.write_text(digest, encoding="utf-8")
