# SPDX-License-Identifier: Apache-2.0
"""An outline as a DICOM Segmentation, which a PACS stores and a viewer shows on the images that were outlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scripts.files.atomic import write_atomically
from scripts.volumes.label_map import read_label_map
from scripts.volumes.open import open_volume
from workbench.predict.structured_report import MANUFACTURER, coded, codes, evidence_of, highdicom, short_text
from workbench.prepare.dicom.stacks import Stack

SERIES_NUMBER = 9902
SAME_PLACE = 1e-3
"""mm by which a voxel of an outline may lie off that of its series: what NIfTI keeps of an affine."""


def write_segmentation(
    outline: Path,
    stack: Stack,
    structures: Sequence[str],
    model: Mapping[str, Any],
    target: Path,
    character_set: str = "",
) -> Path:
    """Write a binary DICOM Segmentation with one segment per structure, on the very planes of a series.

    Every frame has position and orientation of the image that it belongs to and refers to it, so that oblique
    series and those in any order of slices need no special case. Frames without a voxel are left out, unless all
    are. Patient and study are those of the images; structures have no public code: they are coded in the private
    scheme, with their names as labels.

    Args:
        outline: label map on the voxels of the series, 0 and the values 1, 2, ... of `structures`.
        stack: the images of the series.
        structures: names of the values.
        model: ``name`` and ``version``.
        target: the file.
        character_set: of texts in images whose header names none or a wrong one; "" is Western European.

    Raises:
        ValueError: the outline lies on other voxels than the series, or the series has no frame of reference, so
            that nothing can be placed on it.
    """
    labels = _on_series(outline, stack)
    images = evidence_of([stack], character_set)
    if not all(image.get("FrameOfReferenceUID") for image in images):
        raise ValueError(
            f"{outline}: a DICOM Segmentation needs images with a frame of reference, found none in "
            f"{stack.first.name}; keep the tag FrameOfReferenceUID, or use the label map"
        )
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=short_text(model["name"]), version=str(model["version"]), family=codes.DCM.ArtificialIntelligence
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=value, segment_label=short_text(name),
            segmented_property_category=codes.SCT.SpatialAndRelationalConcept, segmented_property_type=coded(name),
            algorithm_type="AUTOMATIC", algorithm_identification=algorithm,
        )
        for value, name in enumerate(structures, start=1)
    ]  # fmt: skip
    first, step = stack.first, float(f"{np.linalg.norm(np.asarray(stack.affine)[:3, 2]):.10g}")
    for image in images if first.frame is None else []:  # highdicom reads it
        image.SliceThickness = image.get("SliceThickness") or step
    measures = highdicom.PixelMeasuresSequence(
        pixel_spacing=[float(f"{side:.10g}") for side in reversed(first.spacing)],
        slice_thickness=first.thickness or step, spacing_between_slices=step,
    )  # fmt: skip
    planes = [highdicom.PlanePositionSequence("PATIENT", image.position) for image in stack.slices]
    try:
        found = highdicom.seg.Segmentation(
            source_images=images,
            pixel_array=np.ascontiguousarray(labels.T),  # [slices, rows, columns]
            segmentation_type="BINARY",
            segment_descriptions=segments,
            series_instance_uid=highdicom.UID(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=short_text(model["name"]),
            software_versions=str(model["version"]),
            device_serial_number="none",
            pixel_measures=measures,
            plane_positions=planes,
            series_description="AI outline, research only",
            specific_character_set="ISO_IR 192",  # UTF-8, as the texts of `images` now are
        )
    except (AttributeError, TypeError, ValueError) as error:  # of headers that lack or contradict something
        raise ValueError(
            f"{outline}: no DICOM Segmentation can be made for series {first.number} ({error}); correct the images, "
            "or use the label map"
        ) from None
    frames = {(image.frame or 0) + 1 for image in stack.slices}
    for frame in found.PerFrameFunctionalGroupsSequence if first.frame is not None else []:
        for derived in frame.DerivationImageSequence:  # highdicom refers to all frames at the same place
            kept = [one for one in derived.SourceImageSequence if int(one.ReferencedFrameNumber) in frames]
            derived.SourceImageSequence = kept
    return write_atomically(target, lambda path: found.save_as(path, enforce_file_format=True))


def _on_series(outline: Path, stack: Stack) -> np.ndarray:
    """Read a label map [columns, rows, slices] once it is known to lie on the voxels of its series."""
    volume = open_volume(str(outline), "outline")
    shape, affine = (*stack.first.shape, len(stack.slices)), np.asarray(stack.affine)
    corners = np.stack(np.meshgrid(*((0, size - 1) for size in shape), [1]), axis=-1).reshape(-1, 4)
    off = np.abs(corners @ (volume.affine - affine).T).max() if volume.shape == shape else np.inf
    if off > SAME_PLACE:
        where = "other voxels" if np.isinf(off) else f"voxels that lie up to {off:.3g} mm off"
        raise ValueError(
            f"{outline}: a DICOM Segmentation must lie on the voxels of its series, {shape} of series "
            f"{stack.first.number}, found {volume.shape}, {where}; resample the outline onto the series, or use the "
            "label map"
        )
    return read_label_map(volume)
