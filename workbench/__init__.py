# SPDX-License-Identifier: Apache-2.0
"""Tools around a model: prepare, compare, explain, report, export, package, serve, predict, verify."""

from scripts import exports

__getattr__, __all__ = exports(__name__)
