# SPDX-License-Identifier: Apache-2.0
"""The model card of a results folder, from the records of the training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from scripts.cases.positive import config_positive
from scripts.engines.running import network_parts
from scripts.figures.outline_tables import outline_table
from scripts.files.yaml_files import read_yaml
from scripts.metrics.registry import HEADINGS
from workbench.package.contents import FIGURES

TEMPLATE = Path(__file__).with_suffix(".md")
# The hyper-parameters shown in the card, with their descriptions.
TRAINING = {
    "max_epochs": "epochs",
    "batch_size": "cases per step",
    "learning_rate": "peak learning rate",
    "weight_decay": "weight decay",
    "dropout": "dropout before the last layer",
    "phase_dropout": "probability that a phase of a training case is hidden",
    "clinical_dropout": "probability that the clinical table of a training case, or a value, is hidden",
    "seed": "seed",
}


def model_card(root: Path) -> str:
    """Describe a model from its metadata, configuration, metrics and figures; nothing is guessed.

    Args:
        root: the results folder; without ``metrics.json`` the card says that nothing was measured. Figures are
            linked in ``docs/figures``, where `copy_contents` puts them.

    Returns:
        Markdown with the sections of the zoo's template.
    """
    meta = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    config = read_yaml(root / "configs" / "train.yaml")
    columns = [column if isinstance(column, str) else column["name"] for column in config["clinical"]]
    used = network_parts(config, ("encoder", "plane_encoder", "fusion", "conditioning"))
    parts = [f"{key.replace('_', ' ')} `{_name(config[key])}`" for key in used]
    parts = [f"`{_name(config['network_def'])}`", *parts]
    if config.get("views"):
        parts.append(f"views {', '.join(config['views'])}")
    start = config.get("start_weights")
    shown = [name for name in FIGURES if (root / name).is_file()]
    fields = {
        **{key: meta[key] for key in ("name", "description", "intended_use", "version", "data_source")},
        **{key: meta[key] for key in ("monai_version", "pytorch_version")},
        "authors": meta["authors"] or "not named in `configs/metadata.json`",
        "copyright": meta["copyright"] or "Copyright: not stated in `configs/metadata.json`.",
        "parts": ", ".join(parts),
        "phases": ", ".join(config["phases"]),
        "num_phases": meta["network_data_format"]["inputs"]["image"]["num_channels"],
        **(_outlines(config, meta) if "segmenting" in config else _classes(config)),
        "clinical": ", ".join(columns) or "none",
        "shape": ", ".join(map(str, config["grid_size"])),
        **{key: config[key] for key in ("orientation", "reference_phase")},
        **{key: _component(config[key]) for key in ("region", "intensity", "image_filter")},
        "training": "\n".join(f"- {words}: {config[key]}" for key, words in TRAINING.items()),
        "start": f"other weights (`{PureWindowsPath(start).name}`)" if start else "random weights",
        "performance": _performance(root / "metrics.json", config.get("tolerance", 0.0)),
        "figures": "\n\n".join(f"#### {FIGURES[key]}\n\n![{FIGURES[key]}](figures/{key})" for key in shown),
    }
    return TEMPLATE.read_text(encoding="utf-8").format_map(fields)


def _classes(config: dict[str, Any]) -> dict[str, str]:
    """Return what a classifier answers, and the grid that it sees."""
    number, classes = len(config["classes"]), ", ".join(config["classes"])
    positive = f" (positive: {named})" if (named := config_positive(config)) else ""
    return {
        "answers": f"Classes: {classes}{positive}",
        "grid": f"{_product(config['grid_size'])} voxels of {_product(config['spacing'])} mm",
        "output": f"Logits [B, {number}] for {classes}; their softmax is the probability of each class.",
    }


def _outlines(config: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, str]:
    """Return what a network that outlines answers, and the patches that it sees."""
    channels = meta["network_data_format"]["outputs"]["pred"]["channel_def"]
    size, names = _product(config["grid_size"]), ", ".join(channels.values())
    return {
        "answers": f"Structures: {', '.join(config['structures'])}; one outline per {config['masks']}",
        "grid": f"{_product(config['spacing'])} mm, seen in patches of {size} voxels,",
        "output": f"Logits [B, {len(channels)}, D, H, W] for {names}; the largest says which it is.",
    }


def _product(values: Sequence[float]) -> str:
    return " × ".join(map(str, values))


def _performance(metrics: Path, tolerance: float) -> str:
    """Return the table of ``metrics.json`` with what explains it; `tolerance` in mm is that of the surface Dice."""
    if not metrics.is_file():
        return "Not measured: the training left no metrics.json."
    found = json.loads(metrics.read_text(encoding="utf-8"))
    if "outlines" in found:
        return outline_table(found["outlines"], tolerance, f"Split `{found['name']}`").markdown().partition("\n\n")[2]
    rows = [
        [str(row["class"]), *(_figure(row, metric) for metric in HEADINGS)]
        for row in [*found["per_class"], found["macro"]]
    ]
    table = [["class", *HEADINGS.values()], ["---"] * (len(HEADINGS) + 1), *rows]
    return (
        f"Split `{found['name']}`: {found['n']} cases, seed {found['seed']}. Each class against the rest; "
        "macro is the mean over the classes, and its accuracy the share of all cases predicted right. "
        "[ ]: 95% interval over patients.\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in table)
    )


def _figure(row: Mapping[str, Any], metric: str) -> str:
    """Return one metric as text, with its interval if it has one."""
    if row[metric] is None:
        return "–"
    interval = row.get(f"{metric}_interval")
    return f"{row[metric]:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _name(component: Mapping[str, Any]) -> str:
    """Return the class of a component, without its package."""
    return str(component["_target_"]).rpartition(".")[2]


def _component(component: Mapping[str, Any]) -> str:
    """Return a component's class with its arguments."""
    arguments = [f"{key} {value}" for key, value in component.items() if key not in ("_target_", "keys")]
    return f"`{_name(component)}`" + (f" ({', '.join(arguments)})" if arguments else "")
