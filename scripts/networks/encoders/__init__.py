# SPDX-License-Identifier: Apache-2.0
"""Encoders: one volume, or its planes, as one vector and as maps of several stages."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    monai_cnn="MonaiDenseNetEncoder MonaiEfficientNetEncoder MonaiResNetEncoder MonaiSEResNetEncoder",
    monai_vit="MonaiViTEncoder",
    residual="ResidualEncoder",
    views="reader token_names",
)
