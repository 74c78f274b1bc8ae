"""Keys of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from scripts.keys.kinds import (
    Component,
    Count,
    Derived,
    Keys,
    Name,
    NotNegative,
    Number,
    Positive,
    Probability,
    Text,
)
from scripts.keys.model import Model


class Fitting(Keys):
    """What fits the weights: read by a training alone, and kept where a trained model is evaluated."""

    name: Name
    """name of the results folder; an existing one is never overwritten"""
    max_epochs: Count
    """passes through the training cases"""
    learning_rate: Positive
    """peak of the schedule"""
    weight_decay: NotNegative
    """decoupled (AdamW)"""
    warmup_epochs: Number
    """epochs of linear warm-up before the cosine decay"""
    class_weights: Literal["balanced"] | list[Positive] | None
    """null, balanced (inverse to the class counts), or one weight per class"""
    focal_gamma: NotNegative
    """focusing parameter of the focal loss; 0 is cross-entropy"""
    label_smoothing: Probability
    """share of the label given to the other classes"""
    phase_dropout: Probability
    """probability that a phase of a training case is hidden, never all; 0 is off"""
    phase_dropout_hides: Literal["scale", "file"]
    """of a hidden phase: its share in a joint intensity rule, too; file is also its grid, as without it"""
    clinical_dropout: Probability
    """probability that a training case's table is hidden, else each value of it; 0 is off"""
    precision: Literal["auto", "bf16", "fp32"]
    """training arithmetic: auto (bfloat16 where the hardware has it), bf16 or fp32"""
    val_interval: Count
    """epochs (or iterations) between validations"""
    val_by_epoch: bool
    """false counts val_interval in iterations, for tiny datasets"""
    selection_rule: Literal["auc", "accuracy", "loss", "auc_accuracy"]
    """best checkpoint by: auc, accuracy, loss, auc_accuracy (0.5 AUC + 0.5 accuracy)"""
    smoothing: Probability
    """exponential smoothing of the validation score in [0, 1); 0 takes each validation as it is"""
    patience: Number
    """validations without a new best before training stops; 0 never stops early"""
    calibrate: bool
    """fit temperature and threshold of the best checkpoint on the validation split"""
    resume: bool
    """continue the newest results/<name> after its last finished epoch"""
    start_weights: Path | None
    """weights file to start from; tensors that do not fit are listed"""
    encoder_weights: Path | None
    """weights of the encoder alone: a file, or medicalnet (downloaded); what does not fit is listed"""
    freeze: list[Text]
    """parts of the network that are kept as they are, e.g. [encoder]"""
    thaw_epoch: Number
    """first epoch in which frozen parts learn; 0 never"""


class Training(Model, Fitting):
    """`train.yaml`."""

    dataset_dir: Path
    """folder with dataset.json; the phantom is made on first use"""
    output_dir: Path
    """receives the trained bundle"""
    model_file: Derived
    """best checkpoint; evaluation loads it"""
    cache: Literal["memory", "disk", "none"]
    """where prepared cases are kept: memory, disk or none"""
    cache_dir: Path
    """folder of the disk cache"""
    split: Literal["test"]
    """split that is reported at the end; `run evaluating` reports others"""
    missing_phases: bool
    """after the test, withhold phases: 2^P - 1 passes over its cases for P phases, seconds"""
    cases: Component
    """dataset.json, read and checked; or the labelled cases of MONAI Label"""
    augmentation: Component
    """on the device, a batch at a time"""
    network: Component
    """on its device, from start_weights if given"""
    criterion: Component
    """of one prediction"""
    loss: Component
    """of the whole network output; some strategies replace it"""
    history: Derived
    """learning curves, one row per validation"""
    config: Derived
    """everything above and below, for the results folder"""
    calibration: Component
    """probabilities as often right as they say, and a threshold for two classes; stored in model_file"""
    further: Component
    """AUC and accuracy with every choice of phases withheld from the test cases"""
