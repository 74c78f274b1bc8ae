# SPDX-License-Identifier: Apache-2.0
"""Keys of the commands around models: explaining, exporting, comparing, preparing, checking, reporting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len, Lt, Predicate
from scripts.keys.kinds import (
    Component,
    Count,
    Groupings,
    Keys,
    Name,
    NotNegative,
    Number,
    Positive,
    Seed,
    Shares,
    Split,
    Text,
    Texts,
    each_once,
)


class Explanation(Keys):
    """Keys of the overlay `explain.yaml`."""

    output_dir: Path
    """receives one folder per case, and the tables of several"""
    clinical_table: Path | None
    """CSV or Excel file with the model's clinical columns by case or patient, for new cases"""
    case: str | list[str]
    """name of a case, list of names, a split (training, validation, test, unlabelled), or all"""
    explanations: Annotated[
        list[Literal["contribution", "layer_cam", "occlusion", "grad_cam"]], Len(1), Predicate(each_once)
    ]
    """explanations to make; grad_cam is Grad-CAM++, see docs/explain.md"""
    explained_class: str | None
    """name of the class whose probability is explained; null is the predicted class of each case"""
    occlusion: Component
    """covers one phase window by window"""
    explainer: Component
    """called once, by `run`"""


class Export(Keys):
    """Keys of the overlay `export.yaml`."""

    formats: Annotated[list[Literal["torchscript", "onnx"]], Len(1), Predicate(each_once)]
    """files to write beside models/model.pt: models/model.ts, models/model.onnx"""
    rounds: Number
    """how often the time of one case is measured with each of them; 0 is not at all"""
    exporter: Component
    """called once, by `run`"""


class Prediction(Keys):
    """Keys of the overlay `predict.yaml`."""

    point: str
    """'x y z' or 'x y z side' in mm along R, A and S: where to look, in place of any mask"""
    positive: str | None
    """the one of two classes to which the threshold applies; the command passes that of the model"""
    output_file: Path
    """receives the prediction"""
    predictor: Component
    """called once, by `run`"""


Folds = Annotated[int, Ge(2), Le(10**6)]
Fraction = Annotated[float, Gt(0), Lt(1)]


class Comparison(Keys):
    """Keys of `compare.yaml`."""

    bundle_root: Path
    """folder of this bundle"""
    name: Name
    """name of the results folder; the same command again continues where it was stopped"""
    output_dir: Path
    """receives the tables, and every training in jobs/"""
    cache: Literal["memory", "disk", "none"]
    """where prepared cases are kept: disk (once for all trainings), memory (once for each) or none"""
    cache_dir: Path
    """folder of the disk cache"""
    strategies: Texts
    """overlays in configs/fusion, single_<phase>, and auto, which chooses in each fold; the baselines are added"""
    candidates: Annotated[list[Text], Predicate(each_once)] | None
    """networks among which auto and `choosing` choose, e.g. [concat, gated]; null takes the other strategies"""
    inner_folds: Folds
    """parts of the cases outside the test part, in which each candidate is tested for a choice"""
    compared_with: Annotated[list[Text], Predicate(each_once)] | None
    """baselines that are added, e.g. [random_forest]; null adds all"""
    training_seeds: Annotated[list[Seed], Len(1), Predicate(each_once)]
    """one training per seed, of the weights and of the order of the cases"""
    splits: Annotated[list[Split], Len(1), Predicate(each_once)]
    """splits of dataset.json whose labelled cases are pooled"""
    folds: Folds
    """number of parts; each is the test part once, and its predictions count"""
    repeats: Count
    """how often the parts are drawn"""
    validation_fraction: Fraction
    """share of the other parts' patients that steers training; the rest fits the weights"""
    leave_one_site_out: bool
    """true: each site is a part, whatever `folds` says; needs 'site' in dataset.json"""
    by: Groupings
    """columns by which pooled results are shown: site, missing_phases, clinical ones, {age: [50, 65]} in bands"""
    outliners_dir: Path
    """receives them; comparisons of the same folds and cases may share it"""
    single_repeats: Number
    """repeats in which single phases are compared, with outliners of that phase alone; 0 leaves them out"""
    measures: Annotated[list[Text], Predicate(each_once)] | None
    """kinds (volume), columns (muscle_ed_mean) or patterns (*_es_*) of what is outlined, as columns of the table"""
    walls: Annotated[list[Text], Predicate(each_once)]
    """structures whose thickness is measured, e.g. [muscle]"""
    baseline: Text | None
    """phase without contrast, against which enhancement and wash-out are measured; null measures neither"""
    seed: Seed
    """of the folds and of the bootstrap"""
    draws: Count
    """bootstrap resamples of the patients"""
    jobs: Count | None
    """trainings at a time on this machine; null is one per core, or a single one with a GPU"""
    backend: Literal["loky", "dask"]
    """loky: processes of this machine; dask: a cluster (pip install -r requirements-dask.txt)"""
    scheduler: Text | None
    """address of the Dask scheduler, e.g. tcp://host:8786; null starts workers on this machine"""


class Preparation(Keys):
    """Keys of `prepare.yaml`."""

    bundle_root: Path
    """folder of this bundle"""
    source: Path | None
    """folder (or file) with the images; for medmnist3d also a name to download, e.g. adrenalmnist3d"""
    layout: Text | None
    """how SOURCE is arranged, e.g. folders, table, dicom or bids; docs/prepare.md shows all layouts"""
    output: Path | None
    """folder that receives dataset.json and data.yaml"""
    labels: Path | None
    """CSV or Excel file: case,label[,patient,site,split][,clinical columns]; not for all layouts"""
    phases: list[Text] | None
    """phases to use, e.g. [pre, arterial, portal], the order of the channels; null takes all, by name"""
    phase_names: dict[str, list[str] | str] | None
    """folders, bids, planes: patterns per phase, e.g. {arterial: ['*art*', ap], portal: ['*ven*']}"""
    reference_phase: Text | None
    """phase whose axes define the common grid; null takes the finest that nearly all cases have"""
    classes: list[Text] | None
    """e.g. [low, high], the order of the outputs; null takes the layout's order, else by name"""
    positive: str | None
    """the one of two classes to which threshold, ROC and decision curve refer; null takes the last"""
    clinical: list[str] | None
    """columns of the label file to take as clinical values, e.g. [age]; null takes all, [] none"""
    clinical_table: Path | None
    """CSV or Excel file with a column case or patient and clinical columns, for any layout"""
    keep_suspicious: bool
    """whether to keep clinical columns that reveal the class alone or together (AUC 0.95 or more)"""
    fractions: Shares
    """shares of training, validation and test, where the source does not fix the splits"""
    calibration: Fraction | None
    """e.g. 0.15: share of the patients set apart for prediction sets, unseen by any training; null is none"""
    seed: Seed
    """of the splits, which are stratified by class and site and grouped by patient"""
    decide_on: Literal["all", "training"]
    """cases that decide on grid, intensity rule, reference phase and columns: all, or training alone"""
    folds: Folds | None
    """e.g. 5: also write folds/r1_f1/dataset.json, ..., each labelled case being a test case once"""
    allow_identical: bool
    """false: cases that share an image (the same voxels) count as one patient; true: as they are"""
    overwrite: bool
    """whether a dataset.json in output may be replaced"""
    rules: Path | None
    """layout dicom: file that says which series is which phase, e.g. a copy of configs/dicom/liver_ct.yaml"""
    dry_run: bool
    """layout dicom: only show which series would become which phase; writes nothing"""
    keep_ids: bool
    """layout dicom: whether cases are named after the PatientID, and not case_0001, case_0002, ..."""
    mapping: Path | None
    """layout dicom: CSV file of which case is which patient; null puts <output>_mapping.csv beside output"""
    bias_correction: Literal["none", "n4"]
    """for MR: none, or n4; corrected volumes are written to output/n4"""
    bias_phases: list[Text] | None
    """phases to correct, e.g. [t1, t2]; null corrects all"""
    registration: Literal["none", "rigid", "affine", "deformable"]
    """of the other phases to the reference phase: none, rigid, affine (scale, shear) or deformable (bend)"""
    registration_margin: NotNegative
    """mm around the region (box, mask, else the volume) in which phases are compared and deformed"""
    registration_seconds: Positive
    """s after which the search for a pair ends; the best position found so far counts"""
    registration_max_shift: NotNegative
    """mm; a phase whose region would move further is left unregistered"""
    registration_max_rotation: NotNegative
    """degrees; a phase that would rotate further is left unregistered"""
    structures: list[Text] | None
    """names of the values 1, 2, ... of the masks, e.g. [organ, lesion]; null takes the layout's or none"""
    without_mask: Literal["leave_out", "box", "whole_volume"] | None
    """if only some cases have a mask: leave_out, box or whole_volume (of all); null stops and says which"""
    workers: Count | None
    """volumes at a time; null takes one per core"""
    quality: bool
    """whether the images are checked at the end, which writes quality.html; see docs/prepare.md"""
    correcting: Component
    """the rule of the bias correction"""
    registering: Component
    """the rule of the registration"""


class Check(Keys):
    """Keys of `check.yaml`."""

    bundle_root: Path
    """folder of this bundle"""
    dataset_dir: Path | None
    """folder that holds dataset.json, or the path of such a file"""
    output_dir: Path | None
    """folder that receives quality.html; null takes that of dataset.json"""
    workers: Count | None
    """cases at a time; null takes one per core"""


class Measuring(Keys):
    """`measure.yaml`."""

    bundle_root: Path
    """folder of this bundle"""
    dataset_dir: Path | None
    """folder with dataset.json, the path of such a file, or a folder with one sub-folder per case"""
    output_dir: Path | None
    """folder that receives measures.csv, and of a dataset.json also dataset.json and measures.yaml"""
    outlines: Path | None
    """folder with the outlines of a model, as <case>.nii.gz or <case>_<phase>.nii.gz; null: the masks of the dataset"""
    phases: Texts | None
    """phases to measure, e.g. [ed, es]; null takes those of dataset.json"""
    structures: Texts | None
    """names of the masks' values 1, 2, ...; null takes those of dataset.json, else all is one lesion"""
    walls: Annotated[list[Text], Predicate(each_once)]
    """structures whose thickness is measured, e.g. [muscle]"""
    baseline: Text | None
    """phase without contrast, against which enhancement and wash-out are measured; null measures neither"""
    measures: Annotated[list[Text], Predicate(each_once)] | None
    """kinds (volume), columns (muscle_ed_mean) or patterns (*_es_*) that become clinical columns; null takes the
    usual kinds"""
    workers: Count | None
    """cases at a time; null takes one per core"""


class Report(Keys):
    """Keys of `report.yaml`."""

    bundle_root: Path
    """folder to report, e.g. results/X, results/X/evaluation, results/comparison; receives report.html"""
    comparison: Path | None
    """folder of a finished comparison to show as well; null is none"""
    anonymous: bool
    """true leaves out commands and paths of this machine, so that the page can be shared"""


class Validation(Keys):
    """Keys of `validate.yaml`."""

    bundle_root: Path
    """results folder of the model"""
    dataset_dir: Path | None
    """folder with the dataset.json of the other hospital, or the path of such a file; all cases with a class count"""
    output_dir: Path
    """receives report.html, validation.json, figures, and the evaluation"""
    recalibration: Fraction | None
    """e.g. 0.3: share of its patients on which probabilities are recalibrated, the rest is evaluated; null is none"""
    draws: Count
    """bootstrap resamples of the patients"""
    seed: Seed
    """of the recalibration's patients and of the bootstrap"""


FILES: dict[str, type[Keys]] = {
    "explain.yaml": Explanation,
    "export.yaml": Export,
    "predict.yaml": Prediction,
    "compare.yaml": Comparison,
    "prepare.yaml": Preparation,
    "check.yaml": Check,
    "measure.yaml": Measuring,
    "report.yaml": Report,
    "validate.yaml": Validation,
}
"""Configuration file -> its keys."""

COMMANDS = {
    "comparing": ("train.yaml", "compare.yaml"),
    "choosing": ("train.yaml", "compare.yaml"),
    "explaining": ("inference.yaml", "explain.yaml"),
    "exporting": ("inference.yaml", "export.yaml"),
    "predicting": ("inference.yaml", "predict.yaml"),
    "preparing": ("prepare.yaml",),
    "checking": ("check.yaml",),
    "measuring": ("measure.yaml",),
    "reporting": ("report.yaml",),
    "validating": ("validate.yaml",),
}
"""Command -> the files with its keys; later files take precedence."""

UNREAD = {
    "exporting": frozenset(
        ["dataset_dir", "output_dir", "clinical_table", "ensemble", "trust", "runtime", "batch_size"]
    ),
    "choosing": frozenset(
        ["compared_with", "splits", "folds", "repeats", "leave_one_site_out", "outliners_dir", "single_repeats"]
        + ["measures", "walls", "baseline", "draws", "by"]
    ),
}
"""Command -> keys of its files that it does not read."""

TOOLS = frozenset(["preparing", "checking", "measuring", "reporting", "validating"])
"""Commands that need no model."""
