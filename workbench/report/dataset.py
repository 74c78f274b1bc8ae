# SPDX-License-Identifier: Apache-2.0
"""Summary of a dataset.json, and evaluation.json, which records what was evaluated with which model."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scripts.cases.checks import CutRegions, cut_of
from scripts.cases.document import Document, Item, open_document, read_items
from scripts.cases.splits import LABELLED, patients_known
from scripts.engines.environment import without_person
from scripts.files.atomic import write_text
from scripts.files.yaml_files import read_yaml
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.resample import ResamplePhasesd
from scripts.volumes.fingerprint import content_hash
from scripts.volumes.grid import open_phase, ras_axes
from workbench.measure.by_class import measures_by_class
from workbench.measure.write import MARK
from workbench.prepare.phase_scale import phase_scales

MOST_HEADERS = 300  # Headers read per phase; if there are more volumes, they are sampled evenly from the list


def volume_grids(items: Sequence[Item], phases: Sequence[str]) -> dict[str, Any]:
    """Read voxel spacing and number of voxels along the axes R, A and S for each phase.

    Returns:
        For each phase `present` (volumes), `n` (headers read), `spacing` in mm and `voxels`, each a list of
        [minimum, median, maximum] per axis; if none can be read, `reason` instead of the last two. If some
        cannot be read, `unreadable` counts them.
    """
    return {phase: _grids_of_phase(items, phase) for phase in phases}


def _grids_of_phase(items: Sequence[Item], phase: str) -> dict[str, Any]:
    present = [item for item in items if phase in item["image"]]
    if not present:
        return {"present": 0, "n": 0, "reason": "no case has this phase"}
    chosen = np.unique(np.linspace(0, len(present) - 1, min(len(present), MOST_HEADERS)).round().astype(int))
    spacings, voxels, errors = [], [], []
    for index in chosen:
        item = present[index]
        try:
            volume = open_phase(item["image"][phase], item["case"], phase)
        except (OSError, ValueError) as error:
            errors.append(" ".join(str(error).split()))
            continue
        axes = ras_axes(volume)
        spacings.append(volume.spacing[axes])
        voxels.append(np.array(volume.shape)[axes])
    found: dict[str, Any] = {"present": len(present), "n": len(spacings)}
    if errors:
        found["unreadable"] = len(errors)
    if not spacings:
        return found | {"reason": errors[0]}
    return found | {"spacing": _ranges(spacings, 3), "voxels": _ranges(voxels, 1)}


def _ranges(values: Sequence[np.ndarray], digits: int) -> list[list[float]]:
    """Return [minimum, median, maximum] of each axis."""
    columns = np.quantile(np.stack(values).astype(float), [0, 0.5, 1], axis=0).T
    return [[round(float(value), digits) for value in axis] for axis in columns]


Summary = dict[str, Any]
"""Result of `summarise_dataset`, or {"reason": why there is none}; it can be written as JSON."""


def summarise_dataset(dataset_dir: str | Path, phases: Sequence[str]) -> Summary:
    """Count the cases of a dataset and read the headers of its volumes; never fails.

    Args:
        phases: the phases in use; only these are counted.

    Returns:
        name, phases and classes that the file declares, `splits` ({split: cases, patients (None: unknown),
        classes {class: cases}, missing {phase: {class: cases without it}}}), `sites` ({site: {class: cases}},
        of labelled cases that name one), `measures` (of `measures_by_class`, if clinical columns are measures) and
        `volumes` (from `volume_grids`); or only `reason`, in one line, if the file is missing or cannot be read.
    """
    try:
        document = open_document(dataset_dir)
        measures = document.content.get(MARK, [])
        columns = [column for column in document.columns if column["name"] in measures]
        items = read_items(document, phases, columns)
    except (OSError, ValueError, TypeError) as error:
        return {"reason": " ".join(str(error).split())}
    classes = _classes(document, items)
    values = [item["clinical"] for item in items]
    return {
        "name": document.name,
        "phases": document.phases,
        "classes": classes,
        "splits": _splits(items, phases, classes),
        "sites": _sites(items),
        "volumes": volume_grids(items, phases),
        **({"measures": measures_by_class(values, [item.get("label") for item in items], columns)} if columns else {}),
    }


def _classes(document: Document, items: Sequence[Item]) -> list[str]:
    """Return the classes that the file declares, else those of its cases."""
    declared = document.content.get("classes")
    if isinstance(declared, list):
        return [str(name) for name in declared]
    return sorted({str(item["label"]) for item in items if "label" in item})


def _splits(items: Sequence[Item], phases: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    found = {}
    known = patients_known(items)
    for split in (*LABELLED, "unlabelled"):
        cases = [item for item in items if item["split"] == split]
        if not cases:
            continue
        labels = Counter(str(item["label"]) for item in cases if "label" in item)
        missing = {
            phase: dict(Counter(str(item.get("label")) for item in cases if phase not in item["image"]))
            for phase in phases
        }
        found[split] = {
            "cases": len(cases),
            "patients": len({item["patient"] for item in cases}) if known else None,
            "classes": {name: labels[name] for name in [*classes, *sorted(set(labels) - set(classes))]},
            "missing": missing,
        }
    return found


def _sites(items: Sequence[Item]) -> dict[str, dict[str, int]]:
    sites: dict[str, Counter[str]] = {}
    for item in items:
        if item["site"] is not None and "label" in item:
            sites.setdefault(item["site"], Counter())[str(item["label"])] += 1
    return {site: dict(sites[site]) for site in sorted(sites)}


KEYS = ("phases", "reference_phase", "region", "spacing", "grid_size", "orientation")


def region_facts(dataset_dir: str | Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Check the region of every case against the grid; never fails.

    Args:
        config: configuration of the model's training.

    Returns:
        cases (number checked), cropped (names of cases whose region is larger than the grid) and left_out
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
        except (OSError, ValueError):  # reported when the case is read for prediction
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
    regions: dict[str, Any] | None = None,
) -> None:
    """Write what a report needs beyond metrics.json, so that it can be made again without the data.

    The file has the keys split, models (results folders, relative if they contain `output_dir`), dataset_dir,
    dataset_sha256, data (from `summarise_dataset`), regions (from `region_facts`), phase_scales if the model
    scales its phases together (from `workbench.prepare.phase_scale`, by pair), and those of the environment. No
    text in it contains home folder, user or host.

    Args:
        output_dir: folder of the evaluation.
        model_files: weights of the model, or of each member of an ensemble.
        environment: record of `scripts.engines.environment`.
        regions: what was found about the regions of the reported cases; None: `region_facts` looks.
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
        "regions": regions or (region_facts(data, config) if config and not served else unknown),
        **_scales(config.get("intensity"), data, phases),
        **environment,
    }
    record = {"models": models, **without_person(content)}
    write_text(output_dir / RECORD, json.dumps(record, indent=2) + "\n")


def _seen_from(folder: Path, model: Path) -> str:
    """Return the model's folder, relative to the evaluation's if it contains that, so that both can be moved."""
    if folder == model or model in folder.parents:
        return Path(os.path.relpath(model, folder)).as_posix()
    home = Path(os.path.expanduser("~"))
    return f"~/{model.relative_to(home)}" if model.is_relative_to(home) else str(model)


def _scales(rule: Any, dataset_dir: Path, phases: Sequence[str]) -> dict[str, Any]:
    """Compare the intensities of phases that are scaled together; {} if the rule scales each phase by itself."""
    if len(phases) < 2 or not isinstance(rule, dict) or rule.get("joint") is not True:
        return {}
    try:
        items = read_items(open_document(dataset_dir), phases)
        return {"phase_scales": [asdict(pair) for pair in phase_scales(items, phases)]}
    except (OSError, ValueError):
        return {}  # `data` holds the reason
