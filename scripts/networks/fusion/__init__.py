"""Fusion strategies, one per file: over tokens, over feature maps, or over the decisions of single phases."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
)
