# SPDX-License-Identifier: Apache-2.0
"""Transforms that MONAI lacks: crop and resample all phases to one grid, missing phases, batch augmentation."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    augment="AugmentBatch PhaseDropout RandomIntensity",
    clinical="ClinicalDropout EncodeClinicald",
    geometry="RandomGeometry",
    intensity="PercentileIntensityd WindowIntensityd ZScoreIntensityd",
    mask_region="ContourRegiond MaskRegiond",
    masks="ResampleMasksd with_masks",
    outlined_region="OutlinedRegiond",
    phases="LoadImagePhasesd StackPhasesd",
    region="BoxRegiond WholeVolumeRegiond",
    resample="ResamplePhasesd",
    server_inputs="FindPhasesd",
    server_labels="ReadLabeld ReadMaskd",
    viewer_answer="JudgePositived PaintPredictiond",
    views="GivenViews SliceViews channel_names",
)
