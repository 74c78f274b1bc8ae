"""NIfTI volumes, read a block at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from .declared_size import DEFLATE_RATIO, check_declared_size
from .volume_base import Slices, Volume, bad_volume

USUAL_RATIO = 50
"""Bytes that one byte of a .nii.gz file stands for, at most, when its length is taken on trust."""


class NiftiVolume(Volume):
    """A NIfTI file (.nii, .nii.gz; versions 1 and 2, either byte order), read with nibabel.

    The affine is nibabel's choice: sform, else qform, else the spacing with the volume centred at the origin.

    Args:
        path: the file.
        name: what the volume is called in messages.
        frame: position along the fourth axis of a 4D file; None: the file is 3D.
    """

    def __init__(self, path: Path, name: str = "", frame: int | None = None) -> None:
        import nibabel

        image: Any = nibabel.load(path)
        with nibabel.openers.ImageOpener(
            str(path)
        ) as file:  # nibabel's own check repairs spacings in silence
            header = type(image.header).from_fileobj(file, check=False)
        spacing = np.asarray(header["pixdim"][1:4], dtype=np.float64)[: len(image.shape)]
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            found = f"pixdim {spacing.tolist()}"
            raise bad_volume(path, name, "must have spacings above 0 mm", found, "correct the header")
        super().__init__(path, image.shape if frame is None else image.shape[:3], image.affine, name)
        self._frame = frame or 0
        self._proxy = image.dataobj
        if self._proxy.dtype.kind not in "iuf":
            found = f"voxels of type {self._proxy.dtype}"
            raise bad_volume(path, name, "must hold one number per voxel", found, "export it as a grey image")
        packed = path.name.lower().endswith(".gz")
        most = path.stat().st_size * (DEFLATE_RATIO if packed else 1)
        shape, size = self._proxy.shape, self._proxy.dtype.itemsize
        check_declared_size(path, name, self.shape, size * math.prod(map(int, shape[3:])), most)
        self._check_length(int(self._proxy.offset) + math.prod(map(int, shape)) * size, packed)

    def _check_length(self, needed: int, packed: bool) -> None:
        """Refuse a file that ends before its last voxel.

        The last four bytes of a .gz file are the length of its content, which settles it without unpacking;
        where they disagree (truncation, several members, trailing bytes), or where the content would be
        packed unusually well, the file is unpacked once, a piece at a time, as far as it is needed.
        """
        import nibabel

        with open(self.path, "rb") as file:
            length = file.seek(0, 2)
            if packed:
                file.seek(max(0, length - 4))
                usual = needed <= USUAL_RATIO * length
                if usual and int.from_bytes(file.read(4), "little") == needed % 2**32:
                    return
                length = 0
                with nibabel.openers.ImageOpener(str(self.path)) as unpacked:
                    while length < needed and (piece := unpacked.read(1 << 20)):
                        length += len(piece)
        if length < needed:
            raise EOFError(f"truncated, {length} of {needed} bytes")

    def _read(self, slices: Slices) -> np.ndarray:
        first, *others = slices  # whole rows: one step through the file per plane, in place of one per row
        rows = (slice(None), *others, self._frame, 0, 0, 0)
        return self._proxy[rows[: len(self._proxy.shape)]][first]
