# SPDX-License-Identifier: Apache-2.0
"""One patient, from the images to a report: `python -m workbench.predict`."""

from scripts import exports

__getattr__, __all__ = exports(__name__, prediction="write_prediction")
