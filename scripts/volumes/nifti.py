# SPDX-License-Identifier: Apache-2.0
"""NIfTI and MGH volumes, read a block at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scripts.volumes.headers import (
    DEFLATE_RATIO,
    check_declared_size,
    in_millimetres,
    packing_by_name,
    packings_of,
    unpacked,
)
from scripts.volumes.volume import Slices, Volume, bad_volume

USUAL_RATIO = 50
"""Highest compression ratio of a .nii.gz file whose stated length is taken on trust."""
RATIOS = {"gzip": float(DEFLATE_RATIO), "bzip2": 46e6}  # most bytes that one compressed byte can expand to
FORM_CODES = range(1, 6)
"""Valid qform and sform codes; nibabel treats all others as unset."""
FORM_TOLERANCE = 0.5  # voxels; how far qform and sform may disagree at a corner of the volume


class NiftiVolume(Volume):
    """A NIfTI file (.nii, .hdr with .img; versions 1 and 2, either byte order) or MGH file, read by nibabel.

    Compression is recognised by content. The affine is nibabel's choice: sform, else qform, else the spacing
    with the volume centred at the origin. Lengths in other units are converted to mm.

    Args:
        path: the file; either one of a pair.
        frame: position along the fourth axis of a 4D file; None for a 3D file.
    """

    def __init__(self, path: Path, name: str = "", frame: int | None = None) -> None:
        self._packings = packings_of(path)
        self._as_named = self._packings == packing_by_name(path)
        with nibabel_image(path) as image:
            header, proxy, shape = image.header, image.dataobj, tuple(map(int, image.shape))
            affine = np.array(image.affine, dtype=np.float64)
            self._voxel_file = Path(image.file_map["image"].filename or path)
            header_file = Path(image.file_map.get("header", image.file_map["image"]).filename or path)
        nifti = "magic" in header
        if not nifti and "sizeof_hdr" in header:
            found = "the format Analyze 7.5, which does not"
            raise bad_volume(path, name, "must say which side is left", found, "convert it to .nii.gz")
        if nifti:  # nibabel's own check would silently repair spacings
            with unpacked(header_file) as (file, _):
                header = type(header).from_fileobj(file, check=False)
        spacing = np.asarray(header["pixdim"][1:4] if nifti else header["delta"], dtype=np.float64)[: len(shape)]
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            found = f"pixdim {spacing.tolist()}"
            raise bad_volume(path, name, "must have spacings above 0 mm", found, "correct the header")
        factor, remarks = in_millimetres(np.linalg.norm(affine[:3, :3], axis=0)[: len(shape)], unit_of(header))
        affine[:3] *= factor
        remarks += nifti_remarks(header, shape) if nifti else mgh_remarks(header)
        if not self._as_named:
            packed = f"packed ({', then '.join(reversed(self._packings))})" if self._packings else "not packed"
            remarks.append(f"it is {packed}, whatever its name says; it was read by its content")
        super().__init__(path, shape if frame is None else shape[:3], affine, name, remarks)
        self._frame = frame or 0
        self._proxy = proxy if self._as_named else None
        self._spec = (shape, proxy.dtype, int(proxy.offset), proxy.slope, proxy.inter)
        if proxy.dtype.kind not in "iuf":
            found = f"voxels of type {proxy.dtype}"
            raise bad_volume(path, name, "must hold one number per voxel", found, "export it as a grey image")
        if nifti and header_file == self._voxel_file and proxy.offset < header.sizeof_hdr:
            found = f"vox_offset {proxy.offset}, inside the header,"
            raise bad_volume(path, name, "must say where its voxels begin", found, "correct the header")
        ratio = 1.0
        for packing in self._packings:
            ratio *= RATIOS[packing]
        size = proxy.dtype.itemsize
        most = self._voxel_file.stat().st_size * ratio
        check_declared_size(path, name, self.shape, size * math.prod(shape[3:]), most)
        self._check_length(int(proxy.offset) + math.prod(shape) * size)

    def _check_length(self, needed: int) -> None:
        """Refuse a file that ends before its last voxel.

        The last four bytes of a .gz file state the length of its content, which usually settles it without
        decompressing. If they disagree (truncation, several members, trailing bytes), or the compression is
        unusually high or of another kind, the file is decompressed once, piece by piece, as far as needed.
        """
        with open(self._voxel_file, "rb") as file:
            length = file.seek(0, 2)
            if self._packings == ["gzip"]:
                file.seek(max(0, length - 4))
                usual = needed <= USUAL_RATIO * length
                if usual and int.from_bytes(file.read(4), "little") == needed % 2**32:
                    return
        if self._packings:
            length = 0
            with unpacked(self._voxel_file) as (stream, _):
                while length < needed and (piece := stream.read(1 << 20)):
                    length += len(piece)
        if length < needed:
            raise EOFError(f"truncated, {length} of {needed} bytes")

    def _read(self, slices: Slices) -> np.ndarray:
        if self._proxy is not None:
            return self._proxy[self._rows(slices)][slices[0]]
        return next(self._read_in_order([slices]))

    def _read_in_order(self, parts: Sequence[Slices]) -> Iterator[np.ndarray]:
        from nibabel.arrayproxy import ArrayProxy

        with unpacked(self._voxel_file) as (file, _):
            for slices in parts:
                yield ArrayProxy(file, self._spec)[self._rows(slices)][slices[0]]

    def _rows(self, slices: Slices) -> tuple[slice | int, ...]:
        """Return slices of whole rows, so that nibabel seeks once per plane instead of once per row."""
        return (slice(None), *slices[1:], self._frame, 0, 0, 0)[: len(self._spec[0])]


@contextmanager
def nibabel_image(path: Path) -> Iterator[Any]:
    """Open a file with nibabel, by content if its name misstates the compression."""
    import nibabel

    nibabel.imageglobals.logger.setLevel("CRITICAL")  # its log names no file; `nifti_remarks` says what is assumed
    file: Any
    with unpacked(path) as (file, packings):
        start = file.read(4)
        file.seek(0)
        sizes = {int.from_bytes(start, "little"), int.from_bytes(start, "big")}
        kinds = {348: nibabel.Nifti1Image, 540: nibabel.Nifti2Image, 1: nibabel.MGHImage}
        kind: Any = next((kind for size, kind in kinds.items() if size in sizes), None)
        if packings == packing_by_name(path) or kind is None:
            yield nibabel.load(path)  # type: ignore[attr-defined]
        else:
            yield kind.from_file_map({"image": nibabel.FileHolder(fileobj=file)})


def unit_of(header: Any) -> str:
    """Return the unit of length that a header states; empty if none. MGH is always in mm."""
    if "xyzt_units" not in header:
        return "mm"
    code = int(header["xyzt_units"]) & 7
    return {0: "", 1: "metres", 2: "mm", 3: "micrometres"}.get(code, f"code {code} of xyzt_units")


def nifti_remarks(header: Any, shape: tuple[int, ...]) -> list[str]:
    """Return remarks on what a header leaves open or contradicts about the position of the voxels."""
    sform, qform = (int(header[name]) in FORM_CODES for name in ("sform_code", "qform_code"))
    if not sform and not qform:
        return ["its header does not say how it lies in the patient; its axes are taken to run to left, front and top"]
    if not sform:
        face = float(header["pixdim"][0])
        return (
            []
            if face in (-1, 1)
            else [f"its pixdim[0] is {face:g}, neither 1 nor -1; 1 is used, as for which way slices run"]
        )
    said = []
    matrix, spacing = header.get_sform()[:3], np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if not np.allclose(np.linalg.norm(matrix[:, :3], axis=0), spacing, rtol=0.01):
        said.append("its spacing in pixdim and in the sform differ; the sform is used")
    elif qform:
        try:
            corners = np.array(list(product(*((0.0, size - 1.0) for size in shape[:3]))))
            away = corners @ (matrix[:, :3] - header.get_qform()[:3, :3]).T + (matrix - header.get_qform()[:3])[:, 3]
        except (ValueError, np.linalg.LinAlgError):  # an invalid qform
            return said
        if np.linalg.norm(away, axis=1).max() > FORM_TOLERANCE * spacing.min():
            said.append("its sform and qform place it differently; the sform is used")
    return said


def mgh_remarks(header: Any) -> list[str]:
    """Return remarks on what the header of an MGH file leaves open."""
    if int(header["goodRASFlag"]) > 0:
        return []
    return ["its header does not say how it lies in the patient; its axes are taken to run to left, bottom and front"]
