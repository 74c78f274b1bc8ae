"""Fusion strategies, one per file: over tokens, over feature maps, or over the decisions of single phases."""

from scripts.fusion.abaf import Abaf
from scripts.fusion.adaptive_conv import AdaptiveConv
from scripts.fusion.attention import Attention
from scripts.fusion.base import TokenFusion
from scripts.fusion.bilinear import Bilinear
from scripts.fusion.cbam import Cbam
from scripts.fusion.concat import Concat
from scripts.fusion.concat_maps import ConcatMaps
from scripts.fusion.cross_attention import CrossAttention
from scripts.fusion.decision import DecisionFusion
from scripts.fusion.depthwise import Depthwise
from scripts.fusion.evidential import Evidential
from scripts.fusion.fused_attention import FusedAttention
from scripts.fusion.gated import Gated
from scripts.fusion.kronecker import Kronecker
from scripts.fusion.kronecker_compact import KroneckerCompact
from scripts.fusion.late_mean import LateMean
from scripts.fusion.late_product import LateProduct
from scripts.fusion.late_weighted import LateWeighted
from scripts.fusion.low_rank_tensor import LowRankTensor
from scripts.fusion.maps import MapFusion
from scripts.fusion.max import Max
from scripts.fusion.mean import Mean
from scripts.fusion.self_attention import SelfAttention
from scripts.fusion.side_by_side import SideBySide
from scripts.fusion.spatial_gated import SpatialGated
from scripts.fusion.squeeze_excitation import SqueezeExcitation
from scripts.fusion.weighted_sum import WeightedSum

__all__ = [
    "Abaf",
    "AdaptiveConv",
    "Attention",
    "Bilinear",
    "Cbam",
    "Concat",
    "ConcatMaps",
    "CrossAttention",
    "DecisionFusion",
    "Depthwise",
    "Evidential",
    "FusedAttention",
    "Gated",
    "Kronecker",
    "KroneckerCompact",
    "LateMean",
    "LateProduct",
    "LateWeighted",
    "LowRankTensor",
    "MapFusion",
    "Max",
    "Mean",
    "SelfAttention",
    "SideBySide",
    "SpatialGated",
    "SqueezeExcitation",
    "TokenFusion",
    "WeightedSum",
]
