# SPDX-License-Identifier: Apache-2.0
"""Export of trained models to single files that run without this code: TorchScript and ONNX."""

from scripts import exports

__getattr__, __all__ = exports(__name__, exporting="export_model")
