# SPDX-License-Identifier: Apache-2.0
"""Additions to the MONAI workflow: precision, checkpoints, schedules, calibration, the results folder."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    calibrate="CalibrateModel",
    checkpoint="Checkpoints",
    curves="LearningCurves Progress",
    distributed="GlobalBatch ShareOfLoss distribute end_processes process_device start_processes",
    ensemble="LoadWeights model_files record",
    evaluation="EvaluationReport",
    further="Further OutlineFigures",
    inferer="PhaseInferer PrepareBatch SelectLogitsd TestTimeInferer",
    metadata="check_model",
    network="place_network",
    outliner="Outliner beside trained_outliner",
    outlines="OutlineReport",
    output_place="check_output results_folder",
    randomness="EpochSeed keep_freed_memory",
    removal="Removal",
    results="ResultsFolder",
    run="begin_training end_training finish prepare_splits settle start",
    running="running_config",
    schedule="FreezeParts ScheduleHandler warmup_cosine",
    segmentation="DiceScore PrepareOutlined WindowInferer dice_metrics",
    selection="EarlyStop PooledScore SelectionScore pooled_scores",
    served="PredictionSetsd hand_over training_cases",
    with_masks="MaskTraining PrepareMasked",
)
