"""What the stored numbers of an image stand for: slope, intercept and unit, as the header says."""

from __future__ import annotations

from dataclasses import dataclass

from .tags import Tags


@dataclass(frozen=True)
class Scale:
    """What the stored numbers stand for: value = slope x number + intercept.

    Attributes:
        slope, intercept: of the modality; None where the header has neither.
        kind: RescaleType, e.g. HU, or "".
        unit: of PET, e.g. BQML, with the SUV's type behind it; or "".
        inverted: whether low values are meant to be shown white (MONOCHROME1).
        real: real world value of 1 where there is no slope of the modality, e.g. 1e-06 mm2/s; or "".
    """

    slope: float | None = None
    intercept: float | None = None
    kind: str = ""
    unit: str = ""
    inverted: bool = False
    real: str = ""


def scale_of(whole: Tags, tags: Tags) -> Scale:
    """Return the scale of one image: of the file (`whole`) what cannot differ from frame to frame."""
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
