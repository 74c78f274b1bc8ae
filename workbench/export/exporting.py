# SPDX-License-Identifier: Apache-2.0
"""Exports a trained model to other formats, each with a description, checked and timed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scripts.cases.clinical import Column
from scripts.cases.positive import positive_index
from scripts.engines.environment import describe_machine
from scripts.engines.network import load_trained
from scripts.files.atomic import write_atomically, write_table
from scripts.files.plain_text import listing
from scripts.networks.exported import EXPORTED, ExportedNetwork
from scripts.volumes.fingerprint import content_hash
from torch import nn
from workbench.export.formats import FORMATS, example_inputs, largest_difference, latencies, trial_batches

KEYS = (
    "phases", "reference_phase", "classes", "positive", "clinical", "orientation", "spacing", "grid_size",
    "region", "intensity", "image_filter",
)  # fmt: skip
VERSIONS = ("name", "version", "monai_version", "pytorch_version")


def describe(network: nn.Module, weights: Path, bundle_root: Path) -> dict[str, Any]:
    """Return what a user of the file must know to prepare a case and to interpret the prediction.

    Args:
        network: network with the weights loaded.
        weights: file of the weights.
        bundle_root: folder whose configs/metadata.json describes the model.

    Returns:
        phases, reference_phase, classes, positive (of two classes, the one to which the threshold applies),
        clinical, orientation, spacing (mm), grid_size (voxels), region, intensity and image_filter, as in the
        configuration; temperature, threshold and prior, as in `Calibration` (the logits are already divided by
        the temperature); name and versions; and the SHA-256 of the weights.
    """
    metadata = json.loads((bundle_root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    model = metadata["model_configuration"]
    classes = list(model["classes"])
    if len(classes) == 2:
        model["positive"] = classes[positive_index(classes, model.get("positive"))]
    return {
        **{key: model[key] for key in KEYS if key in model},
        **{key: metadata[key] for key in VERSIONS if key in metadata},
        **{name: network.get_buffer(f"calibration.{name}").tolist() for name in ("temperature", "threshold", "prior")},
        "weights": content_hash(weights),
    }


HEADER = (
    "runtime", "file", "megabytes", "largest_difference", "ms_per_case", "ms_fastest", "ms_slowest",
    "rounds", "threads", "processor", "torch",
)  # fmt: skip


def export_model(
    network: nn.Module,
    model_file: str | Path,
    bundle_root: str | Path,
    phases: Sequence[str],
    columns: Sequence[Column],
    grid_size: Sequence[int],
    formats: Sequence[str],
    rounds: int,
) -> None:
    """Export a trained model to other formats, compare the logits of each with the network's, and time them.

    It writes `model.ts` and `model.onnx` beside the weights, and exports.csv into the folder of the model, with
    the size of each file, its largest difference from the network, and its time for one case on the CPU.

    Args:
        network: the network, into which the weights of `model_file` are loaded.
        model_file: trained weights; the exported files get the same name with another ending.
        bundle_root: folder of the model, whose configs/metadata.json describes it.
        phases: phase names.
        columns: declarations of the clinical table; []: no table.
        grid_size: voxels.
        formats: names of `FORMATS`.
        rounds: how often one case is timed with each runtime; 0: not at all.

    Raises:
        FileNotFoundError: no trained weights.
        ValueError: an unknown format, a network that cannot be exported to a format, or an exported file whose
            logits differ from the network's (see `largest_difference`); such a file is not kept.
    """
    for name in formats or [""]:
        if name not in FORMATS:
            raise ValueError(f"`formats` must be among {listing(name, FORMATS)}, found {list(formats)}")
    weights, root = Path(model_file), Path(bundle_root)
    load_trained(network, weights)
    network = network.cpu().eval()
    description = describe(network, weights, root) | {"clinical": list(columns)}
    shape = len(phases), grid_size, len(columns)
    trials = trial_batches(*shape)
    files, networks, differences = {"pytorch": weights}, {"pytorch": network}, {"pytorch": 0.0}
    for name in formats:
        exported = EXPORTED[name]()
        file = weights.with_suffix(exported.suffix)

        def write(path: Path, name: str, exported: ExportedNetwork) -> None:
            FORMATS[name](network, example_inputs(2, *shape), description, path)
            exported.load(path)
            differences[name] = largest_difference(network, exported, trials, name)

        write_atomically(file, partial(write, name=name, exported=exported))
        files[name], networks[name] = file, exported
    times = latencies(networks, example_inputs(1, *shape), rounds)
    machine = describe_machine()
    run = [rounds, machine["threads"], machine["machine"]["processor"], machine["versions"]["torch"]]
    rows = []
    for name, file in files.items():
        size, difference = f"{file.stat().st_size / 1e6:.1f}", f"{differences[name]:.1e}"
        timed = [f"{ms:.2f}" for ms in times[name]] if name in times else ["", "", ""]
        rows.append([name, file.name, size, difference, *timed, *run])
        speed = "{} ms per case ({} to {})".format(*timed) if rounds else "not timed"
        print(f"{name}: {file}, {size} MB, logits to within {difference}, {speed}")
    write_table(root / "exports.csv", HEADER, rows)
