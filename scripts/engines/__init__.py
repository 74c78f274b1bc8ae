"""What the MONAI workflow needs beyond MONAI: precision, checkpoints, schedules, the results folder."""

from .batch import PrepareBatch
from .calibrate import CalibrateModel
from .checkpoint import Checkpoints
from .curves import LearningCurves
from .distributed import distribute, end_processes, process_device, start_processes
from .early_stop import EarlyStop
from .ensemble import model_files
from .freed_memory import keep_freed_memory
from .freeze import FreezeParts
from .global_batch import GlobalBatch, ShareOfLoss
from .inferer import PhaseInferer, TestTimeInferer
from .loaded_weights import LoadWeights
from .logits import SelectLogitsd
from .metadata import check_model
from .network import place_network
from .output_place import check_output
from .prepared_splits import prepare_splits
from .progress import Progress
from .randomness import EpochSeed
from .removal import Removal
from .results import ResultsFolder
from .results_place import results_folder
from .running_config import running_config
from .schedule import ScheduleHandler, warmup_cosine
from .selection import PooledScore, SelectionScore, pooled_output
from .served import hand_over, training_cases
from .start import finish, settle, start
from .withhold import WithholdPhases

__all__ = [
    "CalibrateModel",
    "Checkpoints",
    "EarlyStop",
    "EpochSeed",
    "FreezeParts",
    "GlobalBatch",
    "LearningCurves",
    "LoadWeights",
    "PhaseInferer",
    "PooledScore",
    "PrepareBatch",
    "Progress",
    "Removal",
    "ResultsFolder",
    "ScheduleHandler",
    "SelectLogitsd",
    "SelectionScore",
    "ShareOfLoss",
    "TestTimeInferer",
    "WithholdPhases",
    "check_model",
    "check_output",
    "distribute",
    "end_processes",
    "finish",
    "hand_over",
    "keep_freed_memory",
    "model_files",
    "place_network",
    "pooled_output",
    "prepare_splits",
    "process_device",
    "results_folder",
    "running_config",
    "settle",
    "start",
    "start_processes",
    "training_cases",
    "warmup_cosine",
]
