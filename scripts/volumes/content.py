"""What a file is and how it is packed, told by its content: names lie about it."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

PACKINGS: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
}
"""First bytes -> name, and what unpacks it."""
ENDINGS = {".gz": "gzip", ".mgz": "gzip", ".bz2": "bzip2"}
MOST_LAYERS = 3
SIGNS: dict[str, Callable[[bytes], bool]] = {
    "NRRD (.nrrd, .nhdr)": lambda start: start.startswith(b"NRRD0"),
    "MetaImage (.mha, .mhd)": lambda start: start.startswith((b"ObjectType", b"NDims")),
    "NIfTI (.nii, .nii.gz, .hdr)": lambda start: (
        start[344:348] in (b"n+1\0", b"ni1\0") or start[4:7] in (b"n+2", b"ni2")
    ),
    "DICOM (layout dicom)": lambda start: start[128:132] == b"DICM",
    "a zip archive": lambda start: start.startswith(b"PK\3\4"),
    "a NumPy file": lambda start: start.startswith(b"\x93NUMPY"),
    "an HDF5 file": lambda start: start.startswith(b"\x89HDF"),
    "a web page": lambda start: start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")),
    "a pointer of Git LFS (git lfs pull fetches the file)": lambda start: start.startswith(
        b"version https://git-lfs"
    ),
    "a link of git-annex (git annex get fetches the file)": lambda start: b"annex/objects" in start[:500],
}
"""What else may lie under the name of an image -> whether the first bytes, unpacked, say so."""


def packings_of(path: Path) -> list[str]:
    """Return how a file is packed, from the outside in: usually once or not at all.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a.nii"
    ...     _ = file.write_bytes(gzip.compress(b"voxels"))
    ...     packings_of(file)
    ['gzip']
    """
    with unpacked(path) as (_, names):
        return names


def packing_by_name(path: Path) -> list[str]:
    """Return how a file of this name is packed, if the name is right."""
    return [ENDINGS[path.suffix.lower()]] if path.suffix.lower() in ENDINGS else []


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[BinaryIO, list[str]]]:
    """Open a file for reading as it is once unpacked, and say how it was packed."""
    names: list[str] = []
    with ExitStack() as stack:
        file: Any = stack.enter_context(open(path, "rb"))
        while len(names) < MOST_LAYERS:
            start = file.read(3)
            file.seek(0)
            found = next((value for magic, value in PACKINGS.items() if start.startswith(magic)), None)
            if found is None:
                break
            names.append(found[0])
            file = stack.enter_context(found[1](file))
        yield file, names


def other_content(path: Path) -> str:
    """Return what a file is by its content where its name says something else, or nothing."""
    try:
        with unpacked(path) as (file, _):
            start = file.read(600)
    except (OSError, EOFError, ValueError):
        return ""
    found = next((what for what, fits in SIGNS.items() if fits(start)), "")
    named = Path(path.name.lower().removesuffix(".gz").removesuffix(".bz2")).suffix
    return "" if named in found.strip(")").replace("(", " ").replace(",", "").split() else found


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
