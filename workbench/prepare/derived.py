# SPDX-License-Identifier: Apache-2.0
"""Volumes derived from others: in parallel and once each; an interrupted run continues where it stopped."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from scripts.files.atomic import write_atomically, write_text
from scripts.files.processes import work_through
from scripts.volumes.fingerprint import content_hash, fingerprint, item_fingerprint

Record = dict[str, Any]  # what is recorded of a derived volume: plain values, as in a CSV file


@dataclass(frozen=True)
class Job:
    """One volume to be made."""

    case: str
    phase: str
    target: Path  # the .nii.gz to write; its record lies beside it as .json
    source: str
    reference: str | None = None
    roi: str | None = None
    box: list[list[float]] | None = None  # region in mm (R, A, S), two corners, where the case gives it
    mask: str | None = None  # of this phase alone, which moves with it


def derive(
    make: Callable[[Job, Any], Record],
    jobs: Sequence[Job],
    settings: Any,
    code: Sequence[ModuleType],
    workers: int | None,
    what: str,
) -> list[Record]:
    """Return the record of each job; a volume already made from the same contents and settings is reused.

    Args:
        make: writes `job.target` where there is something to write, and returns the record; a module-level function.
        code: modules whose code decides the result; changing them counts as changing the settings.

    Raises:
        BadCases: jobs that failed, each with its line; volumes of the other jobs are kept.
        OSError: the disk is full; volumes written before are kept.
    """
    version = [
        *map(metadata.version, ("SimpleITK", "itk-elastix")),
        *(content_hash(str(module.__file__)) for module in code),
    ]
    one = partial(_derive_one, make, settings=settings, version=version)
    return work_through(one, jobs, workers, bar=what, unit="volume", processes=True, what="volumes")


def volume_file(folder: Path, case: str, phase: str) -> Path:
    """Return where the volume of a case and phase is written; different names never share a file.

    >>> volume_file(Path("out"), "p017", "portal").as_posix()
    'out/p017/portal.nii.gz'
    """
    return folder / _file_name(case) / f"{_file_name(phase)}.nii.gz"


def _file_name(name: str) -> str:
    plain = re.sub(r"[^\w.+-]", "_", name).lstrip(".")
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _derive_one(make: Callable[[Job, Any], Record], job: Job, settings: Any, version: list[str]) -> Record:
    content = {name: value for name, value in asdict(job).items() if name != "target"}
    key = fingerprint([item_fingerprint(content), settings, version])
    file = job.target.with_name(job.target.name.removesuffix(".nii.gz") + ".json")
    known = _read(file)
    if known.get("key") == key and (job.target.is_file() or not known["written"]):
        return known["record"]
    record = make(job, settings)
    text = json.dumps({"key": key, "written": job.target.is_file(), "record": record}, indent=1) + "\n"
    write_text(file, text)
    return record


def _read(file: Path) -> dict[str, Any]:
    """Return what a record file holds, or nothing where there is none or it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    """Write voxels as .nii.gz, complete or not at all, with the same bytes each time.

    The type is int16 where that holds every value exactly, else float32. The sform is `affine`. The qform
    cannot hold a shear; it is the nearest matrix without one, for viewers built on ITK, which refuse a
    sheared sform without a qform beside it.

    Args:
        path: file to write, ending in .nii.gz.
        voxels: float32, axes in the order of the file.
        affine: voxel index -> mm (R, A, S), [4, 4].
    """
    import nibabel

    limits = np.iinfo(np.int16)
    if limits.min <= voxels.min() and voxels.max() <= limits.max:
        whole = voxels.astype(np.int16)
        voxels = whole if np.array_equal(whole, voxels) else voxels
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_sform(affine, code="aligned")
    image.set_qform(affine, code="aligned", strip_shears=True)
    image.header.set_xyzt_units("mm", "sec")
    content = gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)
    return write_atomically(path, lambda temporary: temporary.write_bytes(content))
