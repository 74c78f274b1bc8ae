"""Opening a 3D volume by its file type."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from scripts.files.plain_text import listing
from scripts.volumes.headers import other_content, read_text_header
from scripts.volumes.itk import TEXT_ENDINGS, ItkVolume
from scripts.volumes.nifti import NiftiVolume, nibabel_image
from scripts.volumes.plane import ImageVolume
from scripts.volumes.volume import BadVolume, Frame, Volume, bad_volume, unreadable, volume_message

NIFTI = (".nii", ".nii.gz", ".nii.bz2", ".hdr", ".hdr.gz", ".img", ".img.gz", ".mgz", ".mgh")
VOLUME_TYPES: dict[str, Callable[[Path, str], Volume]] = {
    **dict.fromkeys(NIFTI, NiftiVolume),
    **dict.fromkeys((".nrrd", ".nhdr", ".mha", ".mhd", ".gipl", ".gipl.gz"), ItkVolume),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"), ImageVolume),
}
"""Ending of a file -> what reads it."""
IMAGE_ENDINGS = tuple(ending for ending, kind in VOLUME_TYPES.items() if kind is not ImageVolume)
"""Endings of 3D volumes."""
PAIRS = {".hdr": ".img", ".img": ".hdr", ".hdr.gz": ".img.gz", ".img.gz": ".hdr.gz"}
"""Endings of the two files of a NIfTI pair."""


def open_volume(path: str | Path | Frame, name: str = "") -> Volume:
    """Open a 3D volume without reading its voxels.

    Args:
        path: a file with one of the endings of `VOLUME_TYPES`, or one frame of a 4D NIfTI file.
        name: what to call the volume in messages, e.g. ``case p017: phase 'portal'``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not readable, truncated, not 3D (axes of length 1 beyond the third are dropped), a spacing
            not above 0 mm, axes that are not independent, or a file type that is not supported.
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
    except Exception as error:  # each library has errors of its own; the user needs the file
        content = other_content(path)
        if content:
            rule = f"must be what its name says ({ending})"
            raise bad_volume(
                path, name, rule, content, "give it its right name, or export it again"
            ) from None
        raise unreadable(path, name, error) from None


def _in_its_place(path: Path) -> str:
    """Return what lies where a file should."""
    if path.is_symlink() and not path.exists():
        return f"a link to {os.readlink(path)}, where nothing is,"
    return "a folder" if path.is_dir() else "no file"


def files_of(path: str | Path) -> list[Path]:
    """Return all files that hold a volume: itself, the other of a pair, the voxel files its header names.

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
    """Return the images of a folder, and its other files; a pair or a header with voxel files is one image.

    Hidden files are left out.
    """
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    # links to nowhere are named when opened
    files = [path for path in found if path.is_file() or image_ending(path)]
    images = [path for path in files if image_ending(path)]
    parts = {
        part
        for path in images
        if not (image_ending(path) or "").startswith(".img")
        for part in files_of(path)[1:]
    }
    return [path for path in images if path not in parts], [
        path for path in files if path not in parts and not image_ending(path)
    ]


def frames_of(path: str | Path, name: str = "") -> list[Frame]:
    """Return the volumes along the fourth axis of a 4D NIfTI file, or nothing for any other file."""
    path = Path(path)
    if VOLUME_TYPES.get(image_ending(path) or "") is not NiftiVolume:
        return []
    try:
        with nibabel_image(path) as image:
            shape = tuple(image.shape)
    except Exception as error:  # as in open_volume
        raise unreadable(path, name, error) from None
    return [Frame(path, index) for index in range(shape[3])] if len(shape) == 4 and shape[3] > 1 else []


def image_ending(path: Path) -> str | None:
    """Return the ending of an image file in lower case, ``.nii.gz`` as one, or None for any other file."""
    return next((known for known in VOLUME_TYPES if path.name.lower().endswith(known)), None)
