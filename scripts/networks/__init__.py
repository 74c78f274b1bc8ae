"""The networks from an image to the logits."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    conditioned="ConditionedNetwork Daft Film",
    hybrid="HybridNetwork",
    map_fusion="MapFusionNetwork",
    multi_level="MultiLevelNetwork",
    phase_fusion="LateFusionNetwork PhaseFusionNetwork",
    plain="EarlyFusionNetwork SinglePhaseNetwork TableNetwork",
    table_encoder="TableEncoder",
)
