"""Transforms that MONAI lacks: phases on one grid, cropped first; missing phases; augmentation of a batch."""

from .augment_batch import AugmentBatch
from .box_region import BoxRegiond
from .clinical_dropout import ClinicalDropout
from .contour_region import ContourRegiond
from .encode_clinical import EncodeClinicald
from .find_phases import FindPhasesd
from .judge_positive import JudgePositived
from .load_phases import LoadImagePhasesd
from .mask_region import MaskRegiond
from .paint_prediction import PaintPredictiond
from .percentile_intensity import PercentileIntensityd
from .phase_dropout import PhaseDropout
from .random_geometry import RandomGeometry
from .random_intensity import RandomIntensity
from .read_label import ReadLabeld
from .resample_phases import ResamplePhasesd
from .slice_views import GivenViews, SliceViews, channel_names
from .stack_phases import StackPhasesd
from .whole_volume_region import WholeVolumeRegiond
from .window_intensity import WindowIntensityd
from .zscore_intensity import ZScoreIntensityd

__all__ = [
    "AugmentBatch",
    "BoxRegiond",
    "ClinicalDropout",
    "ContourRegiond",
    "EncodeClinicald",
    "FindPhasesd",
    "GivenViews",
    "JudgePositived",
    "LoadImagePhasesd",
    "MaskRegiond",
    "PaintPredictiond",
    "PercentileIntensityd",
    "PhaseDropout",
    "RandomGeometry",
    "RandomIntensity",
    "ReadLabeld",
    "ResamplePhasesd",
    "SliceViews",
    "StackPhasesd",
    "WholeVolumeRegiond",
    "WindowIntensityd",
    "ZScoreIntensityd",
    "channel_names",
]
