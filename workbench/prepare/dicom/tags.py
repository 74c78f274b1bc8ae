# SPDX-License-Identifier: Apache-2.0
"""Values of DICOM headers, None where a tag is absent or holds nonsense."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

KEYWORDS = (
    "SpecificCharacterSet", "SOPClassUID", "PatientID", "PatientName", "PatientBirthDate",
    "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ProtocolName",
    "SOPInstanceUID", "InstanceNumber", "Modality", "ImageType", "StudyDate", "StudyTime", "SeriesDate",
    "SeriesTime", "ContentDate", "ContentTime", "AcquisitionDate", "AcquisitionTime",
    "AcquisitionDateTime", "TimezoneOffsetFromUTC", "Rows", "Columns", "NumberOfFrames", "BitsAllocated",
    "SamplesPerPixel", "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "ModalityLUTSequence", "Units", "SUVType", "RealWorldValueMappingSequence", "PixelSpacing",
    "SliceThickness", "ImageOrientationPatient", "ImagePositionPatient", "FrameOfReferenceUID",
    "DiffusionBValue", "DiffusionGradientOrientation", "SequenceName", "EchoTime", "InversionTime",
    "FlipAngle", "ConvolutionKernel", "ComplexImageComponent", "TemporalPositionIdentifier",
    "TriggerTime", "AcquisitionNumber", "ContrastBolusAgent", "ContrastBolusAgentSequence",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
"""All that is read of a header, except the private elements (`B_VALUES`, `GE_COMPONENT`)."""
PRIVATE_BLOCKS = range(0x10, 0x40)
"""Blocks searched for private elements; the standard allows up to 0xFF, scanners take the first free ones."""

ESCAPE = "\x1b$)A"  # switches to Chinese (ISO 2022 IR 58); pydicom leaves it in the text


class Tags:
    """The header of one image, or of one frame: the first of several datasets that has a tag gives its value.

    Args:
        datasets: pydicom datasets; for a frame its functional groups, then the shared ones, then the file.
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        self._datasets = datasets

    def value(self, keyword: str) -> Any:
        """Return the value of a tag, None where it is absent, empty or cannot be decoded."""
        for dataset in self._datasets:
            try:
                value = dataset.get(keyword)
            except Exception:  # pydicom decodes on access, and each broken value has an error of its own
                continue
            if value is not None and value != "":
                return value
        return None

    def text(self, keyword: str) -> str:
        """Return a tag as one line of text, "" where it is absent."""
        value = self.value(keyword)
        return "" if value is None else " ".join(str(value).replace("\0", " ").replace(ESCAPE, "").split())

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return a tag of one or several texts."""
        value = self.value(keyword)
        items = [] if value is None else [value] if isinstance(value, str) else list(value)
        return tuple(str(item).strip() for item in items)

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Return a tag of `count` finite numbers."""
        value = self.value(keyword)
        try:
            found = tuple(float(item) for item in (value if count > 1 else [value]))
        except (TypeError, ValueError):
            return None
        return found if len(found) == count and all(map(math.isfinite, found)) else None

    def number(self, *keywords: str) -> float | None:
        """Return the first of several tags that holds one finite number."""
        found = (self.numbers(keyword, 1) for keyword in keywords)
        return next((value[0] for value in found if value), None)

    def items(self, keyword: str) -> Iterator[Tags]:
        """Yield the items of a sequence."""
        for item in self.value(keyword) or []:
            yield Tags([item])

    def private(self, creator: str, group: int, element: int) -> Any:
        """Return the value of a private element, None where its creator did not reserve a block.

        Args:
            creator: pattern of the private creator's name in capitals, letters and digits only.
            group, element: e.g. 0x2001 and 0x03 for (2001,xx03).
        """
        for dataset in self._datasets:
            keys = list(dataset.keys())  # a dataset itself gives its elements
            for tag in [tag for tag in keys if tag >> 16 == group and 0x10 <= tag & 0xFFFF <= 0xFF]:
                try:
                    maker = dataset[tag].value
                    name = maker.decode("ascii", "ignore") if isinstance(maker, bytes) else str(maker)
                    found = dataset.get((group, (tag & 0xFF) << 8 | element))
                    if found is not None and re.fullmatch(creator, re.sub(r"[^A-Z0-9]", "", name.upper())):
                        return found.value
                except Exception:  # as in `value`
                    continue
        return None


B_VALUES = (
    (r"PHILIPS(MR)?IMAGINGDD0*1", 0x2001, 0x03, "<f"),
    (r"SIEMENSMRHEADER", 0x0019, 0x0C, ""),
    (r"GEMSPARM0*1", 0x0043, 0x39, "<i"),
    (r"IMAGEPRIVATEHEADER", 0x0065, 0x09, "<d"),  # United Imaging
)
"""Private creator, group, element, and how a number is packed where the element's type was lost."""
GE_COMPONENT = (r"GEMSPARM0*1", 0x0043, 0x2F)
COMPONENTS = {"MAGNITUDE": "M", "PHASE": "P", "REAL": "R", "IMAGINARY": "I"}
"""Parts of a complex image, in the order in which GE numbers them from 0."""
OFFSET = 100_000  # GE adds multiples of this to a b-value, e.g. 1e9


def private_tags() -> list[Any]:
    """Return the tags to read of a header: the private elements above in any block, and their creators."""
    from pydicom.tag import Tag

    elements = [(group, element) for _, group, element, _ in B_VALUES] + [GE_COMPONENT[1:]]
    return sorted(
        {Tag(group, tag) for group, element in elements for b in PRIVATE_BLOCKS for tag in (b, b << 8 | element)}
    )


def b_value(tags: Tags) -> float | None:
    """Return the diffusion weighting in s/mm2: the standard tag, else a private one, else Siemens' sequence name."""
    standard = tags.number("DiffusionBValue")
    if standard is not None:
        return standard
    if tags.text("DiffusionDirectionality").upper() == "NONE":
        return 0.0
    for maker, group, element, packed in B_VALUES:
        value = _number(tags.private(maker, group, element), packed)
        if value is not None and value >= 0:
            return value % OFFSET
    named = re.search(r"(?:ep|re|ez)_b(\d+)", tags.text("SequenceName"))
    return float(named.group(1)) if named else None


def component(tags: Tags) -> str:
    """Return which part of a complex image this is, where ImageType does not say so: M, P, R, I or ""."""
    named = tags.text("ComplexImageComponent").upper()
    if named in COMPONENTS:
        return COMPONENTS[named]
    value = _number(tags.private(*GE_COMPONENT), "<h")
    return list(COMPONENTS.values())[int(value)] if value is not None and value in range(4) else ""


def _number(value: Any, packed: str) -> float | None:
    """Return the first number of an element, even where its type was lost.

    >>> values = (b"\\0\\0zD", "<f"), (["1000000800", "8"], "<i"), (b"800 ", "<f"), (None, "")
    >>> tuple(_number(*value) for value in values)
    (1000.0, 1000000800.0, 800.0, None)
    """
    if isinstance(value, bytes):
        text = value.decode("latin-1").split("\\")[0].strip(" \0")
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        if not packed or len(value) < struct.calcsize(packed):
            return None
        value = struct.unpack_from(packed, value)[0]
    first = value if isinstance(value, str | int | float) else next(iter(value or [None]), None)
    try:
        number = float(first)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Scale:
    """What the stored numbers mean: value = slope x number + intercept."""

    # of the modality transform; None where the header has none
    slope: float | None = None
    intercept: float | None = None
    kind: str = ""  # RescaleType, e.g. HU, or "".
    unit: str = ""  # of PET, e.g. BQML, followed by the type of SUV; or "".
    inverted: bool = False  # whether low values are meant to be shown white (MONOCHROME1)
    real: str = ""  # real world value of 1 where there is no slope of the modality, e.g. 1e-06 mm2/s; or "".


def scale_of(whole: Tags, tags: Tags) -> Scale:
    """Return the scale of one image; what cannot differ between frames is taken from the file (`whole`)."""
    slope = tags.number("RescaleSlope")
    return Scale(
        slope,
        tags.number("RescaleIntercept"),
        tags.text("RescaleType").upper(),
        " ".join(filter(None, [whole.text("Units").upper(), whole.text("SUVType").upper()])),
        whole.text("PhotometricInterpretation").upper() == "MONOCHROME1",
        "" if slope is not None else _real_world(tags),
    )


def _real_world(tags: Tags) -> str:
    """Return slope and unit of the first real world mapping, of a frame or of the file."""
    mapped = [tags, *tags.items("RealWorldValueMappingSequence")]
    for one in mapped:
        slope = one.number("RealWorldValueSlope")
        if slope is not None:
            units = [unit.text("CodeValue") for unit in one.items("MeasurementUnitsCodeSequence")]
            return " ".join([f"{slope:g}", *units[:1]])
    return ""
