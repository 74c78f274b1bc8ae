# SPDX-License-Identifier: Apache-2.0
"""One case from its files to its probability: the bundle in each runtime, and MONAI's standard evaluator."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import (
    Activationsd,
    Compose,
    ConcatItemsd,
    CropForegroundd,
    EnsureChannelFirstd,
    LoadImaged,
    Orientationd,
    ResampleToMatchd,
    ResizeWithPadOrCropd,
    ScaleIntensityRanged,
    Spacingd,
)
from scripts.cases.read import read_unlabelled
from scripts.engines.network import load_trained
from scripts.files.atomic import write_atomically
from scripts.networks.exported import EXPORTED
from workbench.export.exporting import describe
from workbench.export.formats import FORMATS, example_inputs

from benchmarks.performance.blog import SIDE, BlogNetwork
from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.ours import CONFIGS, DEVICE, PHASES
from benchmarks.performance.peak_memory import peak_memory
from benchmarks.performance.phantom import phantom_folder
from benchmarks.performance.timing import measure, times_faster

ROUNDS = 9
Predict = Callable[[], float]


def complete_case(folder: Path) -> dict[str, Any]:
    """Return the first case of a dataset that has all phases."""
    return next(item for item in read_unlabelled(folder, PHASES) if len(item["image"]) == len(PHASES))


def configured() -> ConfigParser:
    """Read `configs/inference.yaml`, for the shipped model."""
    parser = ConfigParser()
    parser.read_config(CONFIGS / "inference.yaml")
    parser.update({"bundle_root": str(CONFIGS.parent), "columns": []})
    return parser


def ours(folder: Path, runtime: str, model_file: str) -> Predict:
    """Return a function that predicts one case as `configs/inference.yaml` does.

    Args:
        folder: the dataset.
        runtime: pytorch, torchscript or onnx.
        model_file: weights, or exported file.
    """
    parser = configured()
    parser.update({"runtime": runtime, "model_file": model_file})
    prepare, batch = (parser.get_parsed_content(key) for key in ("preprocessing", "prepare_batch"))
    network, infer = (parser.get_parsed_content(key) for key in ("network", "inferer"))
    load_trained(network, model_file)
    network.eval()
    item = complete_case(folder)

    @torch.inference_mode()
    def predict() -> float:
        case = prepare(dict(item))
        image, _, _, optional = batch({key: case[key][None] for key in ("image", "present")}, DEVICE)
        return float(infer(image, network, **optional).softmax(dim=1)[0, 1])

    return predict


def theirs(folder: Path) -> Predict:
    """Return a function that predicts one case by MONAI's dictionary chain and evaluator, with the blog's network."""
    keys = [*PHASES, "roi"]
    chain = Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            Orientationd(keys, axcodes="RAS", labels=None),
            Spacingd("portal", pixdim=(2.0, 2.0, 2.0), mode="bilinear"),
            ResampleToMatchd([key for key in keys if key != "portal"], key_dst="portal", mode="bilinear"),
            CropForegroundd(keys, source_key="roi", margin=5),
            ResizeWithPadOrCropd(PHASES, (SIDE, SIDE, SIDE)),
            ScaleIntensityRanged(PHASES, -50.0, 250.0, 0.0, 1.0, clip=True),
            ConcatItemsd(PHASES, name="image"),
        ]
    )
    case = complete_case(folder)
    item = {**case["image"], "roi": case["roi"], "label": 0}
    evaluator = SupervisedEvaluator(
        device=torch.device(DEVICE),
        val_data_loader=DataLoader(Dataset([item], chain), batch_size=1),
        network=BlogNetwork().to(DEVICE),
        postprocessing=Activationsd("pred", softmax=True),
    )

    def predict() -> float:
        evaluator.run()
        return float(evaluator.state.output[0]["pred"][1])

    return predict


def exported_model(work: Path, name: str) -> str:
    """Return the file of the shipped model in another format, written on first use."""
    weights = CONFIGS.parent / "models" / "model.pt"
    file = work / f"model{EXPORTED[name].suffix}"
    if not file.is_file():
        parser = configured()
        network = parser.get_parsed_content("network_def")
        load_trained(network, weights)
        inputs = example_inputs(2, len(PHASES), parser["grid_size"], 0)
        write_atomically(
            file, partial(FORMATS[name], network.eval(), inputs, describe(network, weights, CONFIGS.parent))
        )
    return str(file)


def once(make: Callable[..., Predict], *arguments: Any) -> float:
    """Set up and predict, as a process that answers one case does."""
    return make(*arguments)()


def measure_inference(repeat: int, work: Path) -> Figures:
    """Return the times of one case from files to probability, and the memory that each side needs."""
    folder = phantom_folder(work)
    files = {"pytorch": str(CONFIGS.parent / "models" / "model.pt")}
    files["torchscript"] = exported_model(work, "torchscript")
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
        files["onnx"] = exported_model(work, "onnx")
    contenders = {"monai": theirs(folder)}
    contenders |= {runtime: ours(folder, runtime, file) for runtime, file in files.items()}
    times = measure(contenders, ROUNDS, steps=1)
    figures = {f"{name}_ms": median(found) for name, found in times.items()}
    figures |= {name: times_faster(times["monai"], times[name]) for name in files}
    figures["monai_mb"], _ = peak_memory(once, theirs, folder)
    figures["pytorch_mb"], _ = peak_memory(once, ours, folder, "pytorch", files["pytorch"])
    return figures


INFERENCE = Item(
    "inference",
    (
        Figure("pytorch", "PyTorch, against MONAI's evaluator", least=3.0),
        Figure("torchscript", "TorchScript, against MONAI's evaluator", least=3.0),
        Figure("onnx", "ONNX, against MONAI's evaluator", least=3.0),
        Figure("monai_ms", "MONAI's evaluator", "ms"),
        Figure("pytorch_ms", "PyTorch", "ms"),
        Figure("torchscript_ms", "TorchScript", "ms"),
        Figure("onnx_ms", "ONNX", "ms"),
        Figure("monai_mb", "memory, MONAI's evaluator", "MB", 0),
        Figure("pytorch_mb", "memory, PyTorch", "MB", 0),
    ),
    measure_inference,
)
