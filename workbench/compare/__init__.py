# SPDX-License-Identifier: Apache-2.0
"""Cross-validated comparison of strategies: folds, jobs, tables and tests."""

from scripts import exports

__getattr__, __all__ = exports(__name__, comparing="compare start_comparing", choosing="choose")
