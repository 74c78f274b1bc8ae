# SPDX-License-Identifier: Apache-2.0
"""A trained model at another hospital: scores, calibration, prediction sets and what differs in the data."""

from scripts import exports

__getattr__, __all__ = exports(__name__, validating="validate")
