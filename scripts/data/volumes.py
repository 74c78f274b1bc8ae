"""Opening a 3D volume by its file type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .nearest import listing
from .volume_base import BadVolume, Frame, Volume, bad_volume, unreadable, volume_message
from .volume_image import ImageVolume
from .volume_itk import ItkVolume, voxel_file
from .volume_nifti import NiftiVolume

VOLUME_TYPES: dict[str, Callable[[Path, str], Volume]] = {
    ".nii": NiftiVolume,
    ".nii.gz": NiftiVolume,
    ".nrrd": ItkVolume,
    ".mha": ItkVolume,
    ".mhd": ItkVolume,
    ".png": ImageVolume,
    ".jpg": ImageVolume,
    ".jpeg": ImageVolume,
    ".bmp": ImageVolume,
    ".tif": ImageVolume,
    ".tiff": ImageVolume,
}


def open_volume(path: str | Path | Frame, name: str = "") -> Volume:
    """Open a 3D volume without reading its voxels.

    Args:
        path: .nii, .nii.gz, .nrrd, .mha or .mhd, a picture file, or one frame of a 4D NIfTI file.
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
            path, name, "must exist", "no file", "correct the path or take it out of the case"
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
        raise unreadable(path, name, error) from None


def files_of(path: str | Path) -> list[Path]:
    """Return the files that hold a volume: the file itself, and the voxel file its header names, if any."""
    path = Path(path)
    if image_ending(path) not in (".mhd", ".nrrd"):
        return [path]
    named = voxel_file(path)
    return [path] if named in (path, None) else [path, named]


def frames_of(path: str | Path, name: str = "") -> list[Frame]:
    """Return the volumes along the fourth axis of a 4D NIfTI file, or nothing for any other file.

    Raises:
        BadVolume: the file cannot be read.
    """
    import nibabel

    path = Path(path)
    if VOLUME_TYPES.get(image_ending(path) or "") is not NiftiVolume:
        return []
    try:
        shape = tuple(nibabel.load(path).shape)  # type: ignore[attr-defined]
    except Exception as error:  # as in open_volume
        raise unreadable(path, name, error) from None
    return [Frame(path, index) for index in range(shape[3])] if len(shape) == 4 and shape[3] > 1 else []


def image_ending(path: Path) -> str | None:
    """Return the ending of an image file in lower case, ``.nii.gz`` as one, or None for any other file."""
    return next((known for known in VOLUME_TYPES if path.name.lower().endswith(known)), None)
