# SPDX-License-Identifier: Apache-2.0
"""The prediction of a trained model for one case, with the contribution of each phase."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import list_data_collate
from monai.transforms import Compose, DeleteItemsd
from scripts.cases.positive import positive_index
from scripts.engines.environment import environment
from scripts.engines.network import load_trained
from scripts.engines.outlines import outline_path
from scripts.engines.removal import images_without
from scripts.files.atomic import write_text
from scripts.metrics.prediction_sets import evidence_of
from scripts.networks.table_encoder import table_encoders
from scripts.volumes.fingerprint import content_hash
from scripts.volumes.label_map import sample_labels
from scripts.volumes.original_grid import save_nifti
from torch import nn
from workbench.explain.contributions import phase_contributions, reads_table

USE = "Research. Not for clinical use."
TABLE = "clinical table"
Prediction = dict[str, Any]


@torch.no_grad()
def predict_case(
    network: nn.Module,
    model_file: str | Path,
    item: Mapping[str, Any],
    ready: Mapping[Any, Any],
    preprocessing: Compose,
    prepare_batch: Callable[..., Any],
    inferer: Callable[..., Any],
    phases: Sequence[str],
    classes: Sequence[str],
    metadata: Mapping[str, Any],
    positive: str | None = None,
) -> Prediction:
    """Predict one case as `inferring` does, and divide the prediction among its phases.

    Args:
        network: as configured, on its device.
        model_file: trained weights.
        item: the case, as `read_unlabelled` returns it.
        ready: the same, preprocessed.
        preprocessing, prepare_batch, inferer: as for inference.
        phases: names of the phases.
        classes: names of the classes.
        metadata: of the model, for its name and version.
        positive: with two classes, the name of the positive one; None is the last.

    Returns:
        case; class, the most probable one; probabilities by class, calibrated on the validation split;
        with two classes `positive_class`, and `positive`: whether its probability reaches the `threshold`
        fixed there; with evidence beside the weights `prediction_sets` at 80, 90 and 95%; the `prior` (class
        frequencies in training); `start`, the network's own answer without any phase or table, and the
        `contributions` in probability by phase and class, which sum to
        `explained_probabilities` minus it (the probabilities without the averages of test-time augmentation);
        phases that are `missing`; `clinical` values, and the columns that the model reads but that have no
        value (`clinical_missing`) or one so far from those of training that it is cut off
        (`clinical_cut_off`); the model, the versions of the software and the date.

    Raises:
        ValueError: an image that cannot be read, or weights of another configuration.
    """
    load_trained(network, model_file)
    network.eval()
    device = next(network.buffers()).device
    batch = list_data_collate([{key: ready[key] for key in ("image", "present", "clinical") if key in ready}])
    image, _, _, optional = prepare_batch(batch, device)
    probability = inferer(image, network, **optional).double().softmax(dim=1)[0].cpu()
    table = optional.get("clinical")
    calibration = network.get_submodule("calibration")
    part = phase_contributions(
        network,
        image[0],
        optional["present"][0],
        None if table is None else table[0],
        without=images_without(dict(item), preprocessing),
    )
    players = [*phases, TABLE] if reads_table(network) else list(phases)
    binary: dict[str, Any] = {}
    if len(classes) == 2:
        threshold, k = float(calibration.get_buffer("threshold")), positive_index(classes, positive)
        binary = {"positive_class": classes[k], "threshold": threshold}
        binary["positive"] = bool(probability[k] >= threshold)
    evidence = evidence_of(model_file)
    sets = {} if evidence is None else {"prediction_sets": evidence.described(probability[None].numpy(), classes)}
    made = environment(device)
    encoders = [] if table is None else table_encoders(network)
    return {
        "case": item["case"],
        "class": classes[int(probability.argmax())],
        "probabilities": by_name(classes, probability),
        **binary,
        **sets,
        "prior": by_name(classes, calibration.get_buffer("prior")),
        "start": by_name(classes, part.start),
        "contributions": {
            player: by_name(classes, values)
            for player, values, there in zip(players, part.values, part.present, strict=True)
            if there
        },
        "explained_probabilities": by_name(classes, part.prediction),
        "missing": [phase for phase in phases if phase not in item["image"]],
        "clinical": dict(item["clinical"]),
        "clinical_missing": [name for name in table_columns(network) if name not in item["clinical"]],
        "clinical_cut_off": [name for part in encoders for name in part.cut_off_columns(table[0])],
        "model": {
            "name": metadata["name"],
            "version": metadata["version"],
            "weights_sha256": content_hash(model_file),
            "temperature": float(calibration.get_buffer("temperature")),
        },
        "versions": made["versions"],
        "git": made["git"],
        "date": made["date"],
        "intended_use": USE,
    }


def write_prediction(
    network: nn.Module,
    model_file: str | Path,
    bundle_root: str | Path,
    items: Sequence[Mapping[str, Any]],
    point: str,
    preprocessing: Compose,
    prepare_batch: Callable[..., Any],
    inferer: Callable[..., Any],
    phases: Sequence[str],
    classes: Sequence[str],
    output_file: str | Path,
    positive: str | None = None,
) -> None:
    """Predict the one case of `items` (see `predict_case`) and write it as JSON.

    Where a second network outlined what the first one looked at, the JSON says in which phase, and in which file
    beside it (``outlines/<case>.nii.gz``; null where nothing was outlined).

    Args:
        bundle_root: folder of the model, whose configs/metadata.json has its name and version.
        point: "x y z" or "x y z side" in mm along R, A and S, where to look; "": the case's own region.
        output_file: receives the prediction.
        positive: with two classes, the name of the positive one; None is the last.
    """
    metadata = json.loads((Path(bundle_root) / "configs" / "metadata.json").read_text(encoding="utf-8"))
    (item,) = items
    asked = dict(item) | ({"point": point} if point else {})
    kept = [step for step in preprocessing.flatten().transforms if not isinstance(step, DeleteItemsd)]
    ready: Any = Compose(kept)(dict(asked))
    found = predict_case(
        network, model_file, asked, ready, preprocessing, prepare_batch, inferer, phases, classes, metadata, positive
    )
    if ready.get("outline") is not None:
        found["outline"] = write_outline(ready, Path(output_file).parent)
    write_text(output_file, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def write_outline(ready: Mapping[Any, Any], folder: Path) -> dict[str, str | None]:
    """Write what a network outlined on the voxels of the reference phase; return this phase and the file's name."""
    outline, phase = ready["outline"], ready["reference"]
    labels, volume = outline.read().astype(np.uint8), ready["volumes"][phase]
    if not labels.any():
        return {"phase": phase, "file": None}
    file = outline_path(folder, str(ready["case"]))
    file.parent.mkdir(parents=True, exist_ok=True)
    shown = sample_labels(labels, outline.affine, volume.affine, volume.shape, int(labels.max()))[0]
    save_nifti(file, shown, volume.affine)
    return {"phase": phase, "file": str(file.relative_to(folder))}


def table_columns(network: nn.Module) -> list[str]:
    """Return the names of the clinical columns that a network reads."""
    names = [str(column["name"]) for encoder in table_encoders(network) for column in encoder.columns]
    return list(dict.fromkeys(names))


def by_name(classes: Sequence[str], values: torch.Tensor) -> dict[str, float]:
    """Return one number per class."""
    return {name: float(value) for name, value in zip(classes, values, strict=True)}
