"""Trained models as single files that need none of this code: TorchScript and ONNX."""

from scripts.exports.exporting import export_model

__all__ = ["export_model"]
