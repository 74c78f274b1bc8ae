"""NRRD and MetaImage volumes, read a block at a time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .declared_size import DEFLATE_RATIO, check_declared_size
from .native import read_native
from .volume_base import Slices, Volume, bad_volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_DATA_FILE = re.compile(
    rb"^\s*(?:ElementDataFile\s*=|data ?file\s*:)\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE
)
_PACKED = re.compile(
    rb"^\s*(?:CompressedData\s*=\s*T|BinaryData\s*=\s*F|encoding\s*:\s*(?!raw\b))", re.IGNORECASE | re.MULTILINE
)
_HEADER = 1 << 16


class ItkVolume(Volume):
    """A file that SimpleITK reads (.nrrd, .mha, .mhd), in a process of its own; LPS is turned to RAS."""

    def __init__(self, path: Path, name: str = "") -> None:
        header = read_native("header", path)
        rank, shape, components = header["rank"], list(header["size"]), header["components"]
        spacing = np.array(header["spacing"][:3])
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            found = f"spacing {spacing.tolist()}"
            raise bad_volume(path, name, "must have spacings above 0 mm", found, "correct the header")
        affine = np.eye(4)
        if components > 1:
            shape = [*shape, *[1] * (3 - rank), components]
        if rank >= 3:
            affine[:3, :3] = np.reshape(header["direction"], (rank, rank))[:3, :3] * spacing
            affine[:3, 3] = header["origin"][:3]
        super().__init__(path, shape, LPS_TO_RAS @ affine, name)
        check_declared_size(path, name, self.shape, header["bytes"], _most_bytes(path))

    def _read(self, slices: Slices) -> np.ndarray:
        start, size = [part.start for part in slices], [part.stop - part.start for part in slices]
        return read_native("block", self.path, start, size).astype(np.float32)


def voxel_file(path: Path) -> Path | None:
    """Return the file that a header names for its voxels: itself, another, or None where it names several."""
    with open(path, "rb") as file:
        found = _DATA_FILE.search(file.read(_HEADER).split(b"\n\n")[0])
    text = found.group(1).decode(errors="replace") if found else "LOCAL"
    if text.upper() == "LOCAL":
        return path
    return path.parent / text if (path.parent / text).is_file() else None


def _most_bytes(path: Path) -> float:
    """Return how many bytes of voxels a file can hold."""
    file = voxel_file(path)
    if file is None:
        return float("inf")
    with open(path, "rb") as stream:
        packed = _PACKED.search(stream.read(_HEADER).split(b"\n\n")[0])
    return file.stat().st_size * (DEFLATE_RATIO if packed else 1)
