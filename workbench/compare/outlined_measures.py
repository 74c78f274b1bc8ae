# SPDX-License-Identifier: Apache-2.0
"""Measures of what is outlined in a comparison, as columns of the clinical table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scripts.cases.clinical import Column
from scripts.cases.structures import LESION
from workbench.compare.pool import Pool
from workbench.measure.columns import Measured, all_measures, chosen_measures, what_is_measured


@dataclass(frozen=True)
class Measures:
    """What is measured of outlines, and what of it becomes columns of the clinical table."""

    every: Measured  # of all phases
    names: Sequence[str]  # of the measures that become columns

    def seen(self, phase: str | None) -> Measured:
        """Return what is measured where a single phase is seen."""
        if phase is None:
            return self.every
        baseline = phase if self.every.baseline == phase else None
        masks = [one for one in self.every.masks if one == phase]
        return replace(self.every, phases=[phase], masks=masks, baseline=baseline)

    def columns(self, phase: str | None = None) -> list[Column]:
        """Return the columns."""
        return [measure.column for measure in all_measures(self.seen(phase)) if measure.name in self.names]


def measured_of(
    pool: Pool, settings: Mapping[str, Any], walls: Sequence[str], baseline: str | None, measures: Sequence[str]
) -> Measures:
    """Return what is measured of the outlines of a dataset.

    Args:
        settings: of the trainings; those in `structures` and `masks` go before what dataset.json says.
        walls, baseline, measures: keys of compare.yaml.

    Raises:
        ValueError: a name that fits none.
    """
    several = "phase" if any(isinstance(item["roi"], Mapping) for item in pool.items) else "case"
    masked = pool.phases if (settings.get("masks") or several) == "phase" else []
    names = settings.get("structures") or pool.structures or [LESION]
    every = what_is_measured(names, pool.phases, masked, walls, baseline)
    return Measures(every, [measure.name for measure in chosen_measures(measures, all_measures(every))])
