"""Encoders, and the networks from an image to the logits."""

from scripts.networks.builder import build
from scripts.networks.calibration import Calibration
from scripts.networks.conditioned import ConditionedNetwork
from scripts.networks.daft import Daft
from scripts.networks.early_fusion import EarlyFusionNetwork
from scripts.networks.ensemble import Ensemble
from scripts.networks.film import Film
from scripts.networks.fused_features import FusedFeatures
from scripts.networks.fusion_weights import FusionWeights
from scripts.networks.hybrid import HybridNetwork
from scripts.networks.late_fusion import LateFusionNetwork
from scripts.networks.map_fusion import MapFusionNetwork
from scripts.networks.monai_densenet import MonaiDenseNetEncoder
from scripts.networks.monai_efficientnet import MonaiEfficientNetEncoder
from scripts.networks.monai_resnet import MonaiResNetEncoder
from scripts.networks.monai_senet import MonaiSEResNetEncoder
from scripts.networks.monai_vit import MonaiViTEncoder
from scripts.networks.multi_level import MultiLevelNetwork
from scripts.networks.phase_fusion import PhaseFusionNetwork
from scripts.networks.raw_logits import RawLogits
from scripts.networks.residual import ResidualEncoder
from scripts.networks.single_phase import SinglePhaseNetwork
from scripts.networks.summary import summary
from scripts.networks.table import TableNetwork
from scripts.networks.table_encoder import TableEncoder, table_encoders
from scripts.networks.view_encoder import ViewEncoder, reader, token_names

__all__ = [
    "Calibration",
    "ConditionedNetwork",
    "Daft",
    "EarlyFusionNetwork",
    "Ensemble",
    "Film",
    "FusedFeatures",
    "FusionWeights",
    "HybridNetwork",
    "LateFusionNetwork",
    "MapFusionNetwork",
    "MonaiDenseNetEncoder",
    "MonaiEfficientNetEncoder",
    "MonaiResNetEncoder",
    "MonaiSEResNetEncoder",
    "MonaiViTEncoder",
    "MultiLevelNetwork",
    "PhaseFusionNetwork",
    "RawLogits",
    "ResidualEncoder",
    "SinglePhaseNetwork",
    "TableEncoder",
    "TableNetwork",
    "ViewEncoder",
    "build",
    "reader",
    "summary",
    "table_encoders",
    "token_names",
]
