# SPDX-License-Identifier: Apache-2.0
"""Keys of a network that outlines: of its training, and of outlining new scans."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Len, Predicate
from scripts.keys.kinds import (
    Component,
    Count,
    Derived,
    GridSize,
    Keys,
    Name,
    NotNegative,
    Probability,
    Share,
    Spacing,
    Text,
    each_once,
)


class Segmentation(Keys):
    """Overlay `segment.yaml`."""

    name: Name
    """name of the results folder; an existing one is never overwritten"""
    structures: Annotated[list[Text], Len(1), Predicate(each_once)] | None
    """names of the masks' values 1, 2, ...; null: those of dataset.json, else all above 0 is one lesion"""
    masks: Literal["case", "phase"] | None
    """one mask per case, or per phase; null: per phase where dataset.json has several"""
    empty_masks: bool
    """true takes masks in which nothing is drawn as they are: scans without a lesion"""
    region: Component
    """what is outlined: all that the reference phase shows"""
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
    structure_names: Derived
    """`structures`, or what dataset.json says"""
    mask_kind: Derived
    """`masks`, or what the training cases have"""
    num_masks: Derived
    """per case"""
    num_structures: Derived
    """beside the background"""
    fusion: Component
    """of the maps of each stage; callable: the network adds the number of maps and their width"""
    criterion: Component
    """of one outline"""
    config: Derived
    """everything above and below, for the results folder"""
    further: Component
    """overlays of the best, a middle and the worst case, where there is a workbench"""
