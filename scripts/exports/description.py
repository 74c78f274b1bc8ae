"""What an exported file says about itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from scripts.data.fingerprint import content_hash
from scripts.evaluation.positive import positive_index

KEYS = (
    "phases", "reference_phase", "classes", "positive", "clinical", "orientation", "spacing", "grid_size",
    "region", "intensity", "image_filter",
)  # fmt: skip
VERSIONS = ("name", "version", "monai_version", "pytorch_version")


def describe(network: nn.Module, weights: Path, bundle_root: Path) -> dict[str, Any]:
    """Return what a user of the file must know to prepare a case and to read the answer.

    Args:
        network: with the weights loaded.
        weights: their file.
        bundle_root: folder whose configs/metadata.json describes the model.

    Returns:
        phases, reference_phase, classes, positive (of two classes, that of the threshold), clinical,
        orientation, spacing (mm), grid_size (voxels), region, intensity and image_filter, as in the
        configuration; temperature, threshold and prior, as in `Calibration` (the logits are divided by the
        temperature already); name and versions; and the SHA-256 of the weights.
    """
    metadata = json.loads((bundle_root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    model = metadata["model_configuration"]
    classes = list(model["classes"])
    if len(classes) == 2:
        model["positive"] = classes[positive_index(classes, model.get("positive"))]
    return {
        **{key: model[key] for key in KEYS if key in model},
        **{key: metadata[key] for key in VERSIONS if key in metadata},
        **{
            name: network.get_buffer(f"calibration.{name}").tolist()
            for name in ("temperature", "threshold", "prior")
        },
        "weights": content_hash(weights),
    }
