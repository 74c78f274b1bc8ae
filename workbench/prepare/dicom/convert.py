# SPDX-License-Identifier: Apache-2.0
"""The voxels of a stack as .nii.gz: image and affine, nothing else of the header."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
from scripts.files.atomic import write_atomically
from scripts.volumes.native import read_native
from workbench.prepare.dicom.geometry import Refused
from workbench.prepare.dicom.headers import shown
from workbench.prepare.dicom.stacks import Stack
from workbench.prepare.dicom.tags import Scale


def write_stack(stack: Stack, target: Path) -> Path:
    """Decode the images of a stack in a process of its own, and write them as NIfTI, complete or not at all.

    Each image is rescaled by its own slope and intercept (to HU for CT), whether low values are meant to be
    shown black or white; int16 where that loses nothing, else float32.

    Raises:
        Refused: an image cannot be decoded, or its size differs from that in its header.
    """
    import nibabel

    voxels = _voxels(stack)
    image = nibabel.Nifti1Image(voxels, stack.affine)
    image.header.set_xyzt_units("mm")
    content = gzip.compress(image.to_bytes(), compresslevel=5, mtime=0)
    return write_atomically(target, lambda temporary: temporary.write_bytes(content))


def state_of_files(stack: Stack) -> str:
    """Return a text that changes with the files of a stack or their order, and reveals no file name."""
    digest = hashlib.sha256()
    for image in stack.slices:
        state = image.file.stat()
        digest.update(os.fsencode(image.file))
        times = f"{state.st_mtime_ns}|{state.st_ctime_ns}"  # a program can set back mtime, but not ctime
        digest.update(f"|{image.frame}|{state.st_size}|{times}|{image.scale}\n".encode())
    digest.update(np.round(np.asarray(stack.affine), 6).tobytes())
    return digest.hexdigest()[:16]


def _voxels(stack: Stack) -> np.ndarray:
    """Return the voxels [columns, rows, slices]."""
    slices = []
    opened: dict[Path, np.ndarray] = {}
    for image in stack.slices:
        if image.file not in opened:
            opened.clear()
            opened[image.file] = _decode(image.file)
        frames = opened[image.file]
        frame = frames[image.frame or 0] if (image.frame or 0) < len(frames) else frames[:0]
        if frame.shape != image.shape[::-1]:
            raise Refused(f"{shown(image.file)} has {frames.shape} pixels, other than its header says")
        slices.append(_scaled(frame, image.scale).T)
    voxels = np.stack(slices, axis=-1)
    if not np.isfinite(voxels).all():
        raise Refused("pixels that are NaN or infinite")
    if np.abs(voxels).max() < 2**15 and (voxels == np.rint(voxels)).all():
        return voxels.astype(np.int16)
    return voxels.astype(np.float32)


def _scaled(stored: np.ndarray, scale: Scale) -> np.ndarray:
    """Return slope x stored number + intercept, as integers where all three are."""
    slope, intercept = scale.slope or 1.0, scale.intercept or 0.0
    if (slope, intercept) == (1.0, 0.0):
        return stored
    if slope.is_integer() and intercept.is_integer() and stored.dtype.kind in "iu":
        exact = stored.astype(np.int64) * int(slope) + int(intercept)
        return exact.astype(np.int32) if np.abs(exact).max() < 2**31 else exact
    return (stored * slope + intercept).astype(np.float32)


def _decode(file: Path) -> np.ndarray:
    """Return the stored numbers of a file [frames, rows, columns]."""
    try:
        return read_native("dicom", file)
    except (RuntimeError, OSError, MemoryError) as error:
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        reason = last.rpartition("): ")[2] if last.startswith(("sitk::", "itk::")) or "): " in last else last
        raise Refused(f"pixels of {shown(Path(file.name))} cannot be decoded ({reason.strip()[:120]})") from None
