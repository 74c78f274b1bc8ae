# SPDX-License-Identifier: Apache-2.0
"""Keys of a network that outlines: of its training, and of outlining new scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len, Predicate
from scripts.keys.kinds import (
    Component,
    Count,
    Derived,
    GridSize,
    Keys,
    Name,
    NotNegative,
    OpenShare,
    Probability,
    Share,
    Spacing,
    Text,
    each_once,
    two_or_none,
)


class Masks(Keys):
    """What overlays that learn from masks have in common."""

    structures: Annotated[list[Text], Len(1), Predicate(each_once)] | None
    """names of the masks' values 1, 2, ...; null: those of dataset.json, else all above 0 is one lesion"""
    masks: Literal["case", "phase"] | None
    """one mask per case, or per phase; null: per phase where dataset.json has several"""
    empty_masks: bool
    """true takes masks in which nothing is drawn as they are: scans without a lesion"""
    structure_names: Derived
    """`structures`, or what dataset.json says"""
    mask_kind: Derived
    """`masks`, or what dataset.json has"""
    config: Derived
    """everything above and below, for the results folder"""


class Segmentation(Masks):
    """Overlay `segment.yaml`."""

    name: Name
    """name of the results folder; an existing one is never overwritten"""
    region: Component
    """what is outlined: all that the reference phase shows"""
    classes: Annotated[list[Text], Predicate(two_or_none)]
    """of whole cases: none, where nothing is classified"""
    positive: None
    """the one of two classes that decides: none, likewise"""
    positive_class: Derived
    """none, likewise"""
    spacing: Spacing
    """mm per voxel"""
    grid_size: GridSize
    """voxels of a patch, which the network sees at a time"""
    patches: Count
    """patches per case and epoch"""
    foreground: Share
    """share of the patches that are centred on a structure, each as often as the others"""
    overlap: Probability
    """share of a window that the next one sees, too, where a whole scan is outlined"""
    flips: list[Literal["D", "H", "W"]]
    """axes (D, H, W) along which a scan is flipped, too, as in training; the mean counts; each doubles the time"""
    threshold: OpenShare
    """share of structure against background from which it is outlined; lower finds more, also what is not there"""
    max_epochs: Count
    """passes through the training cases"""
    batch_size: Count
    """patches per step"""
    val_interval: Count
    """epochs (or iterations) between validations, which outline whole scans"""
    decoder: Literal["unet", "pyramid", "deeplab"]
    """from fused stages to outlines: unet (skips), pyramid (FPN) or deeplab (ASPP context)"""
    width: Count
    """channels of the finest stage"""
    deep_supervision: bool
    """coarser outlines are learned, too; in training only"""
    overlap_loss: Literal["dice_ce", "dice_focal"]
    """Dice with cross-entropy or with the focal loss"""
    tolerance: NotNegative
    """mm; within it surfaces agree (surface Dice)"""
    num_masks: Derived
    """per case"""
    num_structures: Derived
    """beside the background"""
    fusion: Component
    """of the maps of each stage; callable: the network adds the number of maps and their width"""
    criterion: Component
    """of one outline"""
    further: Component
    """overlays of the best, a middle and the worst case, where there is a workbench"""


class Outlined(Masks):
    """Overlay `regions/outlined.yaml`."""

    name: Name
    """name of the results folder; an existing one is never overwritten"""
    outline_folds: Annotated[int, Ge(2), Le(100)]
    """parts of the training patients, each outlined by a network that did not see it"""
    outline_max_epochs: Count
    """passes through the training cases"""
    outline_batch_size: Count
    """patches per step"""
    outline_val_interval: Count
    """epochs between validations"""
    outline_spacing: Spacing
    """mm per voxel"""
    outline_grid_size: GridSize
    """voxels of a patch, which the network sees at a time"""
    outline_patches: Count
    """patches per case and epoch"""
    outline_overlap: Probability
    """share of a window that the next one sees, too"""
    outline_flips: list[Literal["D", "H", "W"]]
    """axes (D, H, W) along which a scan is flipped, too, as in training; the mean counts; each doubles the time"""
    outline_threshold: OpenShare
    """share of structure against background from which it is outlined; lower finds more, also what is not there"""
    outline_decoder: Literal["unet", "pyramid", "deeplab"]
    """from fused stages to outlines: unet (skips), pyramid (FPN) or deeplab (ASPP context)"""
    outline_width: Count
    """channels of the finest stage"""
    outlines_from: Path | None
    """folder of a comparison's fold, with outliners that are trained already; null trains them"""
    drawn_regions: bool
    """true: where a case has a mask drawn by a person, that goes before the outline"""
    where_nothing: Literal["error", "whole"]
    """where nothing is outlined the classifier sees the whole scan, which a line says by case; error stops there"""
    region: Component
    """what the grid is centred on"""
    outline_encoder: Component
    """callable: the network adds the number of input channels"""
    outline_fusion: Component
    """of the maps of each stage; callable: the network adds the number of maps and their width"""
    outlines_per_case: Derived
    """1, or one per phase"""
    outline_def: Component
    """the network that outlines"""
    outline_network: Component
    """with its weights, when it is needed: behind its training"""
    outliner: Component
    """trains the outliners, and outlines the training cases"""


class Masked(Masks):
    """Overlay `training/with_masks.yaml`."""

    mask_weight: NotNegative
    """lambda: weight of the outlines' loss beside that of the classes; 0 trains as without masks"""
    mask_width: Count
    """most channels of the decoder, which only the training has"""
    mask_loss: Literal["dice_ce", "dice_focal"]
    """of the outlines: Dice with cross-entropy or with the focal loss"""
    masked_network: Component
    """the network and, in training alone, a decoder that outlines from the stages of its encoder"""
