# SPDX-License-Identifier: Apache-2.0
"""Registration of all cases of a dataset."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scripts.files.atomic import write_table
from scripts.files.plain_text import note
from scripts.volumes.grid import mask_limits, open_phase, ras_bounds
from scripts.volumes.volume import Volume
from workbench.prepare.derived import Job, Record, derive, volume_file, write_nifti
from workbench.prepare.registration import elastix, pair
from workbench.prepare.registration.elastix import bend
from workbench.prepare.registration.pair import NotRegistered, Registration, around, match_pair

COLUMNS = (
    "case", "phase", "reference", "region", "registered", "voxels", "shift_mm", "rotation_degrees",
    "mutual_information_before", "mutual_information_after", "seconds", "reason",
)  # fmt: skip
"""Of registration.csv. Voxels: unchanged, or resampled around the region. Mutual information is in nats;
larger means more alike."""


def register_cases(
    cases: Sequence[dict[str, Any]],
    phases: Sequence[str],
    reference_phase: str,
    folder: Path,
    settings: Registration,
    workers: int | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Register every phase to the case's reference phase, and write registration.csv.

    Moved phases are written to `folder`/registered/<case>/<phase>.nii.gz: the voxels of the file, unchanged,
    with a changed affine; where a phase is bent, those around the region are resampled. A phase that cannot
    be registered, or would not gain, keeps its file.

    Args:
        cases: entries of dataset.json with absolute paths.
        phases: phases in order; the first one present replaces an absent reference.
        reference_phase: the phase that stays; region masks are taken to be drawn on it.
        folder: output folder of `preparing`.
        settings: transform, margin and limits.
        workers: processes at a time; None takes one per core.

    Returns:
        The cases with the paths of the moved phases, and notes for the user.
    """
    jobs, references = [], []
    for case in cases:
        image = case["image"]
        present = [phase for phase in [reference_phase, *phases] if phase in image]
        for phase in image:
            if phase != present[0]:
                target = volume_file(folder / "registered", case["case"], phase)
                places = (image[phase], image[present[0]], case.get("roi"), case.get("box"))
                jobs.append(Job(case["case"], phase, target, *places))
                references.append(present[0])
    made = derive(_register, jobs, settings, [pair, elastix], workers, "registering")
    rows = [
        {"case": job.case, "phase": job.phase, "reference": reference} | record
        for job, reference, record in zip(jobs, references, made, strict=True)
    ]
    write_table(folder / "registration.csv", COLUMNS, ([row.get(name) for name in COLUMNS] for row in rows))
    moved = {(job.case, job.phase): str(job.target) for job in jobs if job.target.is_file()}
    changed = [
        case | {"image": {phase: moved.get((case["case"], phase), path) for phase, path in case["image"].items()}}
        for case in cases
    ]
    return changed, _notes(rows, folder / "registration.csv")


def _register(job: Job, settings: Registration) -> Record:
    """Register one phase, or say why it stays as it is."""
    start, region, figures = time.monotonic(), "", {}
    job.target.unlink(missing_ok=True)  # of other files or settings
    try:
        fixed = open_phase(str(job.reference), job.case, "reference")
        moving = open_phase(job.source, job.case, job.phase)
        region, box = _region(job, fixed)
        match = match_pair(fixed, moving, box, settings)
        voxels, affine = moving.read(), match.matrix @ moving.affine
        if match.warp is not None:
            voxels = bend(voxels, affine, around(box, settings.margin), match.warp)
        write_nifti(job.target, voxels, affine)
        figures = {
            "voxels": "unchanged" if match.warp is None else "resampled",
            "shift_mm": round(match.shift, 2),
            "rotation_degrees": round(match.rotation, 2),
            "mutual_information_before": round(match.before, 5),
            "mutual_information_after": round(match.after, 5),
        }
        reason = ""
    except (NotRegistered, ValueError, FileNotFoundError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
    seconds = round(time.monotonic() - start, 1)
    return {"region": region, "registered": "no" if reason else "yes"} | figures | {
        "seconds": seconds, "reason": reason
    }  # fmt: skip


def _region(job: Job, fixed: Volume) -> tuple[str, np.ndarray]:
    """Return the kind of the region, and its corners in mm: the case's box, its mask, or the whole volume."""
    if job.box:
        return "box", np.array(job.box, dtype=np.float64)
    if job.roi:
        mask = open_phase(job.roi, job.case, "roi")
        return "mask", np.array(ras_bounds(mask, *mask_limits(mask, job.case)))
    return "whole volume", np.array(ras_bounds(fixed, np.zeros(3), np.subtract(fixed.shape, 1)))


def _notes(rows: Sequence[Record], file: Path) -> list[str]:
    moved = [row for row in rows if row["registered"] == "yes"]
    text = f"registered {len(moved)} of {len(rows)} phases to the reference phase"
    if moved:
        shift, rotation = (np.median([row[name] for row in moved]) for name in ("shift_mm", "rotation_degrees"))
        text += f", moved by a median of {shift:.1f} mm and {rotation:.1f} degrees"
    whole = sorted({row["case"] for row in rows if row["region"] == "whole volume"})
    stay = [
        f"case {row['case']}: phase {row['phase']!r} ({row['reason']})" for row in rows if row["registered"] == "no"
    ]
    notes = [
        f"{text}; figures in {file}",
        note("registered over the whole volume, for want of a mask or box", whole),
        note("phases not registered, used as they are", stay),
    ]
    return [line for line in notes if line]
