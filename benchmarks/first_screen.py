# SPDX-License-Identifier: Apache-2.0
"""Draw the figure of the README: phantom cases, and the default model's ROC with the best possible ones.

    python -m workbench.prepare.phantom --extra 1000 --output data/phantom_extra
    python -m monai.bundle run evaluating --dataset_dir data/phantom_extra --output_dir results/extra \
        --config_file "['configs/train.yaml','configs/evaluate.yaml']"
    python -m benchmarks.first_screen --dataset data/phantom_extra --evaluation results/extra
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from matplotlib.axes import Axes
from scripts.figures.panels import COLOURS, GREY, new_figure, plain_axes, save_figure
from sklearn.metrics import roc_auc_score, roc_curve
from workbench.prepare.phantom.oracle import PHASES

SIDE_MM = 72
WINDOW_HU = (-20.0, 200.0)


def lesion_slices(dataset: Path, case: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return an axial slice through the lesion's middle in each phase, 1 mm per pixel, and the mask there."""
    import SimpleITK

    mask = SimpleITK.ReadImage(dataset / case["roi"])
    voxels = np.argwhere(SimpleITK.GetArrayViewFromImage(mask))[:, ::-1]
    centre = mask.TransformContinuousIndexToPhysicalPoint(voxels.mean(axis=0).tolist())
    corner = [centre[0] - SIDE_MM / 2, centre[1] - SIDE_MM / 2, centre[2]]

    def cut(image: Any, interpolation: int) -> np.ndarray:
        """Sample the slice in radiological view: the patient's right on the left, anterior up."""
        grid = ([SIDE_MM, SIDE_MM, 1], SimpleITK.Transform(), interpolation, corner)
        return SimpleITK.GetArrayFromImage(SimpleITK.Resample(image, *grid))[0]

    slices = {
        name: cut(SimpleITK.ReadImage(dataset / path), SimpleITK.sitkLinear) for name, path in case["image"].items()
    }
    return slices, cut(mask, SimpleITK.sitkNearestNeighbor)


def draw_case(row: Sequence[Axes], dataset: Path, case: Mapping[str, Any]) -> None:
    """Draw one case, a phase per column, with the outline of its lesion."""
    slices, mask = lesion_slices(dataset, case)
    for axes, phase in zip(row, PHASES, strict=True):
        axes.imshow(slices[phase], cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1])
        axes.contour(mask, levels=[0.5], colors=[COLOURS[4]], linewidths=1.2)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    row[0].set_ylabel(f"{case['label']} grade", fontsize=10)


def draw_roc(axes: Axes, evaluation: Path, dataset: Path) -> None:
    """Draw the model's ROC with the curves of the phantom's oracle."""
    table = pandas.read_csv(evaluation / "predictions.csv").merge(
        pandas.read_csv(dataset / "truth.csv"), on="case", validate="one_to_one"
    )
    interval = json.loads((evaluation / "metrics.json").read_text(encoding="utf-8"))["intervals"]["auc"]
    high = table["true"] == "high"
    curves = (
        ("p_true", "best possible from the phases at hand", GREY, ":", ""),
        ("p_high", "default model", COLOURS[0], "-", f" ({interval['lower']:.3f}–{interval['upper']:.3f})"),
        ("p_true_arterial", "best possible from the arterial phase alone", GREY, "--", ""),
    )
    for column, name, colour, style, bounds in curves:
        false_positive, sensitivity, _ = roc_curve(high, table[column])
        label = f"{name}: AUC {roc_auc_score(high, table[column]):.3f}{bounds}"
        axes.plot(false_positive, sensitivity, color=colour, linestyle=style, linewidth=2, label=label)
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", aspect="equal", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_title(f"{len(table):,} phantom cases the model has never seen", fontsize=10)
    plain_axes(axes)
    axes.legend(loc="lower right", fontsize=8, framealpha=0.9)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="folder of phantom cases")
    parser.add_argument("--evaluation", type=Path, required=True, help="evaluation of these cases")
    parser.add_argument("--output", type=Path, default=Path("docs/figures/first_screen.png"))
    given = parser.parse_args(arguments)
    cases = json.loads((given.dataset / "dataset.json").read_text(encoding="utf-8"))["test"]
    complete = [case for case in cases if len(case["image"]) == len(PHASES)]
    figure = new_figure(10.5, 4.6)
    panels: Any = figure.subfigures(1, 2, width_ratios=(1.35, 1.0))
    rows = panels[0].subplots(2, len(PHASES))
    for row, label in zip(rows, ("low", "high"), strict=True):
        draw_case(row, given.dataset, next(case for case in complete if case["label"] == label))
    for axes, phase in zip(rows[0], PHASES, strict=True):
        axes.set_title(phase, fontsize=10)
    draw_roc(panels[1].subplots(), given.evaluation, given.dataset)
    save_figure(figure, given.output)


if __name__ == "__main__":
    main()
