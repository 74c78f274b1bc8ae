# SPDX-License-Identifier: Apache-2.0
"""From a folder of images to a dataset.json: `python -m monai.bundle run preparing`."""

from scripts import exports

__getattr__, __all__ = exports(__name__, preparing="prepare prepare_as_configured")
