# SPDX-License-Identifier: Apache-2.0
"""Encoders from a volume, or its planes, to feature maps of one or several stages."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    monai_cnn="MonaiDenseNetEncoder MonaiEfficientNetEncoder MonaiResNetEncoder MonaiSEResNetEncoder",
    monai_vit="MonaiViTEncoder",
    residual="ResidualEncoder",
    views="reader token_names",
)
