# SPDX-License-Identifier: Apache-2.0
"""The lazy 3D volume: its grid is known at once, voxels are read a block at a time, errors fit on one line."""

from __future__ import annotations

import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scripts.files.plain_text import shown
from scripts.volumes.native import ReaderDied

Slices = tuple[slice, slice, slice]
BLOCK = 2**22  # voxels per block (16 MiB in memory), unless a single slice has more
READ_ERRORS = (
    OSError, EOFError, zlib.error, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One 3D volume of a 4D file: one phase, if all phases of a case are in one file."""

    path: Path
    index: int  # position along the fourth axis, from 0


class BadVolume(ValueError):
    """A volume that breaks a rule; the one-line message names case, phase, file and remedy."""


@dataclass(frozen=True)
class Statistics:
    """Statistics of `count` voxel values; `std` is the population standard deviation."""

    count: int
    mean: float
    std: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: np.ndarray) -> Statistics:
        """Compute the statistics in double precision.

        >>> Statistics.of(np.array([1.0, 3.0])).std
        1.0
        """
        mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        return cls(int(values.size), mean, std, float(values.min()), float(values.max()))


class Volume(ABC):
    """A 3D volume on disk.

    Args:
        shape: voxels per axis, in file order; axes of length 1 beyond the third are dropped.
        affine: voxel index -> position in mm (R, A, S), [4, 4].
        name: the volume's name in messages, e.g. ``case p017: phase 'portal'``.
        remarks: assumptions made in reading the file, each as a sentence about "it" without its name, so that
            equal remarks on many files can be merged.

    Raises:
        BadVolume: not 3D, or linearly dependent axes.
    """

    def __init__(
        self, path: Path, shape: Sequence[int], affine: np.ndarray, name: str = "", remarks: Sequence[str] = ()
    ) -> None:
        self.path = path
        self.name = name
        self.remarks = tuple(remarks)
        self.affine = np.array(affine, dtype=np.float64)
        if len(shape) < 3 or any(size != 1 for size in shape[3:]) or any(size < 1 for size in shape[:3]):
            found = f"shape {tuple(int(size) for size in shape)}"
            raise bad_volume(path, name, "must be 3D", found, "save one 3D file per phase")
        self.shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        extent = abs(np.linalg.det(self.affine[:3, :3])) if np.isfinite(self.affine).all() else 0.0
        if not extent > 1e-4 * self.spacing.prod() > 0:  # relative: any voxel size, but no nearly flat voxel
            rule = "must have three independent axes with a spacing above 0 mm"
            found = f"affine {np.round(self.affine[:3], 6).tolist()}"
            raise bad_volume(path, name, rule, found, "correct the header")

    @property
    def spacing(self) -> np.ndarray:
        """Distance between voxel centres along the axes of the file, mm, [3]."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @abstractmethod
    def _read(self, slices: Slices) -> np.ndarray:
        """Return a block of voxels, axes in file order."""

    def read(self, slices: Slices | None = None) -> np.ndarray:
        """Read a block of the volume or, by default, all of it.

        Args:
            slices: first and last + 1 voxel per axis (no steps); None reads everything.

        Returns:
            float32 [X, Y, Z], axes in file order.

        Raises:
            BadVolume: the file cannot be read, or a voxel is NaN or infinite.
        """
        return self._finite(self.read_unchecked(slices), (slice(None),) * 3 if slices is None else slices)

    def _finite(self, block: np.ndarray, slices: Slices) -> np.ndarray:
        """Return a block after checking that all its voxels are finite."""
        finite = np.isfinite(block)
        if not finite.all():
            bounds = zip(slices, self.shape, strict=True)
            where = ", ".join("{}:{}".format(*part.indices(size)) for part, size in bounds)
            found = f"{finite.size - int(finite.sum())} NaN or infinite voxels in [{where}]"
            rule = "must have finite voxels only"
            raise bad_volume(self.path, self.name, rule, found, "repair it or take it out of the case")
        return block

    def read_unchecked(self, slices: Slices | None = None) -> np.ndarray:
        """Read like `read`, but return NaN and infinite voxels unchanged."""
        parts = (slice(None), slice(None), slice(None)) if slices is None else slices
        first, second, third = (slice(*part.indices(size)) for part, size in zip(parts, self.shape, strict=True))
        try:
            return np.asarray(self._read((first, second, third)), dtype=np.float32)
        except READ_ERRORS as error:
            raise unreadable(self.path, self.name, error) from None

    def blocks(self) -> Iterator[np.ndarray]:
        """Read all voxels like `read`, in blocks along the third axis of about `BLOCK` voxels each.

        A compressed file is decompressed only once.
        """
        for block, slices in zip(self.blocks_unchecked(), self._parts(), strict=True):
            yield self._finite(block, slices)

    def blocks_unchecked(self) -> Iterator[np.ndarray]:
        """Read like `blocks`, but return NaN and infinite voxels unchanged."""
        parts = self._parts()
        found = self._read_in_order(parts)
        for _ in parts:
            try:
                block = np.asarray(next(found), dtype=np.float32)
            except READ_ERRORS as error:
                raise unreadable(self.path, self.name, error) from None
            yield block

    def _parts(self) -> list[Slices]:
        step = max(1, BLOCK // (self.shape[0] * self.shape[1]))
        whole = slice(0, self.shape[0]), slice(0, self.shape[1])
        return [(*whole, slice(start, min(start + step, self.shape[2]))) for start in range(0, self.shape[2], step)]

    def _read_in_order(self, parts: Sequence[Slices]) -> Iterator[np.ndarray]:
        """Yield consecutive blocks, each beginning where the previous one ends."""
        for slices in parts:
            yield self._read(slices)

    def read_image(self) -> np.ndarray:
        """Read all voxels like `read`, and refuse a constant volume."""
        voxels = self.read()
        self.check_differ(float(voxels.min()), float(voxels.max()))
        return voxels

    def check_differ(self, lowest: float, highest: float) -> None:
        """Refuse a volume whose lowest and highest voxel are equal."""
        if lowest == highest:
            rule, found = "must have voxels that differ", f"{lowest:g} everywhere"
            raise bad_volume(self.path, self.name, rule, found, "take it out of the case or export it again")

    def lowest(self) -> float:
        """Return the lowest voxel value, reading a block at a time; refuses a constant volume."""
        limits = [(float(block.min()), float(block.max())) for block in self.blocks()]
        lowest = min(low for low, _ in limits)
        self.check_differ(lowest, max(high for _, high in limits))
        return lowest

    def statistics(self) -> Statistics:
        """Return the statistics of the whole volume."""
        return Statistics.of(self.read_image())


def volume_message(path: Path, name: str, rule: str, found: str, remedy: str) -> str:
    """Compose the one-line message: what must hold, what was found, where, and what to do."""
    found = shown(found if len(found) <= 500 else f"{found[:499]}…")
    return f"{name + ': ' if name else ''}the volume {rule}, found {found} in {shown(str(path))}; {remedy}"


def bad_volume(path: Path, name: str, rule: str, found: str, remedy: str) -> BadVolume:
    """Return the error for a file that breaks a rule."""
    return BadVolume(volume_message(path, name, rule, found, remedy))


def unreadable(path: Path, name: str, error: Exception) -> BadVolume:
    """Return the error for a file that a library could not read."""
    said = str(error).strip().splitlines() or [""]
    lines = [line for line in said if not line.startswith("Reason: ")] or said  # an errno that may be unrelated
    reason = re.sub(r"\(0x[0-9a-f]+\)", "", lines[-1].rpartition("ERROR: ")[2]).strip()[:200]
    if not isinstance(error, ReaderDied):
        reason = f"{type(error).__name__}: {reason}"
    return bad_volume(path, name, "must be readable", reason, "restore it or take it out of the case")
