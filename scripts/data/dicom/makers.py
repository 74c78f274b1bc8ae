"""What makers of scanners write into elements of their own: diffusion weighting, part of a complex image.

References:
    MR conformance statements of Philips, Siemens, GE and United Imaging; DICOM PS3.5, 7.8 (private elements).
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

from .tags import PRIVATE_BLOCKS, Tags

B_VALUES = (
    (r"PHILIPS(MR)?IMAGINGDD0*1", 0x2001, 0x03, "<f"),
    (r"SIEMENSMRHEADER", 0x0019, 0x0C, ""),
    (r"GEMSPARM0*1", 0x0043, 0x39, "<i"),
    (r"IMAGEPRIVATEHEADER", 0x0065, 0x09, "<d"),  # United Imaging
)
"""Maker of the block, group, element, and how a number is packed where the element's type was lost."""
GE_COMPONENT = (r"GEMSPARM0*1", 0x0043, 0x2F)
COMPONENTS = {"MAGNITUDE": "M", "PHASE": "P", "REAL": "R", "IMAGINARY": "I"}
"""Parts of a complex image, in the order in which GE numbers them from 0."""
OFFSET = 100_000
"""GE adds multiples of this to a b-value, e.g. 1e9."""


def private_tags() -> list[Any]:
    """Return the tags to read of a header: the elements above in any block, and who reserved the block."""
    from pydicom.tag import Tag

    elements = [(group, element) for _, group, element, _ in B_VALUES] + [GE_COMPONENT[1:]]
    return sorted(
        {
            Tag(group, tag)
            for group, element in elements
            for b in PRIVATE_BLOCKS
            for tag in (b, b << 8 | element)
        }
    )


def b_value(tags: Tags) -> float | None:
    """Return the diffusion weighting in s/mm2: the standard tag, the maker's own, Siemens' sequence name."""
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
    """Return the first number of an element, whatever became of its type on the way.

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
