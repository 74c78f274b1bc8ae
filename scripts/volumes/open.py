# SPDX-License-Identifier: Apache-2.0
"""Opening a 3D volume by its file type; a 2D image is a volume of one slice."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scripts.files.plain_text import listing
from scripts.volumes.headers import other_content, read_text_header
from scripts.volumes.itk import TEXT_ENDINGS, ItkVolume
from scripts.volumes.nifti import NiftiVolume, nibabel_image
from scripts.volumes.volume import BadVolume, Frame, Slices, Volume, bad_volume, unreadable, volume_message

FIELD = 100.0  # nominal edge of a picture, mm: pictures have no physical size, so all get the same one
GREY = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luma of a pixel (ITU-R BT.601)."""


class ImageVolume(Volume):
    """A picture file (.png, .jpg, .jpeg, .bmp, .tif, .tiff), read by SimpleITK: 1 x rows x columns.

    Every image fills a field of 100 x 100 mm, whatever its pixels, so that a spacing of 100 mm / pixels resizes
    all images alike. The axes run to Superior, Posterior and Left, as axial images are displayed. Colours are
    converted to brightness; a fourth channel (transparency) is ignored.
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
    """Return the value of white in a picture file: 255 for 8 bits, 65535 for 16 bits, 1 otherwise."""
    import SimpleITK

    kind = _reader(path).GetPixelID()
    eight = (SimpleITK.sitkUInt8, SimpleITK.sitkVectorUInt8)
    if kind in eight:
        return 255.0
    return 65535.0 if kind in (SimpleITK.sitkUInt16, SimpleITK.sitkVectorUInt16) else 1.0


def _reader(path: Path) -> Any:
    """Return SimpleITK's reader with the header already read."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


NIFTI = (".nii", ".nii.gz", ".nii.bz2", ".hdr", ".hdr.gz", ".img", ".img.gz", ".mgz", ".mgh")
VOLUME_TYPES: dict[str, Callable[[Path, str], Volume]] = {
    **dict.fromkeys(NIFTI, NiftiVolume),
    **dict.fromkeys((".nrrd", ".nhdr", ".mha", ".mhd", ".gipl", ".gipl.gz"), ItkVolume),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"), ImageVolume),
}
"""File ending -> what reads it."""
IMAGE_ENDINGS = tuple(ending for ending, kind in VOLUME_TYPES.items() if kind is not ImageVolume)
"""Endings of 3D volumes."""
PAIRS = {".hdr": ".img", ".img": ".hdr", ".hdr.gz": ".img.gz", ".img.gz": ".hdr.gz"}
"""Ending of either file of a NIfTI pair -> ending of the other."""


def open_volume(path: str | Path | Frame, name: str = "") -> Volume:
    """Open a 3D volume without reading its voxels.

    Args:
        path: a file with one of the endings of `VOLUME_TYPES`, or one frame of a 4D NIfTI file.
        name: the volume's name in messages, e.g. ``case p017: phase 'portal'``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, truncated, not 3D (axes of length 1 beyond the third are dropped), a spacing that
            is not above 0 mm, linearly dependent axes, or an unsupported file type.
    """
    frame = path if isinstance(path, Frame) else None
    path = path.path if isinstance(path, Frame) else Path(path)
    if not path.is_file():
        text = volume_message(
            path, name, "must exist", _in_its_place(path), "correct the path or take it out of the case"
        )
        raise FileNotFoundError(text)
    ending = image_ending(path)
    if ending is None:
        rule = f"must end in one of {listing(path.suffix, VOLUME_TYPES)}"
        raise bad_volume(path, name, rule, repr(path.suffix), "convert it to .nii.gz")
    try:
        return NiftiVolume(path, name, frame.index) if frame else VOLUME_TYPES[ending](path, name)
    except BadVolume:
        raise
    except Exception as error:  # each library raises its own errors; the user needs the file name
        content = other_content(path)
        if content:
            rule = f"must be what its name says ({ending})"
            raise bad_volume(path, name, rule, content, "give it its right name, or export it again") from None
        raise unreadable(path, name, error) from None


def _in_its_place(path: Path) -> str:
    """Return what is found where a file should be."""
    if path.is_symlink() and not path.exists():
        return f"a link to {os.readlink(path)}, which does not exist,"
    return "a folder" if path.is_dir() else "no file"


def files_of(path: str | Path) -> list[Path]:
    """Return all files of a volume: itself, the other one of a pair, the voxel files that its header names.

    >>> files_of("p001/pre.nii.gz")
    [PosixPath('p001/pre.nii.gz')]
    """
    path = Path(path)
    ending = image_ending(path) or ""
    if ending in TEXT_ENDINGS and path.is_file():
        named = [file for file in read_text_header(path).files if file.is_file()]
        return list(dict.fromkeys([path, *named]))
    other = PAIRS.get(ending)
    if other is None:
        return [path]
    stem = path.name[: -len(ending)]
    beside = [path.with_name(stem + end) for end in (other, other.upper())]
    return [path, *(file for file in beside if file.is_file())][:2]


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the images of a folder and its other files; a pair, or a header with voxel files, is one image.

    Hidden files are left out.
    """
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    # dangling links are kept, and reported when opened
    files = [path for path in found if path.is_file() or image_ending(path)]
    images = [path for path in files if image_ending(path)]
    parts = {
        part for path in images if not (image_ending(path) or "").startswith(".img") for part in files_of(path)[1:]
    }
    return [path for path in images if path not in parts], [
        path for path in files if path not in parts and not image_ending(path)
    ]


def frames_of(path: str | Path, name: str = "") -> list[Frame]:
    """Return the volumes along the fourth axis of a 4D NIfTI file; empty for any other file."""
    path = Path(path)
    if VOLUME_TYPES.get(image_ending(path) or "") is not NiftiVolume:
        return []
    try:
        with nibabel_image(path) as image:
            shape = tuple(image.shape)
    except Exception as error:  # each library raises its own errors
        raise unreadable(path, name, error) from None
    return [Frame(path, index) for index in range(shape[3])] if len(shape) == 4 and shape[3] > 1 else []


def image_ending(path: Path) -> str | None:
    """Return the ending of an image file in lower case (``.nii.gz`` as one), or None for any other file."""
    return next((known for known in VOLUME_TYPES if path.name.lower().endswith(known)), None)
