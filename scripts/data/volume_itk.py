"""NRRD and MetaImage volumes, read a block at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .volume_base import Slices, Volume, bad_volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class ItkVolume(Volume):
    """A file that SimpleITK reads (.nrrd, .mha, .mhd); positions are turned from LPS to RAS."""

    def __init__(self, path: Path, name: str = "") -> None:
        reader = _reader(path)
        self._rank = reader.GetDimension()
        spacing = np.array(reader.GetSpacing()[:3])
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            found = f"spacing {spacing.tolist()}"
            raise bad_volume(path, name, "must have spacings above 0 mm", found, "correct the header")
        shape, affine = list(reader.GetSize()), np.eye(4)
        if reader.GetNumberOfComponents() > 1:
            shape = [*shape, *[1] * (3 - self._rank), reader.GetNumberOfComponents()]
        if self._rank >= 3:
            affine[:3, :3] = np.reshape(reader.GetDirection(), (self._rank, self._rank))[:3, :3] * spacing
            affine[:3, 3] = reader.GetOrigin()[:3]
        super().__init__(path, shape, LPS_TO_RAS @ affine, name)

    def _read(self, slices: Slices) -> np.ndarray:
        import SimpleITK

        reader = _reader(self.path)
        rest = [0] * (self._rank - 3)
        reader.SetExtractIndex([part.start for part in slices] + rest)
        reader.SetExtractSize([part.stop - part.start for part in slices] + rest)
        image = reader.Execute()
        return SimpleITK.GetArrayViewFromImage(image).T.astype(np.float32)


def _reader(path: Path) -> Any:
    """Return SimpleITK's reader with the header read."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader
