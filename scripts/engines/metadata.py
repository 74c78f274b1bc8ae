# SPDX-License-Identifier: Apache-2.0
"""``metadata.json``: the description of a trained model, generated from its configuration."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.cases.positive import positive_index
from scripts.engines.ensemble import ensemble_folders
from scripts.engines.running import bundle_folder, folder_of_files, from_here
from scripts.files.atomic import write_text
from scripts.files.plain_text import from_literal, safe_name

# What a checkpoint depends on; evaluation and inference must run with the same values.
MODEL_KEYS = (
    "phases", "reference_phase", "classes", "positive", "clinical", "orientation", "spacing", "grid_size",
    "region", "intensity", "image_filter",
    "views", "slices", "slice_pooling", "slicer", "encoder", "plane_encoder", "reader",
    "fusion", "share_encoder", "share_views", "network_def", "structures", "masks",
)  # fmt: skip

OF_TRAINING = ("deep_supervision",)
"""Settings of a network that change its training alone."""


def model_configuration(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that describes the model, including the keys that it refers to."""
    chosen = {key: config[key] for key in MODEL_KEYS if key in config}
    text = json.dumps(chosen)
    if "masked_network" in config and "@structure_names" not in text:  # masks that only the training reads
        chosen = {key: value for key, value in chosen.items() if key not in ("structures", "masks")}
    chosen |= {key: value for key, value in config.items() if f"@{key}" in text and not str(value).startswith("$")}
    return {key: value for key, value in chosen.items() if key not in OF_TRAINING}


def metadata(base: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of a model trained with `config`.

    Args:
        base: metadata of the bundle: name, versions, authors, licence.
        config: merged configuration.
    """
    phases, classes = list(config["phases"]), list(config["classes"])
    if str(config.get("slicer", {}).get("_target_", "")).endswith("GivenViews"):
        phases = [f"{phase}_{view}" for phase in phases for view in config["views"]]
    shape = list(config["grid_size"])
    structures = outlined_structures(config)
    return base | {
        "image_classes": f"{len(phases)} {'images' if shape[0] == 1 else 'volumes'}: {', '.join(phases)}",
        "label_classes": ", ".join(classes if structures is None else structures),
        "pred_classes": f"probability of each of: {', '.join(classes)}{_positive_words(config)}"
        if structures is None
        else f"outline of each of: {', '.join(structures)}",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "n/a",
                    "num_channels": len(phases),
                    "spatial_shape": shape,
                    "dtype": "float32",
                    "value_range": [-10, 10],
                    "is_patch_data": structures is not None,
                    "channel_def": {str(index): phase for index, phase in enumerate(phases)},
                }
            },
            "outputs": {"pred": _probabilities(classes) if structures is None else _logits(structures, config)},
        },
        "model_configuration": _with_positive(model_configuration(config)),
    }


def outlined_structures(config: dict[str, Any]) -> list[str] | None:
    """Return the names of what a network outlines; None of one that classifies.

    >>> outlined_structures({"num_structures": "...", "structures": ["wall"]}), outlined_structures({})
    (['wall'], None)
    """
    return list(config["structures"] or []) if "num_structures" in config else None


def _probabilities(classes: list[str]) -> dict[str, Any]:
    """Describe the output of a network that classifies."""
    return {
        "type": "probabilities",
        "format": "classes",
        "num_channels": len(classes),
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(index): name for index, name in enumerate(classes)},
    }


def _logits(structures: list[str], config: dict[str, Any]) -> dict[str, Any]:
    """Describe the output of a network that outlines: the logits of each mask, one after the other."""
    masks = list(config["phases"]) if config.get("masks") == "phase" else [""]
    names = [f"{name}{f', {mask}' if mask else ''}" for mask in masks for name in ["background", *structures]]
    return {
        "type": "image",
        "format": "segmentation",
        "num_channels": len(names),
        "spatial_shape": list(config["grid_size"]),
        "dtype": "float32",
        "value_range": [-100, 100],
        "is_patch_data": True,
        "channel_def": {str(index): name for index, name in enumerate(names)},
    }


def _positive_words(config: dict[str, Any]) -> str:
    """Return words that name the positive one of two classes, or nothing."""
    named = _with_positive({key: config.get(key) for key in ("classes", "positive")}).get("positive")
    return f"; the positive class is {named}" if named else ""


def own_metadata(base: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of a model that a user trained, without what describes the shipped weights.

    Args:
        base: metadata of the bundle that trained.
        config: merged configuration.
    """
    dataset = safe_name(Path(from_literal(config["dataset_dir"])).name)
    described = {
        "name": str(config["name"]),
        "description": f"{_kind(config)} of {len(config['phases'])} phases, trained on "
        f"the dataset '{dataset}' with the bundle '{base['name']}'"
        f"{_positive_words(config) if outlined_structures(config) is None else ''}",
        "authors": "",
        "copyright": "",
        "data_source": dataset,
        "intended_use": "Research. Not for clinical use.",
        "eval_metrics": {},
    }
    return metadata(base | described, config)


def _kind(config: dict[str, Any]) -> str:
    structures = outlined_structures(config)
    return (
        f"{len(config['classes'])}-class model"
        if structures is None
        else f"model that outlines {', '.join(structures)}"
    )


def record_metrics(output_dir: str | Path) -> None:
    """Copy macro AUC and accuracy of ``metrics.json`` into ``metadata.json`` if a folder has both."""
    file, figures = Path(output_dir) / "configs" / "metadata.json", Path(output_dir) / "metrics.json"
    if not (file.is_file() and figures.is_file()):
        return
    found = json.loads(figures.read_text(encoding="utf-8"))
    if "outlines" in found:  # the last row is the mean of all structures
        scores = {f"{found['name']}_{name}": found["outlines"][-1][name] for name in ("dice", "surface_dice")}
    else:
        scores = {f"{found['name']}_{name}": found["macro"][name] for name in ("auc", "accuracy")}
    scores[f"{found['name']}_cases"] = found["n"]
    content = json.loads(file.read_text(encoding="utf-8")) | {"eval_metrics": scores}
    write_text(file, json.dumps(content, indent=4) + "\n")


def check_model(bundle_root: str | Path, config: dict[str, Any], ensemble: str | Sequence[str] = ()) -> None:
    """Check that a bundle's weights were trained with the running configuration.

    Args:
        bundle_root: folder of the trained bundle.
        config: the running configuration.
        ensemble: results folders whose models predict together (see `ensemble_folders`); each is checked.

    Raises:
        FileNotFoundError: the folder has no ``configs/metadata.json``.
        ValueError: the configurations differ; names the keys.
    """
    files = None if ensemble else folder_of_files()
    for folder in ensemble_folders(ensemble) if ensemble else [bundle_folder(bundle_root)]:
        _check_model(Path(folder), config, files)


def _check_model(bundle_root: Path, config: dict[str, Any], files: Path | None = None) -> None:
    """Check one bundle; `files` is the bundle whose configuration files are being run."""
    file = bundle_root / "configs" / "metadata.json"
    if not file.is_file():
        raise FileNotFoundError(f"folder {bundle_root} must hold configs/metadata.json; give a results folder")
    trained = _trained(file)
    running = _with_positive(json.loads(json.dumps(model_configuration(config))))
    differing = [
        _difference(key, trained.get(key), running.get(key))
        for key in sorted(set(trained) | set(running))
        if trained.get(key) != running.get(key)
    ]
    if differing:
        if files is not None and _trained(files / "configs" / "metadata.json") == running:
            raise ValueError(
                f"the model in {bundle_root} has other phases, classes or settings than the configuration of "
                f"{files}; pass --bundle_root {shlex.quote(from_here(files))}"
            )
        own = " or ".join(str(bundle_root / "configs" / name) for name in ("inference.yaml", "train.yaml"))
        raise ValueError(
            f"the model in {bundle_root} was trained with another configuration: {'; '.join(differing)}; run "
            f"it with its own files, {own}"
        )


def _trained(file: Path) -> dict[str, Any]:
    """Return the configuration that a model was trained with, from its metadata.json; {} if there is none."""
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return _with_positive(content.get("model_configuration", {}))


def _with_positive(config: dict[str, Any]) -> dict[str, Any]:
    """Name the positive class if it was left to the order of the classes, as in earlier versions."""
    classes = config.get("classes") or []
    if len(classes) != 2:
        return config | {"positive": None}
    return config | {"positive": classes[positive_index(classes, config.get("positive"))]}


def _difference(key: str, trained: Any, running: Any) -> str:
    """Say what differs; of the clinical table only the columns that do, since the text would be cut off."""
    if key == "clinical":
        before, here = ({column["name"]: column for column in columns or []} for columns in (trained, running))
        names = [name for name in before | here if before.get(name) != here.get(name)]
        if names:
            columns = [_difference(repr(name), before.get(name), here.get(name)) for name in names]
            return f"clinical: {', '.join(columns)}"
        trained, running = list(before), list(here)
    return f"{key} ({_short(trained)} against {_short(running)} here)"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
