"""What the text header of a MetaImage or NRRD file says: its fields, and the files that hold its voxels."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.volumes.volume import bad_volume

MOST_BYTES = 1 << 22
"""Longest header that is read; one that lists a file per slice takes some 50 bytes for each."""
MOST_FILES = 100_000
"""Most files that a pattern may stand for."""


@dataclass(frozen=True)
class TextHeader:
    """A header of the form ``name = value`` (MetaImage) or ``name: value`` (NRRD).

    Attributes:
        fields: name in lower case without blanks -> value.
        files: the files of the voxels, whether they exist or not; empty where they follow the header.
        begin: byte at which the voxels begin, in this file or in each of `files`.
    """

    fields: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    begin: int = 0

    @property
    def packed(self) -> bool:
        """Whether the voxels are written otherwise than byte by byte: packed, or as text."""
        meta = self.fields.get("compresseddata", "").lower().startswith("t")
        text = self.fields.get("binarydata", "").lower().startswith("f")
        return meta or text or self.fields.get("encoding", "raw").lower() != "raw"

    def missing(self) -> list[Path]:
        """Return the voxel files that do not exist."""
        return [file for file in self.files if not file.is_file()]


def read_text_header(path: Path) -> TextHeader:
    """Read the header of a .mha, .mhd, .nrrd or .nhdr file.

    A MetaImage header ends with ``ElementDataFile``, a NRRD header with an empty line; where the voxel files
    are listed one by one, the list goes on to the end of the file.
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
            return TextHeader(
                fields, [path.parent / line.strip() for line in lines if line.strip()], _skipped(fields)
            )
        if name == "elementdatafile":
            break
    named = fields.get("elementdatafile", fields.get("datafile", "LOCAL"))
    if named.upper() == "LOCAL":
        return TextHeader(fields, begin=length)
    return TextHeader(
        fields, [path.parent / name for name in _names(named, path.parent, fields)], _skipped(fields)
    )


def _skipped(fields: dict[str, str]) -> int:
    """Return the bytes in front of the voxels in their own file, 0 where the header gives no number."""
    text = fields.get("headersize", "")
    return int(text) if text.isdecimal() else 0


def _names(named: str, folder: Path, fields: dict[str, str]) -> Iterator[str]:
    """Yield the names that a data file stands for: itself, or those of a pattern and first, last, step."""
    words = named.split()
    pattern = words[0]
    if "%" not in pattern or (folder / named).is_file():
        yield named
        return
    last_axis = (fields.get("dimsize") or fields.get("sizes") or "1").split()[-1]
    try:
        first, last = int((words[1:] or ["1"])[0]), int((words[2:] or [last_axis])[0])
        step = int((words[3:] or ["1"])[0]) or 1
        if "elementdatafile" in fields and (step < 0 or last < first):  # MetaImage counts upwards alone
            raise ValueError
        for number in range(first, last + (1 if step > 0 else -1), step)[:MOST_FILES]:
            yield pattern % number
    except (
        TypeError,
        ValueError,
    ):  # no numbers, or a pattern of another kind: what cannot be read is told elsewhere
        yield named


DEFLATE_RATIO = 1032
"""Most bytes that one byte of gzip or zlib can stand for."""


def check_declared_size(
    path: Path, name: str, shape: Sequence[int], bytes_per_voxel: int, most_bytes: float
) -> None:
    """Refuse a header that declares more voxels than its file can hold, or than memory can.

    Args:
        most_bytes: bytes that the file can hold, unpacked.
    """
    size = " x ".join(f"{int(length):,}" for length in shape)
    voxels = math.prod(int(length) for length in shape)
    if voxels * bytes_per_voxel > most_bytes:
        declared = f"{size} voxels of {bytes_per_voxel} bytes declared"
        found = f"{declared}, more than a file of {path.stat().st_size:,} bytes holds"
        remedy = "it is truncated or its header is wrong: restore it or take it out of the case"
        raise bad_volume(path, name, "must be readable", found, remedy)
    if 4 * voxels > memory_bytes():
        found = (
            f"{size} voxels, {4 * voxels / 2**30:,.0f} GiB on a machine of {memory_bytes() / 2**30:,.0f} GiB"
        )
        raise bad_volume(path, name, "must fit into memory", found, "crop or resample it")


def memory_bytes() -> float:
    """Return the memory of this machine, or infinity where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")
