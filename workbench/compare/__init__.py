# SPDX-License-Identifier: Apache-2.0
"""Cross-validated comparison of strategies: folds, jobs, tables and what they allow to say."""

from scripts import exports

__getattr__, __all__ = exports(__name__, comparing="compare start_comparing")
