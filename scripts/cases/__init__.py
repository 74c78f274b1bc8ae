# SPDX-License-Identifier: Apache-2.0
"""The cases of a dataset.json: checks, clinical columns, splits, cache, batches."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    batches="BatchShares CaseShare EpochBatchSampler ReadableLoader name_bad",
    cache="cached_dataset",
    patches="Patches",
    positive="positive_class",
    read="declared_columns read_cases read_unlabelled",
    structures="mask_count mask_kind named_structures",
)
