"""Keys of a trained model: of its configuration, and of what is done with it."""

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
    Number,
    Orientation,
    Paths,
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
    dataloader: Component
    """of the cases that can be read"""
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
