"""Fusion strategies over tokens, one per file."""

from scripts.fusion.abaf import Abaf
from scripts.fusion.attention import Attention
from scripts.fusion.base import TokenFusion
from scripts.fusion.concat import Concat
from scripts.fusion.cross_attention import CrossAttention
from scripts.fusion.fused_attention import FusedAttention
from scripts.fusion.gated import Gated
from scripts.fusion.max import Max
from scripts.fusion.mean import Mean
from scripts.fusion.self_attention import SelfAttention
from scripts.fusion.weighted_sum import WeightedSum

__all__ = [
    "Abaf",
    "Attention",
    "Concat",
    "CrossAttention",
    "FusedAttention",
    "Gated",
    "Max",
    "Mean",
    "SelfAttention",
    "TokenFusion",
    "WeightedSum",
]
