# SPDX-License-Identifier: Apache-2.0
"""A network that outlines, as MONAI Label serves it: no point, no mask, and its answer is a label map."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

OUTLINE_NAME = "multiphase_fusion_outline"
"""Name of the directory, without "classification": MONAI Label derives the task from it."""


def is_outlining(inference: Mapping[str, Any]) -> bool:
    """Return whether a results folder is one of `run segmenting`, by its inference configuration."""
    return "num_structures" in inference


def outline_configuration(inference: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inference configuration with a label map on the voxels of the requested file as its answer.

    Args:
        inference: content of the ``inference.json`` of `run segmenting`.
    """
    config = copy.deepcopy(dict(inference))
    chain = config["preprocessing"]["transforms"]
    config["preprocessing"]["transforms"] = [  # the label map needs what the last step would not keep
        step for step in chain if isinstance(step, str) or step["_target_"] != "SelectItemsd"
    ]
    paint = {"_target_": "scripts.transforms.PaintOutlined", "keys": "pred", "structures": "@structure_names"}
    paint |= {"phases": "@channels", "masks": "@mask_kind"}
    config["postprocessing"] = {"_target_": "Compose", "transforms": [paint]}
    config["displayable_configs"] = {}
    return config


def label_map_metadata(metadata: Mapping[str, Any], names: list[str], shown: str) -> dict[str, Any]:
    """Return the metadata of a model with the names of the label map that it answers with.

    Args:
        metadata: of the results folder.
        names: of the values 1, 2, ...
        shown: what the values are, for the description.
    """
    meta = copy.deepcopy(dict(metadata))
    meta["network_data_format"]["outputs"]["pred"] |= {
        "type": "image",
        "format": "segmentation",
        "num_channels": 1,
        "value_range": [0, len(names)],
        "channel_def": {str(value): name for value, name in enumerate(["background", *names])},
    }
    meta["description"] = f"{meta['description']}; {shown}"
    return meta
