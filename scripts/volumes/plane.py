"""A 2D image as a volume of one slice."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scripts.volumes.volume import Slices, Volume, bad_volume

FIELD = 100.0  # nominal edge of every image, mm: an image has no millimetres, and all are brought to one size
GREY = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""


class ImageVolume(Volume):
    """A picture file (.png, .jpg, .jpeg, .bmp, .tif, .tiff), read by SimpleITK: 1 x rows x columns.

    Every image fills a field of 100 x 100 mm, whatever its pixels, so that resampling with a spacing of 100
    mm / pixels resizes all images alike. Axes run to Superior, Posterior and Left, as an axial image is
    shown. Colours become their brightness; a fourth channel, transparency, is left out.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        reader = _reader(path)
        size = reader.GetSize()
        if reader.GetDimension() != 2 and not (reader.GetDimension() == 3 and size[2] == 1):
            found = f"{reader.GetDimension()} dimensions"
            raise bad_volume(path, name, "must be one 2D image", found, "save one image per file")
        affine = np.zeros((4, 4))
        affine[2, 0], affine[1, 1], affine[0, 2] = 1.0, -FIELD / size[1], -FIELD / size[0]
        affine[:3, 3], affine[3, 3] = (-FIELD / size[0] / 2, -FIELD / size[1] / 2, 0.0), 1.0
        super().__init__(path, (1, size[1], size[0]), affine, name)

    @cached_property
    def pixels(self) -> np.ndarray:
        """Brightness of all pixels, float32 [rows, columns]."""
        import SimpleITK

        found = SimpleITK.GetArrayFromImage(_reader(self.path).Execute()).astype(np.float32)
        found = found.reshape(self.shape[1], self.shape[2], -1)
        return (found[..., :3] @ GREY if found.shape[2] >= 3 else found[..., 0]).astype(np.float32)

    def _read(self, slices: Slices) -> np.ndarray:
        return self.pixels[None][slices]


def brightest(path: Path) -> float:
    """Return the value of white of a picture file: 255 of 8 bits, 65535 of 16 bits, 1 of others."""
    import SimpleITK

    kind = _reader(path).GetPixelID()
    eight = (SimpleITK.sitkUInt8, SimpleITK.sitkVectorUInt8)
    if kind in eight:
        return 255.0
    return 65535.0 if kind in (SimpleITK.sitkUInt16, SimpleITK.sitkVectorUInt16) else 1.0


def _reader(path: Path) -> Any:
    """Return SimpleITK's reader with the header read."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader
