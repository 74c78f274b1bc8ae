# SPDX-License-Identifier: Apache-2.0
"""Losses of the network's outputs and the labels."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    classification="ClassificationLoss",
    deep_supervision="AdaptiveDeepSupervision DeepSupervision EvidentialLoss",
)
