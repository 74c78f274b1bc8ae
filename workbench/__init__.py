# SPDX-License-Identifier: Apache-2.0
"""What a researcher does around a model: prepare, compare, explain, report, export, package, serve."""

from scripts import exports

__getattr__, __all__ = exports(__name__)
