# SPDX-License-Identifier: Apache-2.0
"""AUC and accuracy on images with faults: the rows of robustness.csv and their figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scripts.figures.curves import CHANCE
from scripts.figures.panels import COLOURS, DASHED, common_legend, new_figure, plain_axes, saved
from scripts.files.atomic import write_table
from scripts.metrics.interval import number_patients, patient_weights
from scripts.metrics.paired import delong_test
from workbench.report.perturb import Fault
from workbench.report.withheld import scored_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE = "robustness.csv"
DRAWS = 1000
COLUMNS = 4
CURVE, CLEAN = "AUC, 95% CI", "images as they are"
Setting = tuple[Fault, float]
"""A fault and its strength."""


@dataclass(frozen=True)
class Robustness:
    """One line of robustness.csv; intervals are 95% intervals by patient, None where there is none.

    Attributes:
        strength: in `unit`; 0 is the image as it is, the first line.
        auc_change: AUC minus that of the images as they are, paired (DeLong).
    """

    fault: str
    strength: float
    unit: str
    n: int
    auc: float | None
    auc_lower: float | None
    auc_upper: float | None
    accuracy: float | None
    accuracy_lower: float | None
    accuracy_upper: float | None
    auc_change: float | None
    auc_change_lower: float | None
    auc_change_upper: float | None


def robustness_rows(
    probability: np.ndarray,
    label: np.ndarray,
    patients: Sequence[str],
    settings: Sequence[Setting],
    classes: Sequence[str],
    seed: int = 0,
    draws: int = DRAWS,
) -> list[Robustness]:
    """Compute AUC and accuracy of each setting, and the change of the AUC.

    Args:
        probability: [1 + S, n, K]: of the images as they are, then of the settings in their order.
        label: [n].

    Returns:
        1 + S rows.
    """
    patient = number_patients(patients, len(label))
    weights = np.concatenate(list(patient_weights(patient, draws, seed)))
    several = len(np.unique(label)) > 1
    rows = []
    for at, (name, strength, unit) in enumerate([("none", 0.0, ""), *((f.name, s, f.unit) for f, s in settings)]):
        row, _, _ = scored_row(name, 0, classes, seed, probability[at], label, patient, weights)
        change: tuple[float | None, ...] = (None, None, None)
        if at > 0 and several:
            by = delong_test(probability[at], probability[0], label, patients)
            change = (by.difference, by.lower, by.upper)
        scores = (row.auc, row.auc_lower, row.auc_upper, row.accuracy, row.accuracy_lower, row.accuracy_upper)
        rows.append(Robustness(name, strength, unit, row.n, *scores, *change))
    return rows


def write_robustness(path: Path, rows: Sequence[Robustness]) -> Path:
    """Write one line per row, with empty cells for undefined values."""
    names = [field.name for field in fields(Robustness)]
    return write_table(path, names, (asdict(row).values() for row in rows))


def robustness_figure(
    rows: Sequence[Robustness], faults: Sequence[Fault], name: str = "", path: str | Path | None = None
) -> Figure:
    """Draw one panel per fault: AUC with its 95% interval over the strength, from the images as they are on.

    Args:
        rows: from `robustness_rows`; the first is of the images as they are.
        faults: in the order of the panels.

    Raises:
        ValueError: a folder that cannot be written.
    """
    lines = -(-len(faults) // COLUMNS)
    figure = new_figure(12.0, 0.9 + 2.9 * lines)
    panels = figure.subplots(lines, COLUMNS, sharey=True, squeeze=False)
    lower = [row.auc_lower if row.auc_lower is not None else row.auc for row in rows]
    bottom = min([0.45, *(value for value in lower if value is not None)])
    for axes, fault in zip(panels.flat, faults, strict=False):
        _draw(axes, fault, [rows[0], *(row for row in rows if row.fault == fault.name)])
        axes.set_ylim(max(0.0, bottom - 0.03), 1.02)
    for axes in panels.flat[len(faults) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("AUC")
    common_legend(figure, list(panels.flat), (CURVE, CLEAN, CHANCE))
    figure.suptitle(f"Faults of the image{f', {name}' if name else ''}: n = {rows[0].n}", fontsize=12)
    return saved(figure, path)


def _draw(axes: Axes, fault: Fault, rows: Sequence[Robustness]) -> None:
    axes.axhline(0.5, label=CHANCE, **DASHED)
    clean = rows[0].auc
    if clean is not None:
        axes.axhline(clean, color="black", linewidth=1, linestyle=":", label=CLEAN)
    known = [row for row in rows if row.auc is not None]
    values = [float(row.auc or 0.0) for row in known]
    bounds = [(row.auc_lower, row.auc_upper) for row in known]
    below = [0.0 if low is None else max(0.0, value - low) for value, (low, _) in zip(values, bounds, strict=True)]
    above = [0.0 if high is None else max(0.0, high - value) for value, (_, high) in zip(values, bounds, strict=True)]
    at = range(len(rows))
    places = [place for place, row in zip(at, rows, strict=True) if row.auc is not None]
    axes.errorbar(
        places, values, yerr=[below, above], color=COLOURS[0], marker="o", linewidth=1.8, capsize=3, label=CURVE
    )
    axes.set_xticks(list(at), ["none", *(f"{row.strength:g}" for row in rows[1:])])
    axes.set_xlim(-0.3, len(rows) - 0.7)
    axes.set_title(fault.name, fontsize=11)
    axes.set_xlabel("SD of the phase" if fault.unit == "SD" else fault.unit)
    plain_axes(axes)
    axes.grid(visible=False, axis="x")
