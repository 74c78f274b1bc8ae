# SPDX-License-Identifier: Apache-2.0
"""All items of the benchmark, in the order of the page."""

from __future__ import annotations

from benchmarks.performance.breakdown import BREAKDOWN
from benchmarks.performance.data_parallel import DATA_PARALLEL
from benchmarks.performance.first_epoch import FIRST_EPOCH
from benchmarks.performance.folds import FOLDS_AT_ONCE
from benchmarks.performance.growth import GROWTH
from benchmarks.performance.inference import INFERENCE
from benchmarks.performance.item import Item
from benchmarks.performance.large_step import LARGE_STEP
from benchmarks.performance.machine_share import MACHINE_SHARE
from benchmarks.performance.means import MEANS
from benchmarks.performance.training_step import CONVERGENCE, TRAINING_STEP

ITEMS: dict[str, Item] = {
    item.name: item
    for item in (
        TRAINING_STEP,
        LARGE_STEP,
        BREAKDOWN,
        MACHINE_SHARE,
        INFERENCE,
        MEANS,
        CONVERGENCE,
        FIRST_EPOCH,
        GROWTH,
        FOLDS_AT_ONCE,
        DATA_PARALLEL,
    )
}
"""Items by name."""
SHORT = [name for name, item in ITEMS.items() if not item.long]
LONG = [name for name, item in ITEMS.items() if item.long]
REPEATS = {False: 5, True: 3}
"""Least number of repeats of a short (False) and of a long item (True)."""
