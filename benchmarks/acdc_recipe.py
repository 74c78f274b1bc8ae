# SPDX-License-Identifier: Apache-2.0
"""What was tried on ACDC before the comparison, on validation cases alone.

    python -m benchmarks.acdc_recipe --dataset data/acdc --output docs/figures/acdc_recipe.csv

Each variant trains `concat` on five folds of another seed than those of the comparison. A fold's test part is
never read: 64 cases fit the weights, 16 are predicted with the weights of the last epoch. One row per variant
is kept in the CSV; a variant that has one is not run again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader, Dataset, list_data_collate
from monai.transforms import Compose
from scripts.cases.read import read_cases
from scripts.engines.environment import describe_machine
from scripts.engines.inferer import PhaseInferer
from scripts.engines.schedule import warmup_cosine
from scripts.figures.table import markdown_lines
from scripts.losses.classification import ClassificationLoss
from scripts.metrics.rows import classification_table, confidence_intervals
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion.tokens import Concat
from scripts.networks.phase_fusion import PhaseFusionNetwork
from scripts.transforms.augment import AugmentBatch, RandomIntensity
from scripts.transforms.geometry import RandomGeometry
from scripts.transforms.intensity import PercentileIntensityd
from scripts.transforms.mask_region import ContourRegiond
from scripts.transforms.phases import LoadImagePhasesd, StackPhasesd
from scripts.transforms.region import BoxRegiond
from scripts.transforms.resample import ResamplePhasesd
from torch import Tensor
from workbench.compare.folds import make_folds

from benchmarks.marked import keep_part, short
from benchmarks.seeds import append_row, read_rows

PHASES, CLASSES = ["ed", "es"], ["NOR", "DCM", "HCM", "MINF", "RV"]
SPLIT_SEED, BATCH = 100, 8


@dataclass(frozen=True)
class Variant:
    """What differs between the variants.

    Attributes:
        contour: keep the heart alone, by the expert's contour with 3 mm around it; else a box of 160 mm.
        pixel: in-plane spacing, mm.
        grid: voxels, slices first.
        scale: largest relative change of size of the augmentation.
        flip: probability of a flip along each axis.
        epochs: passes through the training cases.
    """

    contour: bool
    pixel: float
    grid: tuple[int, int, int]
    scale: float
    flip: float
    epochs: int


VARIANTS = {
    "box": Variant(False, 2.0, (12, 80, 80), 0.1, 0.5, 60),
    "contour": Variant(True, 3.0, (12, 48, 44), 0.1, 0.5, 60),
    "contour, one size": Variant(True, 3.0, (12, 48, 44), 0.0, 0.5, 60),
    "contour, one size, 100 epochs": Variant(True, 3.0, (12, 48, 44), 0.0, 0.5, 100),
    "contour, one size, 4 mm": Variant(True, 4.0, (12, 36, 34), 0.0, 0.5, 100),
    "contour, one size, no flips": Variant(True, 3.0, (12, 48, 44), 0.0, 0.0, 60),
}


def images(variant: Variant, items: Sequence[dict[str, Any]]) -> Tensor:
    """Return the prepared cases, [N, 2, D, H, W]."""
    region: BoxRegiond | ContourRegiond = BoxRegiond(keys="image", margin=0.0)
    if variant.contour:
        region = ContourRegiond(keys="image", margin=3.0, measured_from="grid")
    spacing = [10.0, variant.pixel, variant.pixel]
    steps = Compose(
        [
            LoadImagePhasesd(keys="image", phases=PHASES, reference="ed"),
            region,
            ResamplePhasesd(keys="image", spacing=spacing, size=variant.grid, orientation="SRA"),
            PercentileIntensityd(keys="image", lower=1.0, upper=99.0, joint=True, statistics="region"),
            StackPhasesd(keys="image", phases=PHASES),
        ]
    )
    return torch.stack([torch.as_tensor(steps(dict(item))["image"]).float() for item in items])


def fit(variant: Variant, image: Tensor, label: Tensor, seed: int) -> PhaseFusionNetwork:
    """Train as the bundle does, on one thread."""
    torch.manual_seed(seed)
    network = PhaseFusionNetwork(ResidualEncoder, Concat, num_phases=2, num_classes=5, dropout=0.2).train()
    spacing = (10.0, variant.pixel, variant.pixel)
    augment = AugmentBatch(
        [
            RandomGeometry((variant.flip,) * 3, 15.0, variant.scale, 2.0, spacing=spacing),
            RandomIntensity(scale=0.05, shift=0.05, noise=0.05),
        ]
    )
    pairs = Dataset(list(zip(image, label, strict=True)))
    loader = DataLoader(pairs, batch_size=BATCH, shuffle=True, drop_last=True, collate_fn=list_data_collate)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003, weight_decay=0.01)
    schedule = warmup_cosine(optimizer, loader, variant.epochs, 3)
    infer, loss = PhaseInferer("auto"), ClassificationLoss()
    for _ in range(variant.epochs):
        for batch, target in loader:
            present = torch.ones(len(batch), 2, dtype=torch.bool)
            outputs = infer(augment(batch, present), network, present=present)
            optimizer.zero_grad()
            loss(outputs, target).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def measure(name: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of a variant: AUC and accuracy of the validation cases of five folds together."""
    start, variant = time.perf_counter(), VARIANTS[name]
    label = torch.tensor([item["label"] for item in items])
    patients = [item["patient"] for item in items]
    image = images(variant, items)
    parts = make_folds([CLASSES[k] for k in label], patients, 5, 1, 0.2, SPLIT_SEED)
    probabilities, truth, whose = [], [], []
    for seed, part in enumerate(parts):
        network = fit(variant, image[part.training], label[part.training], seed)
        with torch.inference_mode():
            probabilities.append(network(image[part.validation]).softmax(dim=1))
        truth += label[part.validation].tolist()
        whose += [patients[index] for index in part.validation]
    data = torch.cat(probabilities).numpy(), truth
    macro, interval = classification_table(*data, CLASSES)[-1], confidence_intervals(*data, whose)[-1]
    machine = describe_machine()
    return {
        "variant": name,
        "n": len(truth),
        **{key: macro[key] for key in ("auc", "accuracy")},
        **{f"{key}_{side}": getattr(interval[key], side) for key in ("auc", "accuracy") for side in ("lower", "upper")},
        "seconds": round(time.perf_counter() - start),
        "threads": machine["threads"],
        "processor": machine["machine"]["processor"],
        "torch": machine["versions"]["torch"],
    }


def render(rows: Sequence[dict[str, str]]) -> str:
    """Return the table of all variants."""

    def interval(row: dict[str, str], key: str) -> str:
        value, lower, upper = (short(float(row[f"{key}{end}"])) for end in ("", "_lower", "_upper"))
        return f"{value} [{lower}, {upper}]"

    header = ["region, augmentation and grid", "accuracy [95%]", "AUC [95%]"]
    lines = markdown_lines(header, ([row["variant"], interval(row, "accuracy"), interval(row, "auc")] for row in rows))
    first = rows[0]
    machine = f"{first['threads']} thread on {first['processor']}, torch {first['torch']}"
    about = f"n = {first['n']} validation cases, {machine}."
    return "\n".join([*lines, "", about]) + "\n"


def run(dataset: Path, output: Path) -> None:
    """Measure every variant that is not in the table yet."""
    torch.set_num_threads(1)
    cases = read_cases(dataset, PHASES, CLASSES)
    items = [*cases.training, *cases.validation, *cases.test]
    done = {row["variant"] for row in read_rows(output)}
    for name in VARIANTS:
        if name not in done:
            row = measure(name, items)
            append_row(output, row, list(row))
            print(f"{name}: accuracy {row['accuracy']:.3f}, AUC {row['auc']:.3f}, {row['seconds']} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=Path("data/acdc"), help="folder with dataset.json")
    parser.add_argument("--output", type=Path, default=Path("docs/figures/acdc_recipe.csv"))
    parser.add_argument("--document", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    if not given.check:
        run(given.dataset, given.output)
    rows = read_rows(given.output)
    keep_part(given.document, "recipe", render(rows), given.check, "python -m benchmarks.acdc_recipe")


if __name__ == "__main__":
    main()
