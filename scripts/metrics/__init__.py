# SPDX-License-Identifier: Apache-2.0
"""Metrics of pooled predictions (never averaged over batches), with confidence intervals and tests."""

from scripts import exports

__getattr__, __all__ = exports(__name__, paired="corrected_t_test")
