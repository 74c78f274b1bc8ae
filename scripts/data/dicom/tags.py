"""Values of DICOM headers, None where a tag is absent or holds nonsense."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

KEYWORDS = (
    *(
        "SpecificCharacterSet",
        "SOPClassUID",
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "StudyInstanceUID",
        "SeriesInstanceUID",
    ),
    *(
        "SeriesNumber",
        "SeriesDescription",
        "ProtocolName",
        "SOPInstanceUID",
        "InstanceNumber",
        "Modality",
        "ImageType",
    ),
    *("StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "ContentDate", "ContentTime", "AcquisitionDate"),
    *("AcquisitionTime", "AcquisitionDateTime", "TimezoneOffsetFromUTC"),
    *("Rows", "Columns", "NumberOfFrames", "BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "Units", "SUVType"),
    "RealWorldValueMappingSequence",
    *(
        "PixelSpacing",
        "SliceThickness",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "FrameOfReferenceUID",
    ),
    *(
        "DiffusionBValue",
        "DiffusionGradientOrientation",
        "SequenceName",
        "EchoTime",
        "InversionTime",
        "FlipAngle",
    ),
    *(
        "ConvolutionKernel",
        "ComplexImageComponent",
        "TemporalPositionIdentifier",
        "TriggerTime",
        "AcquisitionNumber",
    ),
    *("ContrastBolusAgent", "ContrastBolusAgentSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""All that is read of a header, but for the makers' own elements (`makers.py`)."""
PRIVATE_BLOCKS = range(0x10, 0x40)
"""Where a maker's elements may lie; the standard allows up to 0xFF, scanners take the first free ones."""

ESCAPE = "\x1b$)A"
"""Switches to Chinese (ISO 2022 IR 58); pydicom leaves it in the text."""


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
        """Return the value of a maker's own element, None where that maker did not reserve its block.

        Args:
            creator: pattern of the maker's name in capitals, without blanks and signs.
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
