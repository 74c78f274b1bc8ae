# SPDX-License-Identifier: Apache-2.0
"""quality.html: faults in the images of a dataset, found before training."""

from scripts import exports

__getattr__, __all__ = exports(__name__, quality="require_quality")
