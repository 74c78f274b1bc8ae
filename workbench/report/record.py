"""evaluation.json: what a report needs beyond metrics.json, such as cut regions and the scales of phases."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.cases.cut_regions import CutRegions, cut_of
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
        dataset_dir: folder of dataset.json.
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
        grid = ResamplePhasesd(
            spacing=config["spacing"], size=config["grid_size"], orientation=config["orientation"]
        )
        phases = list(config["phases"])
        load = LoadImagePhasesd(phases=phases, reference=config["reference_phase"])
        document = open_document(dataset_dir)
        items = read_items(document, phases)
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
        dataset_dir: folder of the dataset that was read.
        split: the split that was evaluated.
        phases: phases of the model.
        environment: of `scripts.engines.environment`.
    """
    folder, data = output_dir.resolve(), Path(dataset_dir).resolve()
    models = [_seen_from(folder, file.resolve().parent.parent) for file in model_files]
    content = {
        "split": split,
        "dataset_dir": str(data),
        "dataset_sha256": _sha256(data),
        "data": _data(folder, data, phases),
        "regions": _regions(folder, data, folder / models[0]),
        **_scales(folder / models[0], data, phases),
        **environment,
    }
    record = {"models": models, **without_person(content)}
    write_text(output_dir / RECORD, json.dumps(record, indent=2) + "\n")


def _seen_from(folder: Path, model: Path) -> str:
    """Return the model's folder relative to the evaluation's where it holds it, so that both can be moved."""
    inside = folder == model or model in folder.parents
    if inside:
        return Path(os.path.relpath(model, folder)).as_posix()
    home = Path(os.path.expanduser("~"))
    return f"~/{model.relative_to(home)}" if model.is_relative_to(home) else str(model)


def _sha256(dataset_dir: Path) -> str | None:
    file = dataset_dir if dataset_dir.suffix == ".json" else dataset_dir / "dataset.json"
    return content_hash(file) if file.is_file() else None


def _data(folder: Path, dataset_dir: Path, phases: Sequence[str]) -> dict[str, Any]:
    if (folder / "server_cases.json").is_file():
        return {"reason": "the cases came from an annotation server; they are listed in server_cases.json"}
    return summarise_dataset(dataset_dir, phases)


def _regions(folder: Path, dataset_dir: Path, model: Path) -> dict[str, Any]:
    file = model / "configs" / "train.yaml"
    if (folder / "server_cases.json").is_file() or not file.is_file():
        return {"reason": "the cases or the model's configuration are not at hand"}
    return region_facts(dataset_dir, read_yaml(file))


def _scales(model: Path, dataset_dir: Path, phases: Sequence[str]) -> dict[str, Any]:
    """Compare the intensities of the phases that a model scales together; nothing for another model."""
    file = model / "configs" / "train.yaml"
    config = read_yaml(file) if file.is_file() else {}
    rule = config.get("intensity")
    if len(phases) < 2 or not isinstance(rule, dict) or rule.get("joint") is not True:
        return {}
    try:
        document = open_document(dataset_dir)
        items = read_items(document, phases)
        return {"phase_scales": [asdict(pair) for pair in phase_scales(items, phases)]}
    except (OSError, ValueError):
        return {}  # `data` says why
