# SPDX-License-Identifier: Apache-2.0
"""Trained models as single files that need none of this code: TorchScript and ONNX."""

from scripts import exports

__getattr__, __all__ = exports(__name__, exporting="export_model")
