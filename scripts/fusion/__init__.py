"""Fusion strategies, one per file: over tokens, or over the decisions of the single phases."""

from scripts.fusion.abaf import Abaf
from scripts.fusion.base import TokenFusion
from scripts.fusion.bilinear import Bilinear
from scripts.fusion.concat import Concat
from scripts.fusion.decision import DecisionFusion
from scripts.fusion.evidential import Evidential
from scripts.fusion.kronecker import Kronecker
from scripts.fusion.kronecker_compact import KroneckerCompact
from scripts.fusion.late_mean import LateMean
from scripts.fusion.late_product import LateProduct
from scripts.fusion.late_weighted import LateWeighted
from scripts.fusion.low_rank_tensor import LowRankTensor

__all__ = [
    "Abaf",
    "Bilinear",
    "Concat",
    "DecisionFusion",
    "Evidential",
    "Kronecker",
    "KroneckerCompact",
    "LateMean",
    "LateProduct",
    "LateWeighted",
    "LowRankTensor",
    "TokenFusion",
]
