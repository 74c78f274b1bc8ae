# SPDX-License-Identifier: Apache-2.0
"""evaluation.json: what a report needs beside metrics.json, so that it can be made anew without the data."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.cases.checks import CutRegions, cut_of
from scripts.cases.document import open_document, read_items
from scripts.engines.environment import without_person
from scripts.files.atomic import write_text
from scripts.files.yaml_files import read_yaml
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.resample import ResamplePhasesd
from scripts.volumes.fingerprint import content_hash
from workbench.prepare.phase_scale import phase_scales
from workbench.report.dataset import summarise_dataset

KEYS = ("phases", "reference_phase", "region", "spacing", "grid_size", "orientation")


def region_facts(dataset_dir: str | Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Look at the region of every case; never fails.

    Args:
        config: of the model's training.

    Returns:
        cases (number looked at), cropped (names of those whose region is larger than the grid) and left_out
        ({case: share of its mask outside the region}); or only `reason`.
    """
    from monai.bundle import ConfigParser

    region = config.get("region")
    if any(key not in config for key in KEYS) or not isinstance(region, Mapping):
        return {"reason": "the model's folder holds no region rule"}
    if str(region.get("_target_", "")).endswith("WholeVolumeRegiond"):
        return {"reason": "the region is the whole volume"}
    try:
        rule = ConfigParser(dict(region)).get_parsed_content()
        orientation, spacing, size = (config[key] for key in ("orientation", "spacing", "grid_size"))
        grid = ResamplePhasesd(spacing=spacing, size=size, orientation=orientation)
        load = LoadImagePhasesd(phases=list(config["phases"]), reference=config["reference_phase"])
        items = read_items(open_document(dataset_dir), list(config["phases"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"reason": " ".join(str(error).split())}
    found, looked = CutRegions(), 0
    for item in items:
        try:
            placed = dict(rule(load(item)))
            grid.fit(placed)
        except (OSError, ValueError):  # told where the case is read
            continue
        looked += 1
        found.add(item["case"], cut_of(placed))
    left_out = {case: round(share, 4) for case, share in sorted(found.left_out.items())}
    return {"cases": looked, "cropped": sorted(found.exceeding), "left_out": left_out}


RECORD = "evaluation.json"


def write_record(
    output_dir: Path,
    model_files: Sequence[Path],
    dataset_dir: str | Path,
    split: str,
    phases: Sequence[str],
    environment: dict[str, Any],
) -> None:
    """Write what a report needs and metrics.json does not say, so that it can be made anew without the data.

    The file has the keys split, models (results folders, relative where they hold `output_dir`), dataset_dir,
    dataset_sha256, data (of `summarise_dataset`), regions (of `region_facts`), phase_scales where the model
    scales its phases together (of `workbench.prepare.phase_scale`, by pair), and those of the environment; no
    text in it names home folder, user or host.

    Args:
        output_dir: folder of the evaluation.
        model_files: weights of the model, or of each member of an ensemble.
        environment: of `scripts.engines.environment`.
    """
    folder, data = output_dir.resolve(), Path(dataset_dir).resolve()
    models = [_seen_from(folder, file.resolve().parent.parent) for file in model_files]
    configuration = folder / models[0] / "configs" / "train.yaml"
    config = read_yaml(configuration) if configuration.is_file() else {}
    served = (folder / "server_cases.json").is_file()
    nothing = {"reason": "the cases came from an annotation server; they are listed in server_cases.json"}
    unknown = {"reason": "the cases or the model's configuration are not at hand"}
    document = data if data.suffix == ".json" else data / "dataset.json"
    content = {
        "split": split,
        "dataset_dir": str(data),
        "dataset_sha256": content_hash(document) if document.is_file() else None,
        "data": nothing if served else summarise_dataset(data, phases),
        "regions": region_facts(data, config) if config and not served else unknown,
        **_scales(config.get("intensity"), data, phases),
        **environment,
    }
    record = {"models": models, **without_person(content)}
    write_text(output_dir / RECORD, json.dumps(record, indent=2) + "\n")


def _seen_from(folder: Path, model: Path) -> str:
    """Return the model's folder relative to the evaluation's where it holds it, so that both can be moved."""
    if folder == model or model in folder.parents:
        return Path(os.path.relpath(model, folder)).as_posix()
    home = Path(os.path.expanduser("~"))
    return f"~/{model.relative_to(home)}" if model.is_relative_to(home) else str(model)


def _scales(rule: Any, dataset_dir: Path, phases: Sequence[str]) -> dict[str, Any]:
    """Compare the intensities of phases that an intensity rule scales together; nothing for another rule."""
    if len(phases) < 2 or not isinstance(rule, dict) or rule.get("joint") is not True:
        return {}
    try:
        items = read_items(open_document(dataset_dir), phases)
        return {"phase_scales": [asdict(pair) for pair in phase_scales(items, phases)]}
    except (OSError, ValueError):
        return {}  # `data` says why
