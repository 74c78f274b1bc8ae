# SPDX-License-Identifier: Apache-2.0
"""Numbers with a unit, taken from outlines: volume, shape, thickness, intensity, and change between phases."""

from scripts import exports

__getattr__, __all__ = exports(__name__, measuring="measure")
