"""Units of length in image headers."""

from __future__ import annotations

import numpy as np

PLAUSIBLE = (0.01, 100.0)
"""Spacings in mm that an image of a patient can have."""
MILLIMETRES = {
    "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0,
    "cm": 10.0, "centimeter": 10.0, "centimetre": 10.0,
    "m": 1000.0, "meter": 1000.0, "metre": 1000.0,
    "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "micrometer": 1e-3, "micrometre": 1e-3,
    "nm": 1e-6, "nanometer": 1e-6, "nanometre": 1e-6,
    "in": 25.4, "inch": 25.4, "inche": 25.4,
}  # fmt: skip
"""Unit -> mm; plurals lose their s."""


def millimetres(unit: str) -> float | None:
    """Return how many mm a unit is, or None where it is not known.

    >>> millimetres("Microns"), millimetres("mm"), millimetres("pixels")
    (0.001, 1.0, None)
    """
    plain = unit.strip().lower()
    return MILLIMETRES.get(plain, MILLIMETRES.get(plain.removesuffix("s")))


def in_millimetres(spacing: np.ndarray, unit: str) -> tuple[float, list[str]]:
    """Return the factor that brings a header's lengths to mm, and what to tell the user.

    A header that gives voxels of a metre and more would be in mm all the same: its unit is a mistake.

    Args:
        spacing: as in the header, [3].
        unit: as in the header; empty where it does not say.
    """
    factor = millimetres(unit) if unit else 1.0
    low, high = PLAUSIBLE
    if factor is None:
        return 1.0, [f"its unit {unit!r} is not known; it is taken to be mm"]
    if factor > 1 and (spacing * factor > high).any() and ((low <= spacing) & (spacing <= high)).all():
        return 1.0, [f"its header says {unit}, which its spacing cannot be; it is taken to be in mm"]
    said = [f"it is in {unit}, and was brought to mm"] if factor != 1 else []
    spacing = spacing * factor
    if (spacing < low).any() or (spacing > high).any():
        unstated = ", and the header states no unit" if not unit else ""
        said.append(f"its spacing is below {low:g} or above {high:g} mm{unstated}; check its header")
    return factor, said
