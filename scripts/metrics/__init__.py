# SPDX-License-Identifier: Apache-2.0
"""Metrics of pooled predictions, their intervals and tests; never averaged over batches."""

from scripts import exports

__getattr__, __all__ = exports(__name__, paired="corrected_t_test")
