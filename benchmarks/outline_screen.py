# SPDX-License-Identifier: Apache-2.0
"""Draw the picture of docs/segmentation.md and the README: a scan goes in, outline and grade come out.

python -m monai.bundle run training --config_file "['configs/train.yaml','configs/regions/outlined.yaml']"
python -m benchmarks.outline_screen --run results/phantom_outlined --dataset data/phantom
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scripts.engines.outliner import WHOLE
from scripts.engines.outlines import outline_path
from scripts.figures.panels import COLOURS, new_figure, save_figure
from scripts.metrics.predictions import Predictions, read_predictions
from workbench.prepare.phantom.oracle import PHASES
from workbench.report.outline_figure import ON_GREY

from benchmarks.first_screen import WINDOW_HU

PIXEL_MM = 0.5


def scan_slices(
    dataset: Path, case: Mapping[str, Any], outline: Path
) -> tuple[dict[str, np.ndarray], np.ndarray, float]:
    """Return of each phase the whole axial slice in which most is outlined, the outline there, and its volume in ml."""
    import SimpleITK

    mask = SimpleITK.ReadImage(outline)
    pieces = SimpleITK.RelabelComponent(SimpleITK.ConnectedComponent(mask > 0, True)) == 1  # the largest counts
    voxels = SimpleITK.GetArrayViewFromImage(pieces)
    level = int(voxels.sum(axis=(1, 2)).argmax())
    ends = [mask.TransformContinuousIndexToPhysicalPoint((x, y, level)) for x in (0, mask.GetWidth() - 1) for y in
            (0, mask.GetHeight() - 1)]  # fmt: skip
    low, high = np.min(ends, axis=0), np.max(ends, axis=0)
    size = [int(length / PIXEL_MM) + 1 for length in (high - low)[:2]]

    def cut(image: Any, interpolation: int) -> np.ndarray:
        """Sample the slice in radiological view: the patient's right on the left, anterior up."""
        grid = ([*size, 1], SimpleITK.Transform(), interpolation, low.tolist(), [PIXEL_MM, PIXEL_MM, 1.0])
        return SimpleITK.GetArrayFromImage(SimpleITK.Resample(image, *grid))[0]

    slices = {
        phase: cut(SimpleITK.ReadImage(dataset / path), SimpleITK.sitkLinear) for phase, path in case["image"].items()
    }
    smooth = SimpleITK.Cast(pieces, SimpleITK.sitkFloat32)
    volume = float(voxels.sum() * np.prod(mask.GetSpacing()) / 1000)
    return slices, cut(smooth, SimpleITK.sitkLinear), volume


def show(axes: Axes, picture: np.ndarray, title: str) -> None:
    """Draw a slice."""
    axes.imshow(picture, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1])
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=13)


def arrow(axes: Axes, text: str) -> None:
    """Draw an arrow to the right, with what happens above it."""
    axes.set_axis_off()
    style = {"arrowstyle": "-|>,head_width=0.5,head_length=0.8", "color": COLOURS[0], "lw": 4}
    axes.annotate("", xy=(1.0, 0.5), xytext=(0.0, 0.5), xycoords="axes fraction", arrowprops=style)
    axes.text(0.5, 0.58, text, ha="center", va="bottom", fontsize=12, transform=axes.transAxes)


def bars(axes: Axes, found: Predictions, row: int) -> None:
    """Draw the probabilities of the classes."""
    probabilities = found.probabilities[row]
    best = int(probabilities.argmax())
    colours = [COLOURS[0] if number == best else "#BBBBBB" for number in range(len(found.classes))]
    axes.barh(range(len(found.classes)), probabilities, color=colours, height=0.3)
    for number, share in enumerate(probabilities):
        axes.barh(number, 1.0, color="none", edgecolor="#888888", height=0.3)
        bold: dict[str, Any] = {"weight": "bold"} if number == best else {}
        axes.text(
            0, number + 0.2, f"{found.classes[number]} grade: {100 * share:.0f}%", fontsize=14, va="bottom", **bold
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.5, len(found.classes) - 0.3), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def chosen_case(found: Predictions, cases: Sequence[Mapping[str, Any]], label: str) -> Mapping[str, Any]:
    """Return the case of a class whose probability is the median of those with all phases: neither best nor worst."""
    column, row_of = found.classes.index(label), {case: row for row, case in enumerate(found.cases)}
    complete = [case for case in cases if case["label"] == label and len(case["image"]) == len(PHASES)]
    ranked = sorted(complete, key=lambda case: found.probabilities[row_of[case["case"]], column])
    return ranked[len(ranked) // 2]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="results folder of a classifier with an outliner")
    parser.add_argument("--dataset", type=Path, required=True, help="its phantom")
    parser.add_argument("--label", default="high", help="class of the case that is shown")
    parser.add_argument("--output", type=Path, default=Path("docs/figures/outline_screen.png"))
    given = parser.parse_args(arguments)
    found = read_predictions(given.run / "predictions.csv")
    cases = json.loads((given.dataset / "dataset.json").read_text(encoding="utf-8"))["test"]
    case = chosen_case(found, cases, given.label)
    name = case["case"]
    slices, outline, volume = scan_slices(given.dataset, case, outline_path(given.run / "outliner" / WHOLE, name))
    figure = new_figure(11.0, 3.1)
    axes: Any = figure.subplots(1, 7, width_ratios=(1, 1, 1, 0.5, 1.25, 0.5, 1.1))
    for place, phase in zip(axes, PHASES, strict=False):
        show(place, slices[phase], phase)
    arrow(axes[3], "outline")
    show(axes[4], slices[PHASES[-1]], f"lesion, {volume:.1f} ml")
    axes[4].contour(outline, levels=[0.5], colors=[ON_GREY[0]], linewidths=2.5)
    arrow(axes[5], "classify")
    bars(axes[6], found, found.cases.index(name))
    said = f"A test case of the phantom that is of {case['label']} grade, of median certainty. Nobody drew on it."
    figure.supxlabel(said, fontsize=12, color="#444444")
    save_figure(figure, given.output)


if __name__ == "__main__":
    main()
