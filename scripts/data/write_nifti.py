"""Writing a volume that `preparing` made."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    """Write voxels as .nii.gz: complete or not at all, the same bytes each time.

    The type is int16 where that holds every value exactly, else float32. The sform is `affine`. The qform
    cannot hold a shear; it is the nearest matrix without one, for viewers built on ITK, which refuse a
    sheared sform without a qform beside it.

    Args:
        path: file to write, ending in .nii.gz.
        voxels: float32, axes in the order of the file.
        affine: voxel index -> mm (R, A, S), [4, 4].
    """
    import nibabel

    from scripts.evaluation.atomic import write_atomically

    limits = np.iinfo(np.int16)
    if limits.min <= voxels.min() and voxels.max() <= limits.max:
        whole = voxels.astype(np.int16)
        voxels = whole if np.array_equal(whole, voxels) else voxels
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_sform(affine, code="aligned")
    image.set_qform(affine, code="aligned", strip_shears=True)
    image.header.set_xyzt_units("mm", "sec")
    content = gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    return write_atomically(path, write)
