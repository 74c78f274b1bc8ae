"""The images of one DICOM file: one, or one per frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .tags import Tags

NO_VOLUME = {
    "SEG": "a segmentation object; export it as a NIfTI mask",
    "RTSTRUCT": "contours, no image",
    "RTDOSE": "a dose, no image",
    "SR": "a report, no image",
    "PR": "a display setting, no image",
    "KO": "a list of images, no image",
}
"""Modality -> why it is no phase."""


@dataclass(frozen=True)
class Slice:
    """One image: where it lies in space and time.

    Attributes:
        file: the DICOM file.
        frame: position in a file of several frames, from 0; None in a file of one.
        uid: SOP Instance UID.
        series: Series Instance UID.
        number: series number, or "".
        description: series description, or the protocol's name.
        modality: CT, MR, ...
        kind: the words of ImageType (or FrameType).
        shape: columns and rows.
        spacing: mm between columns and between rows.
        orientation: direction of a row, then of a column, as unit vectors (LPS).
        position: centre of the first pixel in mm (LPS).
        b_value: diffusion weighting in s/mm2.
        echo_time: ms.
        temporal_position: number of the time point.
        trigger_time: ms after the trigger.
        acquisition: acquisition number.
        seconds: time of day in s.
        contrast: whether a contrast agent is named.
        problem: why it cannot be part of a volume, or "".
    """

    file: Path
    frame: int | None
    uid: str
    series: str
    number: str
    description: str
    modality: str
    kind: tuple[str, ...]
    shape: tuple[int, int]
    spacing: tuple[float, ...]
    orientation: tuple[float, ...]
    position: tuple[float, ...]
    b_value: float | None = None
    echo_time: float | None = None
    temporal_position: float | None = None
    trigger_time: float | None = None
    acquisition: float | None = None
    seconds: float | None = None
    contrast: bool = False
    problem: str = ""


def slices_of(dataset: Any, file: Path, truncated: str = "") -> list[Slice]:
    """Return the images that a header describes.

    Args:
        dataset: pydicom dataset without pixels.
        file: where it was read.
        truncated: what is wrong with the length of the file, or "".
    """
    whole = Tags([dataset])
    per_frame = whole.value("PerFrameFunctionalGroupsSequence")
    frames = int(whole.number("NumberOfFrames") or 1)
    if frames > 1 and not per_frame:
        return [_slice(whole, file, None, truncated or f"{frames} frames without a position each")]
    if not per_frame:
        return [_slice(whole, file, None, truncated)]
    shared = [group for item in whole.value("SharedFunctionalGroupsSequence") or [] for group in _groups(item)]
    tags = [Tags([*_groups(item), *shared, dataset]) for item in per_frame]
    if len(tags) != frames:
        truncated = truncated or f"{frames} frames but {len(tags)} descriptions of them"
    scales = {(tag.number("RescaleSlope"), tag.number("RescaleIntercept")) for tag in tags}
    if len(scales) > 1:
        truncated = truncated or "frames with different scales of intensity"
    return [_slice(tag, file, index, truncated) for index, tag in enumerate(tags)]


def _groups(item: Any) -> Sequence[Any]:
    """Return the functional groups of one frame, each a dataset of its own."""
    return [element.value[0] for element in item if element.VR == "SQ" and len(element.value)]


def _slice(tags: Tags, file: Path, frame: int | None, problem: str) -> Slice:
    modality = tags.text("Modality").upper()
    kind = tuple(word.upper() for word in tags.texts("FrameType") or tags.texts("ImageType"))
    shape = (int(tags.number("Columns") or 0), int(tags.number("Rows") or 0))
    spacing = tags.numbers("PixelSpacing", 2)
    orientation = tags.numbers("ImageOrientationPatient", 6)
    position = tags.numbers("ImagePositionPatient", 3)
    faults = [
        (modality in NO_VOLUME, NO_VOLUME.get(modality, "")),
        (0 in shape, "no pixels"),
        ("MOSAIC" in kind, "a mosaic, all slices tiled in one image; unpack it with dcm2niix"),
        ("LOCALIZER" in kind or "SCOUT" in kind, "a localizer"),
        (bool(problem), problem),
        ((tags.number("SamplesPerPixel") or 1) > 1, "colour images"),
        (orientation is None or position is None, "images without a position and orientation in space"),
        (orientation is not None and not _right_angle(orientation), "rows and columns not at right angles"),
        (spacing is None or min(spacing or [0]) <= 0, "images without a pixel spacing"),
    ]
    return Slice(
        file=file,
        frame=frame,
        uid=tags.text("SOPInstanceUID"),
        series=tags.text("SeriesInstanceUID"),
        number=tags.text("SeriesNumber"),
        description=tags.text("SeriesDescription") or tags.text("ProtocolName"),
        modality=modality,
        kind=kind,
        shape=shape,
        spacing=(spacing or (0.0, 0.0))[::-1],  # PixelSpacing is that of the rows, then of the columns
        orientation=orientation or (),
        position=position or (),
        b_value=tags.b_value(),
        echo_time=tags.number("EffectiveEchoTime", "EchoTime"),
        temporal_position=tags.number("TemporalPositionIndex", "TemporalPositionIdentifier"),
        trigger_time=tags.number("NominalCardiacTriggerDelayTime", "TriggerTime"),
        acquisition=tags.number("AcquisitionNumber"),
        seconds=tags.seconds(),
        contrast=tags.text("ContrastBolusAgent").lower() not in ("", "no", "none"),
        problem=next((text for fault, text in faults if fault), ""),
    )


def _right_angle(orientation: Sequence[float]) -> bool:
    row, column = np.reshape(orientation, (2, 3))
    return bool(np.allclose([row @ row, column @ column, row @ column], [1.0, 1.0, 0.0], atol=1e-3))
