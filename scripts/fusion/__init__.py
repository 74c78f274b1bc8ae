"""Fusion strategies over tokens, one per file."""

from scripts.fusion.abaf import Abaf
from scripts.fusion.base import TokenFusion
from scripts.fusion.concat import Concat

__all__ = ["Abaf", "Concat", "TokenFusion"]
