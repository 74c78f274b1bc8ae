"""NRRD, MetaImage and GIPL volumes, read a block at a time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .declared_size import DEFLATE_RATIO, check_declared_size
from .native import read_native
from .text_header import TextHeader, read_text_header
from .units import in_millimetres
from .volume_base import Slices, Volume, bad_volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TEXT_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")
KNOWN_SPACES = {"left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las"}
NO_AXES = "its header does not say how it lies in the patient; its axes are taken to run to left, back and top"


class ItkVolume(Volume):
    """A file that SimpleITK reads (.nrrd, .nhdr, .mha, .mhd, .gipl), in a process of its own; LPS is turned to RAS."""

    def __init__(self, path: Path, name: str = "") -> None:
        text = read_text_header(path) if path.name.lower().endswith(TEXT_ENDINGS) else None
        missing = text.missing() if text else []
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            rule, found = "must have the files of its voxels", f"no {missing[0].name}{more}"
            raise bad_volume(path, name, rule, found, "restore them beside the header, or take it out of the case")
        header = read_native("header", path)
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
        super().__init__(path, shape, LPS_TO_RAS @ affine, name, [*remarks, *_assumed(text)])
        check_declared_size(path, name, self.shape, header["bytes"], _most_bytes(path, text))

    def _read(self, slices: Slices) -> np.ndarray:
        start, size = [part.start for part in slices], [part.stop - part.start for part in slices]
        return read_native("block", self.path, start, size).astype(np.float32)


def _unit(header: TextHeader | None, path: Path, name: str) -> str:
    """Return the unit of length that a header states, or nothing.

    Raises:
        BadVolume: the axes have different units.
    """
    fields = header.fields if header else {}
    quoted = fields.get("spaceunits") or fields.get("units") or ""
    stated = {unit for unit in re.findall(r'"([^"]*)"', quoted)[:3] if unit.strip()}
    if len(stated) > 1:
        found = f"units {quoted}"
        raise bad_volume(path, name, "must have one unit of length", found, "correct the header")
    return next(iter(stated), fields.get("distanceunits", "").strip("? "))


def _assumed(header: TextHeader | None) -> list[str]:
    """Return what the header leaves open, or says twice."""
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
    return [*said, NO_AXES] if space not in KNOWN_SPACES else said


def _most_bytes(path: Path, header: TextHeader | None) -> float:
    """Return how many bytes of voxels a file, or the files that it names, can hold."""
    files = header.files if header and header.files else [path]
    packed = header.packed if header else path.name.lower().endswith(".gz")
    return sum(file.stat().st_size for file in files) * (DEFLATE_RATIO if packed else 1)
