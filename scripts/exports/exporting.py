"""The export from beginning to end: `python -m monai.bundle run exporting`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import nn

from scripts.data.clinical import Column
from scripts.data.nearest import listing
from scripts.engines.network import load_trained
from scripts.evaluation import describe_machine
from scripts.evaluation.atomic import write_atomically, write_table
from scripts.exports.description import describe
from scripts.exports.formats import FORMATS
from scripts.exports.inputs import example_inputs, trial_batches
from scripts.exports.latency import latencies
from scripts.exports.parity import largest_difference
from scripts.networks.exported import EXPORTED, ExportedNetwork

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
    """Write a trained model in other formats, hold each to the network's own logits, and time them.

    Beside the weights, `model.ts` and `model.onnx`; in the folder of the model, exports.csv with the size of
    each, its largest difference from the network, and its time for one case on the CPU.

    Args:
        network: the network; it takes the weights of `model_file`.
        model_file: trained weights; the exported files get its name with another ending.
        bundle_root: folder of the model; its configs/metadata.json says what the model is.
        phases: phase names.
        columns: declarations of the clinical table; [] is none.
        grid_size: voxels.
        formats: of `FORMATS`.
        rounds: times that one case goes through each runtime to be timed; 0: none.

    Raises:
        FileNotFoundError: no trained weights.
        ValueError: an unknown format, a network that a format cannot hold, or an exported file whose logits
            differ from the network's (see `largest_difference`); no such file is left then.
    """
    for name in formats or [""]:
        if name not in FORMATS:
            raise ValueError(f"`formats` must be of {listing(name, FORMATS)}, found {list(formats)}")
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
