# SPDX-License-Identifier: Apache-2.0
"""Set up MONAI Label's own bundle app with this bundle in it."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from scripts.engines.twins import write_twins
from scripts.files.yaml_files import read_yaml
from scripts.metrics.prediction_sets import FILE
from scripts.volumes.fingerprint import content_hash
from workbench.package.packing import BUNDLE_NAME
from workbench.serve.outlines import OUTLINE_NAME, is_outlining, label_map_metadata, outline_configuration

logger = logging.getLogger(__name__)

PARTS = ("configs", "scripts", "docs", "LICENSE")
"""Copied anew each time; weights are not, since training on labels may have changed them."""


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
    """Write the app and a bundle to a folder from which MONAI Label can start.

    The weights are copied if the bundle's own have changed since; otherwise those trained on labels stay.

    Args:
        app: folder to write or update.
        bundle: this repository, or a results folder.

    Returns:
        Names of the models: the classifier, and the one that draws its answer as a mask; or the one that
        outlines, of a results folder of `run segmenting`.

    Raises:
        FileNotFoundError: the bundle has no weights.
    """
    weights = bundle / "models" / "model.pt"
    if not weights.is_file():
        raise FileNotFoundError(f"{bundle} must hold models/model.pt, found none; train first")
    outlining = is_outlining(read_yaml(bundle / "configs" / "inference.yaml"))
    shutil.copytree(sample_app(), app, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    served = app / "model" / (OUTLINE_NAME if outlining else BUNDLE_NAME)
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
    if outlining:
        _write_json(file, outline_configuration(inference))
        file = served / "configs" / "metadata.json"
        meta = json.loads(file.read_text(encoding="utf-8"))
        _write_json(file, label_map_metadata(meta, inference["structures"], "answers with a label map"))
        return [OUTLINE_NAME]
    if "outline_def" in inference:  # what it looks at is outlined by a second network
        copy_outliner(bundle, served)
    write_grade_bundle(served, app / "model" / GRADE_NAME)
    _write_json(file, judging_configuration(inference))
    return [BUNDLE_NAME, GRADE_NAME]


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")


def copy_outliner(bundle: Path, served: Path) -> None:
    """Copy the second network, and the outlines of its training cases by networks that did not see them.

    Labels teach the classifier alone: trainings of the server use both as they lie here.
    """
    shutil.copyfile(bundle / "models" / "outline.pt", served / "models" / "outline.pt")
    shutil.rmtree(served / "outlines", ignore_errors=True)
    shutil.copytree(bundle / "outlines", served / "outlines")
    for name in ("train", "metadata"):  # MONAI Label evaluates every expression of both before anything is trained
        file = served / "configs" / f"{name}.json"
        text = file.read_text(encoding="utf-8")
        for kept in ("models/outline.pt", "outlines"):
            text = text.replace(f"$scripts.engines.beside(@model_file, '{kept}')", f"$str(@bundle_root) + '/{kept}'")
        file.write_text(text, encoding="utf-8")


def copy_weights(source: Path, models: Path) -> None:
    """Copy the weights unless these very weights were copied before."""
    digest, record = content_hash(source), models / "copied_from.sha256"
    if record.is_file() and record.read_text(encoding="utf-8") == digest and (models / "model.pt").is_file():
        logger.info("weights in %s stay as they are, with what labels have taught them", models)
        return
    if models.exists():
        shutil.rmtree(models)
    models.mkdir(parents=True)
    for name in ("model.pt", FILE):
        if source.with_name(name).is_file():
            shutil.copyfile(source.with_name(name), models / name)
    record.write_text(digest, encoding="utf-8")


JUDGE = {
    "_target_": "scripts.transforms.JudgePositived",
    "keys": "pred",
    "classes": "@classes",
    "positive": "@positive",
    "model_file": "@model_file",
}
"""Step after the softmax that says whether the case is called positive."""
SETS = {
    "_target_": "scripts.engines.PredictionSetsd",
    "keys": "pred",
    "classes": "@classes",
    "model_file": "@model_file",
}
"""Step after that, which adds prediction sets where evidence.npz lies beside the weights."""
GRADE_NAME = "multiphase_fusion_grade"
"""Name of the directory, without "classification": MONAI Label derives the task from it."""


def grade_configuration(inference: dict[str, Any]) -> dict[str, Any]:
    """Return the classifier's inference configuration with a mask as its answer.

    Args:
        inference: content of the classifier's ``inference.json``.
    """
    config = copy.deepcopy(inference) | {"positive": inference.get("positive")}
    chain = config["preprocessing"]["transforms"]
    config["preprocessing"]["transforms"] = [  # the mask needs the files that the last step would delete
        step for step in chain if isinstance(step, str) or step["_target_"] != "DeleteItemsd"
    ]
    config["postprocessing"]["transforms"] = [
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        JUDGE,
        SETS,
        {"_target_": "scripts.transforms.PaintPredictiond", "keys": "pred", "classes": "@classes"}
        | {"columns": "@columns", "options": "@displayable_configs"},
    ]
    return config


def judging_configuration(inference: dict[str, Any]) -> dict[str, Any]:
    """Return the classifier's inference configuration with an answer that names the positive class."""
    config = copy.deepcopy(inference) | {"positive": inference.get("positive")}
    chain = config["postprocessing"]["transforms"]
    config["postprocessing"]["transforms"] = [chain[0], JUDGE, SETS, *chain[1:]]
    return config


def grade_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the classifier's metadata with the labels of the mask: 0 background, then the classes."""
    pred = metadata["network_data_format"]["outputs"]["pred"]
    classes = [pred["channel_def"][str(index)] for index in range(pred["num_channels"])]
    return label_map_metadata(metadata, classes, "shown as a region labelled with the class")


def write_grade_bundle(classifier: Path, folder: Path) -> None:
    """Write a bundle of kind segmentation that reads the classifier's weights and has no training of its own.

    Args:
        classifier: folder of a bundle with JSON twins.
        folder: to write; existing content is replaced.
    """
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "configs").mkdir(parents=True)
    for name, change in (("inference", grade_configuration), ("metadata", grade_metadata)):
        content = json.loads((classifier / "configs" / f"{name}.json").read_text(encoding="utf-8"))
        _write_json(folder / "configs" / f"{name}.json", change(content))
    shutil.copytree(classifier / "scripts", folder / "scripts")
    for part in ("models", "outlines"):  # training on labels changes both bundles
        if (classifier / part).is_dir():
            (folder / part).symlink_to(os.path.relpath(classifier / part, folder), target_is_directory=True)
