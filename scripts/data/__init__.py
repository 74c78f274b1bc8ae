"""Datasets: dataset.json, layouts of known datasets, splits, batches."""

from .batches import EpochBatchSampler
from .cache import cached_dataset
from .cases import Cases, read_cases, read_unlabelled
from .columns import declared_columns
from .phantom import ensure_phantom
from .positive import positive_class
from .prepare import prepare
from .readable import ReadableLoader, name_bad
from .shares import BatchShares, CaseShare
from .splits import split_by_patient
from .volumes import Volume, open_volume

__all__ = [
    "BatchShares",
    "CaseShare",
    "Cases",
    "EpochBatchSampler",
    "ReadableLoader",
    "Volume",
    "cached_dataset",
    "declared_columns",
    "ensure_phantom",
    "name_bad",
    "open_volume",
    "positive_class",
    "prepare",
    "read_cases",
    "read_unlabelled",
    "split_by_patient",
]
