# SPDX-License-Identifier: Apache-2.0
"""What a file says about itself: its type and compression by content, its text header, its unit of length."""

from __future__ import annotations

import bz2
import gzip
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scripts.volumes.volume import bad_volume

MOST_BYTES = 1 << 22
"""Longest header that is read, in bytes; a header that lists one file per slice has about 50 bytes for each."""
MOST_FILES = 100_000  # most files that a file name pattern may stand for


@dataclass(frozen=True)
class TextHeader:
    """A header of the form ``name = value`` (MetaImage) or ``name: value`` (NRRD)."""

    fields: dict[str, str] = field(default_factory=dict)  # name in lower case without spaces -> value
    # the voxel files, whether they exist or not; empty if the voxels follow the header
    files: list[Path] = field(default_factory=list)
    begin: int = 0  # byte at which the voxels begin, in this file or in each of `files`

    @property
    def packed(self) -> bool:
        """Whether the voxels are compressed or written as text."""
        meta = self.fields.get("compresseddata", "").lower().startswith("t")
        text = self.fields.get("binarydata", "").lower().startswith("f")
        return meta or text or self.fields.get("encoding", "raw").lower() != "raw"

    def missing(self) -> list[Path]:
        """Return the voxel files that do not exist."""
        return [file for file in self.files if not file.is_file()]


def read_text_header(path: Path) -> TextHeader:
    """Read the header of a .mha, .mhd, .nrrd or .nhdr file.

    A MetaImage header ends with ``ElementDataFile``, a NRRD header with an empty line; a list of voxel files
    runs to the end of the file.
    """
    with open(path, "rb") as file:
        lines = iter(file.read(MOST_BYTES).decode("utf-8", "surrogateescape").split("\n"))
    fields: dict[str, str] = {}
    length = 0
    for line in lines:
        length += len(line.encode("utf-8", "surrogateescape")) + 1
        mark = "=" if "=" in line and ":" not in line.partition("=")[0] else ":"
        name, found, value = (part.strip() for part in line.partition(mark))
        if not line.strip():
            break
        if not found or line.startswith("#") or (mark == ":" and value.startswith("=")):
            continue
        name, value = name.lower().replace(" ", ""), value.strip()
        fields[name] = value
        if name in ("elementdatafile", "datafile") and value.split()[:1] == ["LIST"]:
            return TextHeader(fields, [path.parent / line.strip() for line in lines if line.strip()], _skipped(fields))
        if name == "elementdatafile":
            break
    named = fields.get("elementdatafile", fields.get("datafile", "LOCAL"))
    if named.upper() == "LOCAL":
        return TextHeader(fields, begin=length)
    return TextHeader(fields, [path.parent / name for name in _names(named, path.parent, fields)], _skipped(fields))


def _skipped(fields: dict[str, str]) -> int:
    """Return the number of bytes before the voxels in their own file, 0 if the header gives none."""
    text = fields.get("headersize", "")
    return int(text) if text.isdecimal() else 0


def _names(named: str, folder: Path, fields: dict[str, str]) -> Iterator[str]:
    """Yield the file names that a data file entry stands for: itself, or a pattern with first, last and step."""
    words = named.split()
    pattern = words[0]
    if "%" not in pattern or (folder / named).is_file():
        yield named
        return
    last_axis = (fields.get("dimsize") or fields.get("sizes") or "1").split()[-1]
    try:
        first, last = int((words[1:] or ["1"])[0]), int((words[2:] or [last_axis])[0])
        step = int((words[3:] or ["1"])[0]) or 1
        if "elementdatafile" in fields and (step < 0 or last < first):  # MetaImage only counts upwards
            raise ValueError
        for number in range(first, last + (1 if step > 0 else -1), step)[:MOST_FILES]:
            yield pattern % number
    except (TypeError, ValueError):  # not numbers, or another kind of pattern; opening the file reports it
        yield named


DEFLATE_RATIO = 1032  # most bytes that one byte of gzip or zlib can expand to


def check_declared_size(path: Path, name: str, shape: Sequence[int], bytes_per_voxel: int, most_bytes: float) -> None:
    """Refuse a header that declares more voxels than its file or the memory can hold.

    Args:
        most_bytes: uncompressed bytes that the file can hold.
    """
    size = " x ".join(f"{int(length):,}" for length in shape)
    voxels = math.prod(int(length) for length in shape)
    if voxels * bytes_per_voxel > most_bytes:
        declared = f"{size} voxels of {bytes_per_voxel} bytes declared"
        found = f"{declared}, more than a file of {path.stat().st_size:,} bytes holds"
        remedy = "it is truncated or its header is wrong: restore it or take it out of the case"
        raise bad_volume(path, name, "must be readable", found, remedy)
    if 4 * voxels > memory_bytes():
        found = f"{size} voxels, {4 * voxels / 2**30:,.0f} GiB on a machine of {memory_bytes() / 2**30:,.0f} GiB"
        raise bad_volume(path, name, "must fit into memory", found, "crop or resample it")


def memory_bytes() -> float:
    """Return the memory of this machine in bytes, infinity if the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


PACKINGS: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
}
"""First bytes -> name, and the function that opens such a file."""
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
    "a pointer of Git LFS (git lfs pull fetches the file)": lambda start: start.startswith(b"version https://git-lfs"),
    "a link of git-annex (git annex get fetches the file)": lambda start: b"annex/objects" in start[:500],
}
"""Other kinds of files found under an image's name -> test of their first (uncompressed) bytes."""


def packings_of(path: Path) -> list[str]:
    """Return how a file is compressed, from the outside in: usually once or not at all.

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
    """Return how a file is compressed according to its name."""
    return [ENDINGS[path.suffix.lower()]] if path.suffix.lower() in ENDINGS else []


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[BinaryIO, list[str]]]:
    """Open a file for reading with its compression undone, and list the compressions found."""
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
    """Return what the content of a file is if it contradicts the name; empty if not."""
    try:
        with unpacked(path) as (file, _):
            start = file.read(600)
    except (OSError, EOFError, ValueError):
        return ""
    found = next((what for what, fits in SIGNS.items() if fits(start)), "")
    named = Path(path.name.lower().removesuffix(".gz").removesuffix(".bz2")).suffix
    return "" if named in found.strip(")").replace("(", " ").replace(",", "").split() else found


PLAUSIBLE = (0.01, 100.0)  # plausible voxel spacings of a patient image, mm
MILLIMETRES = {
    "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0,
    "cm": 10.0, "centimeter": 10.0, "centimetre": 10.0,
    "m": 1000.0, "meter": 1000.0, "metre": 1000.0,
    "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "micrometer": 1e-3, "micrometre": 1e-3,
    "nm": 1e-6, "nanometer": 1e-6, "nanometre": 1e-6,
    "in": 25.4, "inch": 25.4, "inche": 25.4,
}  # fmt: skip
"""Unit -> mm; plurals are looked up without their s."""


def millimetres(unit: str) -> float | None:
    """Return the length of a unit in mm, or None if the unit is unknown.

    >>> millimetres("Microns"), millimetres("mm"), millimetres("pixels")
    (0.001, 1.0, None)
    """
    plain = unit.strip().lower()
    return MILLIMETRES.get(plain, MILLIMETRES.get(plain.removesuffix("s")))


def in_millimetres(spacing: np.ndarray, unit: str) -> tuple[float, list[str]]:
    """Return the factor that converts the lengths of a header to mm, and remarks for the user.

    A unit that would make plausible spacings implausibly large must be a mistake; mm is used instead.

    Args:
        spacing: as in the header, [3].
        unit: as in the header; empty if it states none.
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
