# SPDX-License-Identifier: Apache-2.0
"""What differs between the data of two hospitals: classes, missing phases, spacing, intensities, clinical columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scripts.cases.clinical import Column
from scripts.cases.document import Item
from scripts.figures.table import UNKNOWN, Table
from scripts.volumes.grid import open_phase, ras_axes
from workbench.prepare.phase_scale import shown_voxels

MOST_VOLUMES = 40  # of each phase whose voxels are read, spread evenly over the cases
NOTABLE = 0.5  # standardised difference from which a row is marked
AXES = ("right-left", "front-back", "head-foot")


@dataclass(frozen=True)
class Feature:
    """One property of the cases of two hospitals; a share is a mean of zeros and ones."""

    name: str
    values: Sequence[Sequence[float]]  # of the cases of the first hospital, and of the second
    share: bool = False

    @property
    def difference(self) -> float:
        r"""Standardised difference, NaN without two values on both sides.

        .. math:: d = (\bar x_2 - \bar x_1) / \sqrt{(s_1^2 + s_2^2) / 2}

        Reference: Austin, Using the standardized difference to compare the prevalence of a binary variable, 2009.
        """
        if min(map(len, self.values)) < 2:
            return math.nan
        one, two = (np.asarray(side, float) for side in self.values)
        spread = math.sqrt((one.var(ddof=1) + two.var(ddof=1)) / 2)
        gap = float(two.mean() - one.mean())
        if spread < 1e-9 * max(abs(one.mean()), abs(two.mean()), 1e-9):
            return 0.0 if abs(gap) < 1e-9 * max(abs(one.mean()), 1e-9) else math.copysign(math.inf, gap)
        return gap / spread

    def cell(self, side: int) -> str:
        """Return mean and standard deviation of a hospital, or the share, with the number of cases."""
        values = self.values[side]
        if not len(values):
            return UNKNOWN
        mean = float(np.mean(values))
        if self.share:
            return f"{mean:.0%} of {len(values)}"
        return f"{mean:.3g} ± {float(np.std(values, ddof=1)) if len(values) > 1 else 0:.2g} ({len(values)})"


def features(
    first: Sequence[Item],
    second: Sequence[Item],
    phases: Sequence[str],
    classes: Sequence[str],
    columns: Sequence[Column],
) -> list[Feature]:
    """Compare the cases of two hospitals.

    Args:
        first: cases of the hospital that trained the model; [] where they are not at hand.
        columns: the clinical columns of the model.
    """
    sides = (first, second)
    found = []
    for name in classes:
        shares = [[float(item["label"] == name) for item in side if item.get("label") is not None] for side in sides]
        found.append(Feature(f"class {name}", shares, share=True))
    for phase in phases:
        absent = [[float(phase not in item["image"]) for item in side] for side in sides]
        found.append(Feature(f"{phase} is missing", absent, share=True))
    for phase in phases:
        seen = [_seen(side, phase) for side in sides]
        for axis, name in enumerate(AXES):
            found.append(Feature(f"{phase}: spacing {name} (mm)", [[one[0][axis] for one in side] for side in seen]))
        for index, name in ((1, "median intensity"), (2, "spread of intensity (5% to 95%)")):
            found.append(Feature(f"{phase}: {name}", [[one[index] for one in side] for side in seen]))
    for column in columns:
        found += _clinical(column, sides)
    return found


def _seen(items: Sequence[Item], phase: str) -> list[tuple[Any, ...]]:
    """Return spacing along R, A and S, median and spread of voxels that show something, of readable volumes."""
    there = [item for item in items if phase in item["image"]]
    chosen = np.unique(np.linspace(0, len(there) - 1, min(MOST_VOLUMES, len(there))).round().astype(int))
    found = []
    for index in chosen if there else []:
        item = there[index]
        try:
            volume = open_phase(item["image"][phase], item["case"], phase)
            low, median, high = np.quantile(shown_voxels(item, phase), [0.05, 0.5, 0.95])
        except (OSError, ValueError, MemoryError):  # the prediction of this case names it
            continue
        found.append((volume.spacing[ras_axes(volume)].tolist(), float(median), float(high - low)))
    return found


def _clinical(column: Column, sides: Sequence[Sequence[Item]]) -> list[Feature]:
    name, unit = column["name"], column.get("unit")
    values = [[item["clinical"].get(name) for item in side] for side in sides]
    found = [Feature(f"{name} is missing", [[float(v is None) for v in side] for side in values], share=True)]
    known = [[v for v in side if v is not None] for side in values]
    if column["kind"] == "number":
        title = f"{name} ({unit})" if unit else name
        found.append(Feature(title, [[float(v) for v in side] for side in known]))
    elif column["kind"] == "category":
        for value in column["values"]:
            found.append(
                Feature(f"{name} is {value}", [[float(v == value) for v in side] for side in known], share=True)
            )
    return found


def shift_table(found: Sequence[Feature], names: Sequence[str], n: str) -> Table:
    """Return the table of both hospitals side by side."""
    rows = []
    for one in found:
        gap = one.difference
        shown = UNKNOWN if math.isnan(gap) else "no overlap" if math.isinf(gap) else f"{gap:+.2f}"
        rows.append([one.name, one.cell(0), one.cell(1), shown + " ◀" * (abs(gap) >= NOTABLE)])
    notes = [
        "Mean ± standard deviation (cases), or share. Difference: of the means in standard deviations, marked from "
        f"{NOTABLE} on. Intensities: voxels that show something, of at most {MOST_VOLUMES} volumes of each phase."
    ]
    return Table("What differs in the data", n, ["property", *names, "difference"], rows, notes)
