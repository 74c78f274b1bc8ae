"""A second bundle beside the classifier, which viewers take for a segmentation: it paints the grade.

3D Slicer and OHIF list no classification models. The same network under another name, whose answer is a mask
of the region valued (index of the class) + 1, is shown by both.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any

JUDGE = {
    "_target_": "scripts.transforms.JudgePositived",
    "keys": "pred",
    "classes": "@classes",
    "positive": "@positive",
    "model_file": "@model_file",
}
"""Step that says whether the case is called positive, behind the softmax."""
GRADE_NAME = "multiphase_fusion_grade"
"""Name of the directory; MONAI Label takes the task from it, and it must not say classification."""


def grade_configuration(inference: dict[str, Any]) -> dict[str, Any]:
    """Return the classifier's inference configuration with a mask as its answer.

    Args:
        inference: content of the classifier's ``inference.json``.
    """
    config = copy.deepcopy(inference) | {"positive": inference.get("positive")}
    chain = config["preprocessing"]["transforms"]
    config["preprocessing"]["transforms"] = [  # the mask needs the files that the last step would drop
        step for step in chain if isinstance(step, str) or step["_target_"] != "DeleteItemsd"
    ]
    config["postprocessing"]["transforms"] = [
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        JUDGE,
        {"_target_": "scripts.transforms.PaintPredictiond", "keys": "pred", "classes": "@classes"}
        | {"columns": "@columns", "options": "@displayable_configs"},
    ]
    return config


def judging_configuration(inference: dict[str, Any]) -> dict[str, Any]:
    """Return the classifier's inference configuration with an answer that names the positive class."""
    config = copy.deepcopy(inference) | {"positive": inference.get("positive")}
    chain = config["postprocessing"]["transforms"]
    config["postprocessing"]["transforms"] = [chain[0], JUDGE, *chain[1:]]
    return config


def grade_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the classifier's metadata with the labels of the mask: 0 background, then the classes."""
    meta = copy.deepcopy(metadata)
    pred = meta["network_data_format"]["outputs"]["pred"]
    classes = [pred["channel_def"][str(index)] for index in range(pred["num_channels"])]
    pred |= {
        "type": "image",
        "format": "segmentation",
        "num_channels": 1,
        "value_range": [0, len(classes)],
        "channel_def": {str(index): name for index, name in enumerate(["background", *classes])},
    }
    meta["description"] = f"{meta['description']}; shown as a region labelled with the class"
    return meta


def write_grade_bundle(classifier: Path, folder: Path) -> None:
    """Write the segmentation-kind bundle beside the classifier; it reads the classifier's own weights.

    Args:
        classifier: folder of a bundle with JSON twins.
        folder: to write; what is there is replaced. It has no training of its own.
    """
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "configs").mkdir(parents=True)
    for name, change in (("inference", grade_configuration), ("metadata", grade_metadata)):
        content = json.loads((classifier / "configs" / f"{name}.json").read_text(encoding="utf-8"))
        file = folder / "configs" / f"{name}.json"
        file.write_text(json.dumps(change(content), indent=4) + "\n", encoding="utf-8")
    shutil.copytree(classifier / "scripts", folder / "scripts")
    relative = os.path.relpath(classifier / "models", folder)
    (folder / "models").symlink_to(relative, target_is_directory=True)  # labels given to one teach both
