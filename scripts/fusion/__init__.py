"""Fusion strategies, one per file: over tokens, or over the decisions of the single phases."""

from scripts.fusion.abaf import Abaf
from scripts.fusion.attention import Attention
from scripts.fusion.base import TokenFusion
from scripts.fusion.bilinear import Bilinear
from scripts.fusion.concat import Concat
from scripts.fusion.cross_attention import CrossAttention
from scripts.fusion.decision import DecisionFusion
from scripts.fusion.evidential import Evidential
from scripts.fusion.fused_attention import FusedAttention
from scripts.fusion.gated import Gated
from scripts.fusion.kronecker import Kronecker
from scripts.fusion.kronecker_compact import KroneckerCompact
from scripts.fusion.late_mean import LateMean
from scripts.fusion.late_product import LateProduct
from scripts.fusion.late_weighted import LateWeighted
from scripts.fusion.low_rank_tensor import LowRankTensor
from scripts.fusion.max import Max
from scripts.fusion.mean import Mean
from scripts.fusion.self_attention import SelfAttention
from scripts.fusion.weighted_sum import WeightedSum

__all__ = [
    "Abaf",
    "Attention",
    "Bilinear",
    "Concat",
    "CrossAttention",
    "DecisionFusion",
    "Evidential",
    "FusedAttention",
    "Gated",
    "Kronecker",
    "KroneckerCompact",
    "LateMean",
    "LateProduct",
    "LateWeighted",
    "LowRankTensor",
    "Max",
    "Mean",
    "SelfAttention",
    "TokenFusion",
    "WeightedSum",
]
