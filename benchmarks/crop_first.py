# SPDX-License-Identifier: Apache-2.0
"""Time to load one case: crop first, compared with loading and resampling whole volumes and cropping last.

    python -m benchmarks.crop_first --output docs/figures/crop_first.json

Both make the same voxels: three phases of 256 x 256 x 64 voxels of 0.8 x 0.8 x 2.5 mm (int16, .nii.gz,
written by this script) on a grid of 64 x 64 x 64 voxels of 1 mm around a box of 60 mm, as z-scores of the
region in one tensor. The other side is MONAI's LoadImaged, EnsureChannelFirstd, Orientationd, Spacingd (in
MONAI's default float64, and in float32), SpatialCropd, NormalizeIntensityd and ConcatItemsd. The largest
difference is measured before the z-scores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scripts.engines.environment import describe_machine

from benchmarks.performance.timing import spread

PHASES = ("pre", "arterial", "portal")
SHAPE = (256, 256, 64)
VOXEL_MM = (0.8, 0.8, 2.5)
Chain = Callable[[dict[str, Any]], dict[str, Any]]
GRID = (64, 64, 64)
BOX = [[-30.0, -32.0, -26.0], [30.0, 28.0, 34.0]]  # mm


def write_case(folder: Path, seed: int = 0) -> dict[str, Any]:
    """Write three phases with CT-like texture (smooth organs, fine grain, air around) and return the item."""
    import nibabel
    from scipy.ndimage import gaussian_filter

    generator = np.random.default_rng(seed)
    affine = np.diag([-VOXEL_MM[0], VOXEL_MM[1], VOXEL_MM[2], 1.0])
    affine[:3, 3] = [103.0, -101.0, -79.0]
    organs = gaussian_filter(generator.normal(size=SHAPE), (12, 12, 4))
    x, y = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE[:2]), indexing="ij")
    body = (x**2 + (y / 0.8) ** 2 < 0.8)[..., None]
    paths = {}
    for phase in PHASES:
        grain = gaussian_filter(generator.normal(size=SHAPE), (0.8, 0.8, 0.3))
        soft_tissue = 50 + 60 * organs / organs.std() + 15 * grain / grain.std()
        voxels = np.where(body, soft_tissue, -1000 + 8 * generator.normal(size=SHAPE)).astype(np.int16)
        paths[phase] = str(folder / f"{phase}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(voxels, affine), paths[phase])
    return {"case": "benchmark", "image": paths, "roi": None, "box": BOX}


def crop_first() -> tuple[Chain, Chain]:
    """Return the bundle's chain up to the common grid, and the steps after it."""
    from monai.transforms import Compose
    from scripts.transforms.intensity import ZScoreIntensityd
    from scripts.transforms.phases import LoadImagePhasesd, StackPhasesd
    from scripts.transforms.region import BoxRegiond
    from scripts.transforms.resample import ResamplePhasesd

    to_grid = [
        LoadImagePhasesd(phases=PHASES, reference="portal"),
        BoxRegiond(margin=2.0),
        ResamplePhasesd(spacing=(1.0, 1.0, 1.0), size=GRID),
    ]
    return Compose(to_grid), Compose([ZScoreIntensityd(statistics="region"), StackPhasesd(phases=PHASES)])


def crop_last(start: list[int], dtype: type) -> tuple[Chain, Chain]:
    """Return MONAI's chain (whole volume on 1 mm, crop from voxel `start`), and the steps after it."""
    from monai.transforms import (
        Compose,
        ConcatItemsd,
        EnsureChannelFirstd,
        LoadImaged,
        NormalizeIntensityd,
        Orientationd,
        Spacingd,
        SpatialCropd,
    )

    stop = [first + size for first, size in zip(start, GRID, strict=True)]
    to_grid = [
        LoadImaged(PHASES),
        EnsureChannelFirstd(PHASES),
        Orientationd(PHASES, axcodes="RAS", labels=None),
        Spacingd(PHASES, pixdim=(1.0, 1.0, 1.0), mode="bilinear", padding_mode="border", dtype=dtype),
        SpatialCropd(PHASES, roi_start=start, roi_end=stop),
    ]
    return Compose(to_grid), Compose([NormalizeIntensityd(PHASES), ConcatItemsd(PHASES, name="image")])


def seconds(chain: tuple[Chain, Chain], item: dict[str, Any]) -> float:
    """Return the time that a chain takes."""
    begin = time.perf_counter()
    chain[1](chain[0](item))
    return time.perf_counter() - begin


def measure(repeats: int) -> dict[str, Any]:
    """Time both sides in turn on the same files and compare their voxels."""
    with tempfile.TemporaryDirectory() as folder:
        item = write_case(Path(folder))
        ours = crop_first()
        result = ours[0](item)
        whole = np.eye(4)
        whole[0, 3], whole[1:3, 3] = 103.0 - (SHAPE[0] - 1) * VOXEL_MM[0], [-101.0, -79.0]
        start = np.round(result["grid_affine"].numpy()[:3, 3] - whole[:3, 3]).astype(int).tolist()
        sides = {"float64": crop_last(start, np.float64), "float32": crop_last(start, np.float32)}
        differences = {}
        for name, side in sides.items():
            other = side[0](item["image"])
            differences[name] = max(
                float((other[phase][0] - result["image"][phase])[result["inside"][phase]].abs().max())
                for phase in PHASES
            )
        times: dict[str, list[float]] = {"crop_first": [], **{name: [] for name in sides}}
        for _ in range(repeats):
            times["crop_first"].append(seconds(ours, item))
            for name, side in sides.items():
                times[name].append(seconds(side, item["image"]))
    report: dict[str, Any] = {
        **describe_machine(),
        "repeats": repeats,
        "inside_share": float(result["inside"]["portal"].float().mean()),
        "crop_first_seconds": spread(times["crop_first"]),
    }
    for name in sides:
        ratios = [other / own for other, own in zip(times[name], times["crop_first"], strict=True)]
        report[f"crop_last_{name}"] = {
            "seconds": spread(times[name]),
            "ratio": spread(ratios),
            "largest_voxel_difference_hu": differences[name],
        }
    return report


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="alternating repeats")
    parser.add_argument("--threads", type=int, default=None, help="torch threads; default: torch's choice")
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    report = measure(arguments.repeats)
    own = report["crop_first_seconds"]
    print(f"{report['machine']['processor']}, {report['threads']} threads, {arguments.repeats} repeats")
    print(f"crop first: {own['median']:.3f} s per case ({own['min']:.3f} to {own['max']:.3f})")
    for name in ("float64", "float32"):
        side = report[f"crop_last_{name}"]
        time_, ratio = side["seconds"], side["ratio"]
        print(
            f"crop last, Spacing in {name}: {time_['median']:.3f} s "
            f"({time_['min']:.3f} to {time_['max']:.3f}), "
            f"{ratio['median']:.1f} times as long ({ratio['min']:.1f} to {ratio['max']:.1f}), "
            f"largest difference {side['largest_voxel_difference_hu']:.2g} HU"
        )
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
