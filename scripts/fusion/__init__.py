"""Fusion strategies over tokens, one per file."""

from scripts.fusion.abaf import Abaf
from scripts.fusion.base import TokenFusion
from scripts.fusion.concat import Concat
from scripts.fusion.gated import Gated
from scripts.fusion.max import Max
from scripts.fusion.mean import Mean
from scripts.fusion.weighted_sum import WeightedSum

__all__ = [
    "Abaf",
    "Concat",
    "Gated",
    "Max",
    "Mean",
    "TokenFusion",
    "WeightedSum",
]
