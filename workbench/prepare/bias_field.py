# SPDX-License-Identifier: Apache-2.0
"""N4 correction of the bias field: the slow change of brightness that the coils of an MR scanner cause."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scripts.cases.splits import Case
from scripts.files.plain_text import listing
from scripts.volumes.grid import open_phase
from scripts.volumes.volume import Volume, bad_volume
from workbench.prepare.derived import Job, Record, derive, volume_file, write_nifti

METHODS = ("none", "n4")
SHRUNK_MM = 4.0
"""The field is estimated on voxels of about this size; it is smooth, so finer ones only cost time."""
LEAST_VOXELS = 16  # shrinking leaves at least this many voxels per axis, where the volume has them
STEPS = (50, 50, 50, 50)  # most iterations on each of the four levels of the B-spline fit


@dataclass(frozen=True)
class BiasCorrection:
    """Whether and where the bias field is removed."""

    method: str = "none"
    phases: Sequence[str] | None = None  # the phases to correct, all of them MR; None takes every phase

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            known = listing(str(self.method), METHODS)
            raise ValueError(
                f"bias_correction must be one of {known}, found {self.method!r}; correct --bias_correction"
            )


def correct_cases(
    cases: Sequence[Case], phases: Sequence[str], folder: Path, settings: BiasCorrection, workers: int | None = None
) -> list[Case]:
    """Write the corrected phases to `folder`/n4/<case>/<phase>.nii.gz and return cases that name them.

    Raises:
        ValueError: a phase that the dataset does not have, or a volume that N4 cannot correct.
    """
    wanted = list(phases) if settings.phases is None else list(settings.phases)
    for phase in wanted:
        if phase not in phases:
            raise ValueError(
                f"bias_phases: {phase!r} is not among the phases {listing(phase, phases)}; correct --bias_phases"
            )
    jobs = [
        Job(case["case"], phase, volume_file(folder / "n4", case["case"], phase), path)
        for case in cases
        for phase, path in case["image"].items()
        if phase in wanted
    ]
    derive(_correct, jobs, None, [sys.modules[__name__]], workers, "removing bias fields")
    corrected = {(job.case, job.phase): str(job.target) for job in jobs}
    return [
        case | {"image": {name: corrected.get((case["case"], name), path) for name, path in case["image"].items()}}
        for case in cases
    ]


def _correct(job: Job, settings: None) -> Record:
    job.target.unlink(missing_ok=True)
    volume = open_phase(job.source, job.case, job.phase)
    voxels = volume.read_image()
    field = bias_field(volume, voxels)
    write_nifti(job.target, voxels / field, volume.affine)
    return {"darkest": round(float(field.min()), 4), "brightest": round(float(field.max()), 4)}


def bias_field(volume: Volume, voxels: np.ndarray) -> np.ndarray:
    r"""Estimate the field b of a volume v = b u, with geometric mean 1 over the foreground.

    N4 runs on a coarser copy, within Otsu's foreground; its B-spline of :math:`\log b` is then evaluated on
    every voxel.

    Returns:
        float32, of the shape of `voxels`.

    Raises:
        BadVolume: the foreground has values of 0 or below, as in CT, which have no logarithm.

    Reference:
        Tustison et al., N4ITK: improved N3 bias correction, IEEE Transactions on Medical Imaging 29 (2010).
    """
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels.T))
    image.SetSpacing(volume.spacing.tolist())
    mask = SimpleITK.OtsuThreshold(image, 0, 1)
    inside = SimpleITK.GetArrayViewFromImage(mask).T > 0
    if voxels[inside].min() <= 0:
        rule = "must be above 0 in its foreground to have its bias field removed"
        found = f"{voxels[inside].min():g}"
        remedy = "N4 is for MR: name the phases it suits in --bias_phases"
        raise bad_volume(volume.path, volume.name, rule, found, remedy)
    shape = np.array(voxels.shape)
    factors = np.clip(np.round(SHRUNK_MM / volume.spacing), 1, np.maximum(shape // LEAST_VOXELS, 1))
    shrink = [int(factor) for factor in factors]
    method = SimpleITK.N4BiasFieldCorrectionImageFilter()
    method.SetNumberOfThreads(1)
    method.SetMaximumNumberOfIterations(STEPS)
    method.Execute(SimpleITK.Shrink(image, shrink), SimpleITK.Shrink(mask, shrink))
    log_field = SimpleITK.GetArrayFromImage(method.GetLogBiasFieldAsImage(image)).T
    # N4 gives the field up to a factor; this one keeps the mean brightness of the foreground (log scale)
    return np.exp(log_field - log_field[inside].mean()).astype(np.float32)
