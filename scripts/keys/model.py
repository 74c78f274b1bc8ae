# SPDX-License-Identifier: Apache-2.0
"""Keys of a trained model: of its training, its configuration, and its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Len, Predicate
from scripts.keys.kinds import (
    Columns,
    Component,
    Count,
    Derived,
    Device,
    GridSize,
    Keys,
    Name,
    NotNegative,
    Number,
    Orientation,
    Paths,
    Positive,
    Probability,
    Seed,
    Spacing,
    Split,
    Text,
    Texts,
    View,
    each_once,
)


class Model(Keys):
    """What a model's configurations have in common: `train.yaml` and `inference.yaml`."""

    bundle_root: Path
    """folder of this bundle"""
    phases: Texts
    """volumes that are fused, by their names in dataset.json; the order of the channels"""
    reference_phase: Text
    """phase whose axes define the common grid"""
    classes: Annotated[list[Text], Len(2), Predicate(each_once)]
    """names of the labels in dataset.json; the order of the outputs"""
    positive: str | None
    """of two classes the one that threshold, ROC and decision curve are about; null: dataset.json's, else the
    last"""
    clinical: Columns
    """columns of the clinical table by their names in dataset.json, e.g. [age, sex]; [] is no table"""
    orientation: Orientation
    """axes of the grid: to the Right, Anterior, Superior"""
    spacing: Spacing
    """mm per voxel"""
    grid_size: GridSize
    """voxels; the region is cropped or padded to it, never stretched"""
    region: Component
    """what the grid is centred on: MaskRegiond, ContourRegiond, BoxRegiond or WholeVolumeRegiond"""
    views: Annotated[list[View], Predicate(each_once)]
    """read as 2D planes: axial, coronal, sagittal; with volume the whole as well; [] is the whole alone"""
    slices: Number
    """slices per view about the centre of the grid; 0 is all of them"""
    slice_pooling: Literal["mean", "max"]
    """what is kept of several slices: their mean, or the max of each feature"""
    intensity: Component
    """WindowIntensityd (CT, HU), ZScoreIntensityd or PercentileIntensityd (MR)"""
    image_filter: Component
    """of the finished grid: Identityd is none; MONAI has GaussianSmoothd, MedianSmoothd, ..."""
    seed: Seed
    """one seed gives one result"""
    batch_size: Count
    """cases per step"""
    dropout: Probability
    """probability before the last layer"""
    device: Device
    """where the network runs"""
    test_time_augmentation: Number
    """geometric variants averaged per case in validation, test and inference; 0 is off"""
    columns: Derived
    """`clinical` declared in full; dataset.json is asked where only names are given"""
    positive_class: Derived
    """`positive` as `classes` write it; null with more than two, each of which stands against the rest"""
    num_phases: Derived
    """volumes per case"""
    channels: Derived
    """their names in dataset.json; <phase>_<view> for images of views"""
    num_classes: Derived
    """outputs"""
    geometry: Component
    """random geometry, one draw per case for all its phases"""
    share_encoder: bool
    """one encoder for all phases, or one per phase"""
    share_views: bool
    """one plane encoder for all views, or one per view"""
    encoder: Component
    """overlays in configs/encoder; callable: the network adds the number of input channels"""
    plane_encoder: Component
    """reads one slice, overlays in configs/plane_encoder; callable: the network adds the number of
    channels"""
    slicer: Component
    """cuts the views in the network, behind the 3D augmentation: one spatial draw for all phases and views"""
    reader: Component
    """what reads one phase: the encoder, or where views are named, the plane encoder slice by slice"""
    fusion: Component
    """overlays in configs/fusion; callable: the network adds the number of tokens and their width"""
    table: Component
    """encoder of the clinical table; callable: the network adds the width"""


class Inference(Model):
    """`inference.yaml`."""

    dataset_dir: Path
    """folder with dataset.json, or with one subfolder per case"""
    output_dir: Path
    """receives predictions.csv"""
    clinical_table: Path | None
    """CSV or Excel file with the model's clinical columns by case or patient, for new cases"""
    ensemble: Paths
    """results folders, or a pattern of them, whose models' probabilities are averaged; [] is one model"""
    trust: bool
    """an ensemble's folder from elsewhere may hold code: it is verified, and with true only warned of"""
    runtime: Literal["pytorch", "torchscript", "onnx"]
    """what computes: pytorch, or torchscript or onnx from the file that `run exporting` wrote"""
    model_file: Paths
    """the trained weights"""
    displayable_configs: dict[str, Any]
    """what MONAI Label lets its user type in for a case: where to look, and clinical values"""
    network: Component
    """on its device"""
    preprocessing: Component
    """from the files of a case to what the network reads"""
    dataset: Component
    """the cases, prepared when they are asked for"""
    dataloader: Component
    """of the cases that can be read"""
    prepare_batch: Component
    """from a batch to what the network is given"""
    inferer: Component
    """how a batch goes through the network"""
    postprocessing: Component
    """from logits to probabilities"""
    evaluator: Component
    """runs over the dataloader"""
    config: Derived
    """everything above and below"""


class Evaluation(Keys):
    """Overlay `evaluate.yaml`."""

    output_dir: Path
    """receives metrics, predictions, figures and report.html"""
    ensemble: Paths
    """results folders, or a pattern of them, whose models' probabilities are averaged; [] is one model"""
    trust: bool
    """an ensemble's folder from elsewhere may hold code: it is verified, and with true only warned of"""
    model_file: Paths
    """the trained weights"""
    split: Split
    """split that is evaluated: training, validation or test"""


class Single(Keys):
    """Overlay `fusion/single.yaml`."""

    single_phase: Text
    """name of the phase to read, one of `phases`"""


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
    """on the device, a batch at a time; any random transform of MONAI may be in the list"""
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
