# SPDX-License-Identifier: Apache-2.0
"""NRRD, MetaImage and GIPL volumes, read a block at a time."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scripts.volumes.headers import (
    DEFLATE_RATIO,
    TextHeader,
    check_declared_size,
    in_millimetres,
    millimetres,
    read_text_header,
)
from scripts.volumes.native import read_native
from scripts.volumes.volume import Slices, Volume, bad_volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TEXT_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")
KNOWN_SPACES = {
    *("left-posterior-superior", "right-anterior-superior", "left-anterior-superior"),
    *("lps", "ras", "las"),
}
TIMED_SPACES = {
    "left-posterior-superior-time": (1, 1), "lpst": (1, 1),
    "right-anterior-superior-time": (-1, -1), "rast": (-1, -1),
    "left-anterior-superior-time": (1, -1), "last": (1, -1),
}  # fmt: skip
"""NRRD spaces with a time axis -> signs that turn the first two axes to LPS, which SimpleITK does only without time."""
PIECE = 1 << 20  # bytes read or decompressed at a time
ANY_ZLIB = 47  # zlib's wbits for either a gzip or a zlib frame
NO_AXES = "its header does not say how it lies in the patient; its axes are taken to run to left, back and top"


class ItkVolume(Volume):
    """A file read by SimpleITK (.nrrd, .nhdr, .mha, .mhd, .gipl) in a separate process; LPS becomes RAS."""

    def __init__(self, path: Path, name: str = "") -> None:
        text = read_text_header(path) if path.name.lower().endswith(TEXT_ENDINGS) else None
        missing = text.missing() if text else []
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            rule, found = "must have the files of its voxels", f"no {missing[0].name}{more}"
            raise bad_volume(path, name, rule, found, "restore them beside the header, or take it out of the case")
        if path.suffix == ".MHD":  # ITK would look for the voxels inside such a header
            raise bad_volume(path, name, "must end in lower case", path.suffix, "rename it to .mhd")
        self._text = text
        header = read_native("header", path)
        self._type, self._count = np.dtype(header["type"]), math.prod(header["size"])
        rank, shape, components = header["rank"], list(header["size"]), header["components"]
        spacing = np.array(header["spacing"][:3])
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            found = f"spacing {spacing.tolist()}"
            raise bad_volume(path, name, "must have spacings above 0 mm", found, "correct the header")
        affine = np.eye(4)
        if components > 1:
            shape = [*shape, *[1] * (3 - rank), components]
        factor, remarks = in_millimetres(spacing, _unit(text, path, name))
        if rank >= 3:
            affine[:3, :3] = np.reshape(header["direction"], (rank, rank))[:3, :3] * spacing
            affine[:3, 3] = header["origin"][:3]
            affine[:3] *= factor
        if text and rank > 3:
            affine[:2] *= np.reshape(TIMED_SPACES.get(text.fields.get("space", "").lower(), (1, 1)), (2, 1))
        super().__init__(path, shape, LPS_TO_RAS @ affine, name, [*remarks, *_assumed(text)])
        check_declared_size(path, name, self.shape, header["bytes"], _most_bytes(path, text))

    def _read(self, slices: Slices) -> np.ndarray:
        if self._packed_meta:
            (content,) = self._contents([self._count * self._type.itemsize])
            return self._voxels(content).reshape(self.shape, order="F")[slices]
        start, size = [part.start for part in slices], [part.stop - part.start for part in slices]
        return read_native("block", self.path, start, size).astype(np.float32)

    def _read_in_order(self, parts: Sequence[Slices]) -> Iterator[np.ndarray]:
        """Stream compressed MetaImage and plain NRRD; SimpleITK would read the whole file for each block."""
        if len(parts) > 1 and (self._packed_meta or self._plain_nrrd()):
            shapes = [(*self.shape[:2], slices[2].stop - slices[2].start) for slices in parts]
            contents = self._contents([math.prod(shape) * self._type.itemsize for shape in shapes])
            for shape, content in zip(shapes, contents, strict=True):
                yield self._voxels(content).reshape(shape, order="F")
        elif self._text and "elementdatafile" in self._text.fields:
            yield from super()._read_in_order(parts)
        else:
            whole = self._read((slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2])))
            yield from (whole[slices] for slices in parts)

    @property
    def _packed_meta(self) -> bool:
        return bool(self._text and self._text.fields.get("compresseddata", "").lower().startswith("t"))

    def _plain_nrrd(self) -> bool:
        """Whether the voxels are raw or gzipped, in one file, and start right after the header."""
        if self._text is None or len(self._text.files) > 1 or self._count != math.prod(self.shape):
            return False
        fields, needed = self._text.fields, self._count * self._type.itemsize
        encoding = fields.get("encoding", "").lower()
        if encoding not in ("raw", "gz", "gzip") or fields.keys() & {"lineskip", "byteskip"}:
            return False
        file = (self._text.files or [self.path])[0]
        length = file.stat().st_size
        if encoding == "raw":
            return length - self._text.begin == needed
        with open(file, "rb") as stream:
            stream.seek(max(0, length - 4))
            return int.from_bytes(stream.read(4), "little") == needed % 2**32

    def _contents(self, sizes: Sequence[int]) -> Iterator[bytes]:
        """Yield pieces of these sizes, which must be all there is; SimpleITK trusts a wrong CompressedDataSize."""
        pieces, held, needed = self._pieces(), bytearray(), sum(sizes)
        for number, size in enumerate(sizes):
            while len(held) < size:
                piece = next(pieces, None)
                if piece is None:
                    raise EOFError(f"truncated, {sum(sizes[:number]) + len(held)} of {needed} bytes")
                held += piece
            yield bytes(held[:size])
            del held[:size]
        if held or any(pieces):
            raise EOFError(f"more than the {needed} bytes of its voxels")

    def _pieces(self) -> Iterator[bytes]:
        """Yield the decompressed voxels of all files in small pieces."""
        assert self._text is not None
        for file in self._text.files or [self.path]:
            unpack = zlib.decompressobj(ANY_ZLIB)
            with open(file, "rb") as stream:
                stream.seek(self._text.begin)
                if not self._text.packed:
                    yield from iter(lambda: stream.read(PIECE), b"")
                    continue
                while not unpack.eof and (content := unpack.unconsumed_tail or stream.read(PIECE)):
                    yield unpack.decompress(content, PIECE)
                yield unpack.flush()

    def _voxels(self, content: bytes) -> np.ndarray:
        fields = self._text.fields if self._text else {}
        order = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", ""))
        high_first = order.lower().startswith("t") or fields.get("endian", "").lower() == "big"
        return np.frombuffer(content, self._type.newbyteorder(">" if high_first else "<"))


def _unit(header: TextHeader | None, path: Path, name: str) -> str:
    """Return the unit of length that a header states; empty if none.

    Raises:
        BadVolume: the axes have different units.
    """
    fields = header.fields if header else {}
    quoted = fields.get("spaceunits") or fields.get("units") or ""
    stated = {unit for unit in re.findall(r'"([^"]*)"', quoted)[:3] if unit.strip()}
    if len({millimetres(unit) or unit for unit in stated}) > 1:
        found = f"units {quoted}"
        raise bad_volume(path, name, "must have one unit of length", found, "correct the header")
    return next(iter(stated), fields.get("distanceunits", "").strip("? "))


def _assumed(header: TextHeader | None) -> list[str]:
    """Return remarks on what the header leaves open or contradicts."""
    if header is None:
        return [NO_AXES]
    fields, said = header.fields, []
    if "elementdatafile" in fields:
        spacing, size = fields.get("elementspacing"), fields.get("elementsize")
        if spacing is None and size is None:
            said.append("its header has no spacing; it is taken to be 1 mm")
        elif spacing and size and spacing.split() != size.split():
            said.append("its ElementSpacing and ElementSize differ; ElementSpacing is used")
        return said
    if "spacedirections" not in fields and "spacings" not in fields:
        said.append("its header has no spacing; it is taken to be 1 mm")
    elif "spacings" in fields and "nan" in fields["spacings"].lower().split():
        said.append("its header has no spacing along one axis; it is taken to be 1 mm")
    space = fields.get("space", "").lower()
    return [*said, NO_AXES] if space not in KNOWN_SPACES | TIMED_SPACES.keys() else said


def _most_bytes(path: Path, header: TextHeader | None) -> float:
    """Return the most bytes of voxels that a file, or the files it names, can hold."""
    files = header.files if header and header.files else [path]
    packed = header.packed if header else path.name.lower().endswith(".gz")
    begin = header.begin if header else 0
    return sum(max(0, file.stat().st_size - begin) for file in files) * (DEFLATE_RATIO if packed else 1)
