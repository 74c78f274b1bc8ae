# SPDX-License-Identifier: Apache-2.0
"""The images of one DICOM file: one, or one per frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from workbench.prepare.dicom.headers import shown
from workbench.prepare.dicom.moments import Moment, moment_of
from workbench.prepare.dicom.tags import Scale, Tags, b_value, component, scale_of

NO_VOLUME = {
    "SEG": "a segmentation object; export it as a NIfTI mask",
    "RTSTRUCT": "contours, no image",
    "RTDOSE": "a dose, no image",
    "SR": "a report, no image",
    "PR": "a display setting, no image",
    "KO": "a list of images, no image",
}
"""Modality -> why it cannot be a phase."""
LOCALIZER = "a localizer"
NO_AGENT = {
    "", "0", "-", "n", "no", "none", "nil", "without", "no contrast", "none given", "not given", "n/a",
}  # fmt: skip
"""Entries for the name of the contrast agent that mean there was none."""


@dataclass(frozen=True)
class Slice:
    """One image: where it lies in space and time."""

    file: Path
    frame: int | None  # position in a file of several frames, from 0; None in a file of one
    uid: str
    series: str
    number: str  # series number, or ""
    instance: int | None
    description: str  # series description, or the protocol's name
    modality: str
    kind: tuple[str, ...]  # the words of ImageType (or FrameType)
    shape: tuple[int, int]  # columns and rows
    spacing: tuple[float, ...]  # mm between columns and between rows
    thickness: float | None  # mm
    orientation: tuple[float, ...]  # direction of a row, then of a column, as unit vectors (LPS)
    position: tuple[float, ...]  # centre of the first pixel in mm (LPS)
    frame_of_reference: str = ""  # UID of the coordinates
    stack: str = ""  # name of the stack within a file of several frames, or ""
    b_value: float | None = None  # diffusion weighting in s/mm2
    direction: tuple[float, ...] = ()  # of the diffusion gradient, or ()
    # echo_time, inversion_time: ms
    echo_time: float | None = None
    inversion_time: float | None = None
    flip_angle: float | None = None  # degrees
    kernel: str = ""  # of the reconstruction (CT)
    temporal_position: float | None = None  # number of the time point
    trigger_time: float | None = None  # ms after the trigger
    acquisition: float | None = None
    moment: Moment | None = None
    seconds: float | None = None  # the same on the clock of its study, in s since day 0
    contrast: bool = False
    scale: Scale = Scale()
    problem: str = ""  # why it cannot be part of a volume, or ""

    @property
    def name(self) -> str:
        """The file's name as one line of plain text."""
        return shown(self.file.name)


def slices_of(dataset: Any, file: Path, fault: str = "") -> list[Slice]:
    """Return the images that a header describes.

    Args:
        fault: what keeps its pixels from being read, or "".
    """
    whole = Tags([dataset])
    per_frame = whole.value("PerFrameFunctionalGroupsSequence")
    frames = int(whole.number("NumberOfFrames") or 1)
    if frames > 1 and not per_frame:
        return [_slice(whole, whole, file, None, fault or f"{frames} frames without a position each")]
    if not per_frame:
        return [_slice(whole, whole, file, None, fault)]
    shared = [group for item in whole.value("SharedFunctionalGroupsSequence") or [] for group in _groups(item)]
    tags = [Tags([*_groups(item), item, *shared, dataset]) for item in per_frame]
    if len(tags) != frames:
        fault = fault or f"{frames} frames but {len(tags)} descriptions of them"
    return [_slice(whole, tag, file, index, fault) for index, tag in enumerate(tags)]


def _groups(item: Any) -> Sequence[Any]:
    """Return the functional groups of one frame, each a dataset; private sequences are left out."""
    return [e.value[0] for e in item if e.VR == "SQ" and not e.tag.is_private and len(e.value)]


def _slice(whole: Tags, tags: Tags, file: Path, frame: int | None, problem: str) -> Slice:
    """Return one image: what identifies it comes from the file (`whole`), the rest first from its frame (`tags`)."""
    modality = whole.text("Modality").upper()
    kind = tuple(word.upper() for word in tags.texts("FrameType") or tags.texts("ImageType"))
    part = component(tags)
    shape = (int(whole.number("Columns") or 0), int(whole.number("Rows") or 0))
    spacing = tags.numbers("PixelSpacing", 2)
    orientation = tags.numbers("ImageOrientationPatient", 6)
    position = tags.numbers("ImagePositionPatient", 3)
    photometric = whole.text("PhotometricInterpretation").upper()
    scale, instance = scale_of(whole, tags), whole.number("InstanceNumber")
    faults = [
        (modality in NO_VOLUME, NO_VOLUME.get(modality, "")),
        (0 in shape, "no pixels"),
        ("MOSAIC" in kind, "a mosaic, all slices tiled in one image; unpack it with dcm2niix"),
        ("LOCALIZER" in kind or "SCOUT" in kind, LOCALIZER),
        (bool(problem), problem),
        ((whole.number("SamplesPerPixel") or 1) > 1 or photometric == "PALETTE COLOR", "colour images"),
        (orientation is None or position is None, "images without a position and orientation in space"),
        (orientation is not None and not _right_angle(orientation), "rows and columns not at right angles"),
        (spacing is None or min(spacing or [0]) <= 0, "images without a pixel spacing"),
        (bool(whole.value("ModalityLUTSequence")), "values by a table (modality LUT) instead of slope and intercept"),
        (scale.slope == 0, "a rescale slope of 0"),
    ]
    return Slice(
        file=file,
        frame=frame,
        uid=whole.text("SOPInstanceUID"),
        series=whole.text("SeriesInstanceUID"),
        number=whole.text("SeriesNumber"),
        instance=None if frame is not None or instance is None else int(instance),
        description=whole.text("SeriesDescription") or whole.text("ProtocolName"),
        modality=modality,
        kind=kind if not part or part in kind else (*kind, part),
        shape=shape,
        spacing=(spacing or (0.0, 0.0))[::-1],  # PixelSpacing is that of the rows, then of the columns
        thickness=tags.number("SliceThickness"),
        orientation=orientation or (),
        position=position or (),
        frame_of_reference=tags.text("FrameOfReferenceUID"),
        stack=tags.text("StackID"),
        b_value=b_value(tags),
        direction=tags.numbers("DiffusionGradientOrientation", 3) or (),
        echo_time=tags.number("EffectiveEchoTime", "EchoTime"),
        inversion_time=tags.number("InversionTime"),
        flip_angle=tags.number("FlipAngle"),
        kernel=" ".join(tags.texts("ConvolutionKernel")).upper(),
        temporal_position=tags.number("TemporalPositionIndex", "TemporalPositionIdentifier"),
        trigger_time=tags.number("NominalCardiacTriggerDelayTime", "TriggerTime"),
        acquisition=tags.number("AcquisitionNumber"),
        moment=moment_of(tags),
        contrast=_contrast(tags),
        scale=scale,
        problem=next((text for fault, text in faults if fault), ""),
    )


def _contrast(tags: Tags) -> bool:
    """Whether a contrast agent is named and, if the header says when it was given, given before this frame."""
    usage = [one.text("ContrastBolusAgentAdministered").upper() for one in tags.items("ContrastBolusUsageSequence")]
    usage.append(tags.text("ContrastBolusAgentAdministered").upper())
    if any(usage):
        return "YES" in usage
    if tags.text("ContrastBolusAgent").lower().strip(" .") not in NO_AGENT:
        return True
    return any(_named(agent) for agent in tags.items("ContrastBolusAgentSequence"))


def _named(agent: Tags) -> bool:
    named = agent.text("CodeMeaning").lower()
    return bool(named or agent.text("CodeValue")) and named.strip(" .") not in NO_AGENT - {""}


def _right_angle(orientation: Sequence[float]) -> bool:
    row, column = np.reshape(orientation, (2, 3))
    return bool(np.allclose([row @ row, column @ column, row @ column], [1.0, 1.0, 0.0], atol=0.02))
