"""What the MONAI workflow needs beyond MONAI: precision, checkpoints, schedules, the results folder."""

from scripts import exports

__getattr__, __all__ = exports(
    __name__,
    batch="PrepareBatch",
    calibrate="CalibrateModel",
    checkpoint="Checkpoints",
    curves="LearningCurves",
    distributed="GlobalBatch ShareOfLoss distribute end_processes process_device start_processes",
    ensemble="LoadWeights model_files",
    evaluation="EvaluationReport",
    further="Further",
    inferer="PhaseInferer SelectLogitsd TestTimeInferer",
    metadata="check_model",
    network="place_network",
    output_place="check_output",
    prepared_splits="prepare_splits",
    progress="Progress",
    randomness="EpochSeed keep_freed_memory",
    removal="Removal",
    results="ResultsFolder",
    results_place="results_folder",
    run="finish settle start",
    running="running_config",
    schedule="FreezeParts ScheduleHandler warmup_cosine",
    sections="begin_training end_training pooled_scores",
    selection="EarlyStop PooledScore SelectionScore",
    served="hand_over training_cases",
    trained="record",
)
