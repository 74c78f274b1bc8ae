"""Values of DICOM headers, None where a tag is absent or holds nonsense."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

TIMES = ("FrameAcquisitionDateTime", "AcquisitionTime", "AcquisitionDateTime", "ContentTime", "SeriesTime")
"""Where the time of an image stands, the best first."""

KEYWORDS = (
    *TIMES,
    *("PatientID", "StudyInstanceUID", "StudyDate", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    *("ProtocolName", "SOPInstanceUID", "Modality", "ImageType", "Rows", "Columns", "NumberOfFrames"),
    *("BitsAllocated", "SamplesPerPixel", "RescaleSlope", "RescaleIntercept", "PixelSpacing"),
    *("ImageOrientationPatient", "ImagePositionPatient", "DiffusionBValue", "EchoTime"),
    *("TemporalPositionIdentifier", "TriggerTime", "AcquisitionNumber", "ContrastBolusAgent"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""All that is read of a header."""
B_VALUES = (("SIEMENS", 0x0019, 0x0C), ("GEMS_PARM", 0x0043, 0x39))
"""Private b-values: start of the maker's name, group, element."""
PRIVATE_TAGS = tuple(
    (group, tag)
    for _, group, element in B_VALUES
    for block in range(0x10, 0x20)
    for tag in (block, block << 8 | element)
)


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
        return "" if value is None else " ".join(str(value).split())

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

    def seconds(self) -> float | None:
        """Return the time of day at which the image was taken, in s; dates are dropped."""
        return next((s for name in TIMES if (s := _seconds(self.text(name), "Date" in name)) is not None), None)

    def b_value(self) -> float | None:
        """Return the diffusion weighting in s/mm2, from the standard tag or that of Siemens or GE."""
        standard = self.number("DiffusionBValue")
        if standard is not None:
            return standard
        for maker, group, element in B_VALUES:
            value = self._private(maker, group, element)
            text = value.decode("ascii", "ignore") if isinstance(value, bytes) else _first(value)
            match = re.match(r"\s*(\d+(?:\.\d+)?)", text)
            if match:
                return float(match.group(1)) % 1e9  # GE adds 1e9 to some
        return None

    def _private(self, maker: str, group: int, element: int) -> Any:
        for dataset in self._datasets:
            for block in range(0x10, 0x20):
                creator = dataset.get((group, block))
                tag = dataset.get((group, block << 8 | element))
                if creator is not None and tag is not None and str(creator.value).startswith(maker):
                    return tag.value
        return None


def _first(value: Any) -> str:
    items = [value] if isinstance(value, str | int | float) else list(value or [""])
    return str(items[0])


def _seconds(text: str, dated: bool) -> float | None:
    """Return HHMM[SS[.ffffff]] in s since midnight.

    >>> _seconds("120342.5", False), _seconds("11:11:11", False), _seconds("20120820120804.06", True)
    (43422.5, 40271.0, 43684.06)
    """
    text = text.replace(":", "")[8 if dated else 0 :]
    match = re.match(r"(\d{2})(\d{2})(\d{2}(?:\.\d+)?)?", text)
    if not match:
        return None
    hours, minutes, seconds = match.groups()
    return round(int(hours) * 3600 + int(minutes) * 60 + float(seconds or 0), 6)
