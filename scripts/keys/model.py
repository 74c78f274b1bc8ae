# SPDX-License-Identifier: Apache-2.0
"""Keys of a trained model: of its training, inference and evaluation. Docstrings become comments and docs/keys.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Predicate
from scripts.keys.kinds import (
    Columns,
    Component,
    Count,
    Derived,
    Device,
    GridSize,
    Groupings,
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
    two_or_none,
)


class Model(Keys):
    """Keys that `train.yaml` and `inference.yaml` share."""

    bundle_root: Path
    """folder of this bundle"""
    phases: Texts
    """volumes to fuse, by their names in dataset.json, in the order of the channels"""
    reference_phase: Text
    """phase whose axes define the common grid"""
    classes: Annotated[list[Text], Predicate(two_or_none)]
    """names of the labels in dataset.json, in the order of the outputs"""
    ordinal: bool
    """the classes are ordered grades, lowest first, as in configs/training/ordinal.yaml"""
    positive: str | None
    """the one of two classes to which threshold, ROC and decision curve refer; null: dataset.json's, else the
    last"""
    clinical: Columns
    """columns of the clinical table to use, by name in dataset.json, e.g. [age, sex]; [] uses none"""
    orientation: Orientation
    """directions of the grid's axes; RAS: to the right, anterior, superior"""
    spacing: Spacing
    """mm per voxel"""
    grid_size: GridSize
    """voxels; the region is cropped or padded to it, never stretched"""
    region: Component
    """what the grid is centred on: MaskRegiond, ContourRegiond, BoxRegiond or WholeVolumeRegiond"""
    views: Annotated[list[View], Predicate(each_once)]
    """read as 2D slices: axial, coronal, sagittal; with volume also the whole; [] is the whole alone"""
    slices: Number
    """slices per view around the centre of the grid; 0 takes all"""
    slice_pooling: Literal["mean", "max"]
    """how the features of several slices are combined: their mean or maximum"""
    intensity: Component
    """WindowIntensityd (CT, HU), ZScoreIntensityd or PercentileIntensityd (MR)"""
    image_filter: Component
    """filter of the resampled image: Identityd is none; MONAI has GaussianSmoothd, MedianSmoothd, ..."""
    seed: Seed
    """the same seed gives the same result"""
    batch_size: Count
    """cases per step"""
    dropout: Probability
    """dropout probability before the last layer"""
    device: Device
    """where the network runs"""
    test_time_augmentation: Number
    """geometric variants averaged per case in validation, test and inference; 0 is off"""
    columns: Derived
    """full declarations of `clinical`; columns given by name are looked up in dataset.json"""
    positive_class: Derived
    """`positive` as spelt in `classes`; null with more than two, each of which is scored against the rest"""
    num_phases: Derived
    """number of phases"""
    channels: Derived
    """image names in dataset.json: the phases, or <phase>_<view> for images of views"""
    num_classes: Derived
    """number of outputs"""
    geometry: Component
    """random geometry, one draw per case for all its phases"""
    share_encoder: bool
    """one encoder for all phases, or one per phase"""
    share_views: bool
    """one plane encoder for all views, or one per view"""
    encoder: Component
    """encoder of a phase, see configs/encoder; callable: the network adds the number of input channels"""
    plane_encoder: Component
    """encoder of a slice, see configs/plane_encoder; callable: the network adds the number of channels"""
    slicer: Component
    """cuts the views inside the network, after the 3D augmentation: one spatial draw for all phases and views"""
    reader: Component
    """reads one phase: the encoder or, if views are named, the plane encoder slice by slice"""
    fusion: Component
    """fusion strategy, see configs/fusion; callable: the network adds the number of tokens and their width"""
    table: Component
    """encoder of the clinical table; callable: the network adds the width"""


class Inference(Model):
    """Keys of `inference.yaml`."""

    dataset_dir: Path
    """folder with dataset.json, or with one subfolder per case"""
    output_dir: Path
    """receives predictions.csv"""
    clinical_table: Path | None
    """CSV or Excel file with the model's clinical columns by case or patient, for new cases"""
    ensemble: Paths
    """results folders, or a pattern for them, whose models' probabilities are averaged; [] is one model"""
    trust: bool
    """an ensemble's folders are verified, since they may contain foreign code; true only warns of it"""
    runtime: Literal["pytorch", "torchscript", "onnx"]
    """what runs the network: pytorch, or torchscript or onnx with the file that `run exporting` wrote"""
    model_file: Paths
    """the trained weights"""
    displayable_configs: dict[str, Any]
    """what MONAI Label lets its users enter for a case: where to look, and clinical values"""
    network: Component
    """the network on its device"""
    preprocessing: Component
    """transforms from the files of a case to the input of the network"""
    dataset: Component
    """the cases, each preprocessed when it is requested"""
    dataloader: Component
    """loads the cases that can be read"""
    prepare_batch: Component
    """turns a batch into the input of the network"""
    inferer: Component
    """runs a batch through the network"""
    postprocessing: Component
    """turns logits into probabilities"""
    evaluator: Component
    """evaluates the batches of the dataloader"""
    config: Derived
    """everything above and below"""


class Evaluation(Keys):
    """Keys of the overlay `evaluate.yaml`."""

    output_dir: Path
    """receives metrics, predictions, figures and report.html"""
    ensemble: Paths
    """results folders, or a pattern for them, whose models' probabilities are averaged; [] is one model"""
    trust: bool
    """an ensemble's folders are verified, since they may contain foreign code; true only warns of it"""
    model_file: Paths
    """the trained weights"""
    split: Split
    """split to evaluate: training, validation, calibration or test"""
    robustness: bool
    """try faults of the images as well (noise, blur, bias field, ringing, motion, shift): 22 passes over the cases"""


class Single(Keys):
    """Keys of the overlay `fusion/single.yaml`."""

    single_phase: Text
    """name of the phase to read, one of `phases`"""


class Fitting(Keys):
    """Keys that determine how the weights are fitted; an evaluation of the trained model does not read them."""

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
    """share of the label spread evenly over all classes"""
    phase_dropout: Probability
    """probability of hiding each phase of a training case, but never all of them; 0 is off"""
    phase_dropout_hides: Literal["slot", "scale", "file"]
    """what a hidden phase loses as well: nothing (slot), its part in a joint intensity rule (scale), also its grid
    (file)"""
    clinical_dropout: Probability
    """probability of hiding a training case's table, and otherwise each of its values; 0 is off"""
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
    """parts of the network that are not trained, e.g. [encoder]"""
    thaw_epoch: Number
    """first epoch in which frozen parts are trained; 0 is never"""


class Training(Model, Fitting):
    """Keys of `train.yaml`."""

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
    by: Groupings
    """columns by which results are shown: site, missing_phases, clinical ones, {age: [50, 65]} in bands; [] is none"""
    missing_phases: bool
    """after the test, withhold every choice of phases: 2^P - 1 passes over its cases for P phases, seconds"""
    cases: Component
    """dataset.json, read and checked; or the labelled cases of MONAI Label"""
    augmentation: Component
    """random transforms on the device, a batch at a time; any random transform of MONAI may be added"""
    network: Component
    """the network on its device, starting from start_weights if given"""
    criterion: Component
    """loss of a prediction"""
    loss: Component
    """loss of the whole network output; some strategies replace it"""
    history: Derived
    """learning curves, one row per validation"""
    config: Derived
    """everything above and below, for the results folder"""
    calibration: Component
    """calibrates the probabilities and, for two classes, fits a threshold; stored in model_file, and evidence.npz for
    prediction sets"""
    further: Component
    """AUC and accuracy with every choice of phases withheld from the test cases"""
