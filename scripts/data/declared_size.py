"""Sizes that a header declares, checked before anything of that size is allocated."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from .volume_base import bad_volume

DEFLATE_RATIO = 1032
"""Most bytes that one byte of gzip or zlib can stand for."""


def check_declared_size(
    path: Path, name: str, shape: Sequence[int], bytes_per_voxel: int, most_bytes: float
) -> None:
    """Refuse a header that declares more voxels than its file can hold, or than memory can.

    Args:
        path: the file.
        name: what the volume is called in messages.
        shape: voxels per axis.
        bytes_per_voxel: of the file.
        most_bytes: bytes that the file can hold, unpacked.

    Raises:
        BadVolume: declares too much.
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
