# SPDX-License-Identifier: Apache-2.0
"""The networks from an image to the logits."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    conditioned="ConditionedNetwork Daft Film",
    map_fusion="HybridNetwork MapFusionNetwork",
    multi_level="MultiLevelNetwork",
    phase_fusion="LateFusionNetwork PhaseFusionNetwork",
    plain="EarlyFusionNetwork SinglePhaseNetwork TableNetwork",
    table_encoder="TableEncoder",
)
