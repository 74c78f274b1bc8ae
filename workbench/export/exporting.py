# SPDX-License-Identifier: Apache-2.0
"""Exports a trained model to other formats, each with a description, checked and timed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from scripts.networks.outline_network import OutlineNetwork
from scripts.transforms.outlined_region import OutlinedRegiond
from scripts.volumes.fingerprint import content_hash
from torch import nn
from workbench.export.formats import FORMATS, example_inputs, largest_difference, latencies, trial_batches

KEYS = ("phases", "reference_phase", "orientation", "spacing", "grid_size", "intensity", "image_filter")
OF_CLASSES = ("classes", "positive", "clinical", "region")
OF_OUTLINES = ("structures", "masks")
VERSIONS = ("name", "version", "monai_version", "pytorch_version")
CASES, PATCHES = 5, 2  # At a time, at most, in the comparison: patches of networks that outline are large


def describe(network: nn.Module, weights: Path, bundle_root: Path) -> dict[str, Any]:
    """Return what a user of the file must know to prepare a case and to interpret the prediction.

    Args:
        network: network with the weights loaded.
        weights: file of the weights.
        bundle_root: folder whose configs/metadata.json describes the model.

    Returns:
        phases, reference_phase, orientation, spacing (mm), grid_size (voxels), intensity and image_filter, as in the
        configuration. Of a network that classifies also classes, positive (of two classes, the one to which the
        threshold applies), clinical and region; temperature, threshold and prior, as in `Calibration` (the logits
        are already divided by the temperature). Of one that outlines structures and masks. Name and versions, and
        the SHA-256 of the weights.
    """
    metadata = json.loads((bundle_root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    model, outlines = metadata["model_configuration"], isinstance(network, OutlineNetwork)
    classes = list(model["classes"])
    if len(classes) == 2:
        model["positive"] = classes[positive_index(classes, model.get("positive"))]
    numbers = () if outlines else ("temperature", "threshold", "prior")
    return {
        **{key: model[key] for key in (*KEYS, *(OF_OUTLINES if outlines else OF_CLASSES)) if key in model},
        **{key: metadata[key] for key in VERSIONS if key in metadata},
        **{name: network.get_buffer(f"calibration.{name}").tolist() for name in numbers},
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
    region: Any = None,
) -> None:
    """Export a trained model to other formats, compare the logits of each with the network's, and time them.

    It writes `model.ts` and `model.onnx` beside the weights, and exports.csv into the folder of the model, with
    the size of each file, its largest difference from the network, and its time for one case (of a network that
    outlines, for one patch) on the CPU. Of a classifier whose region a second network outlines also
    `outline.ts` and `outline.onnx`.

    Args:
        network: the network, into which the weights of `model_file` are loaded.
        model_file: trained weights; the exported files get the same name with another ending.
        bundle_root: folder of the model, whose configs/metadata.json describes it.
        phases: phase names.
        columns: declarations of the clinical table; []: no table.
        grid_size: voxels.
        formats: names of `FORMATS`.
        rounds: how often one case is timed with each runtime; 0: not at all.
        region: rule of the region; of an `OutlinedRegiond` the network is exported, too.

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
    read = [] if isinstance(network, OutlineNetwork) else list(columns)
    description = describe(network, weights, root) | {"clinical": read}
    shape = len(phases), grid_size, len(read)
    rows = _exported(network, weights, description, shape, formats, rounds)
    if isinstance(region, OutlinedRegiond) and region.network is not None:
        file = weights.with_name("outline.pt")
        inferer: Any = region.inferer
        patch = inferer.size
        settings = {"clinical": [], "grid_size": patch, "spacing": region.grid.spacing.tolist()}
        description = describe(region.network, file, root) | settings
        rows += _exported(region.network, file, description, (len(phases), patch, 0), formats, rounds)
    write_table(root / "exports.csv", HEADER, rows)


def _exported(
    network: nn.Module,
    weights: Path,
    description: Mapping[str, Any],
    shape: tuple[int, Sequence[int], int],
    formats: Sequence[str],
    rounds: int,
) -> list[list[Any]]:
    """Write one network, of so many phases, voxels and columns, in each format; return the rows of the table."""
    network = network.cpu().eval()
    trials = trial_batches(*shape, most=PATCHES if isinstance(network, OutlineNetwork) else CASES)
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
    return rows
