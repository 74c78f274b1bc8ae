# SPDX-License-Identifier: Apache-2.0
"""Fusion strategies: over tokens, over feature maps, or over the decisions of single phases."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    attention="Attention CrossAttention FusedAttention SelfAttention",
    decisions="Evidential LateMean LateProduct LateWeighted",
    maps="AdaptiveConv Cbam ConcatMaps Depthwise SpatialGated SqueezeExcitation",
    products="Bilinear Kronecker LowRankTensor",
    tokens="Abaf Concat Gated Max Mean SideBySide WeightedSum",
)
