"""Datasets: dataset.json, layouts of known datasets, splits, batches."""

from .batches import EpochBatchSampler
from .cases import Cases, read_cases, read_unlabelled
from .prepare import prepare, start_preparing
from .splits import split_by_patient

__all__ = [
    "Cases",
    "EpochBatchSampler",
    "prepare",
    "read_cases",
    "read_unlabelled",
    "split_by_patient",
    "start_preparing",
]
