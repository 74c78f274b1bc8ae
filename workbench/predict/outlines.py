# SPDX-License-Identifier: Apache-2.0
"""What was outlined in the images of one patient: in which files, how large, and for a DICOM study as DICOM, too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scripts.engines.outlines import outline_path
from scripts.volumes.label_map import read_label_map
from scripts.volumes.open import open_volume
from workbench.predict.study import PatientImages


def phases_of_outlines(folder: Path, images: PatientImages, phases: Sequence[str], reference: str) -> dict[Path, str]:
    """Return the label maps of a case in a folder, each with the phase on whose voxels it lies.

    Args:
        phases: of the model, in order.
        reference: phase of an outline of the whole case; where it is missing, the first one.
    """
    there = [phase for phase in phases if phase in images.image]
    whole = reference if reference in there else there[0]
    known = {outline_path(folder, images.case): whole} | {outline_path(folder, images.case, one): one for one in there}
    return {path: phase for path, phase in known.items() if path.is_file()}


def show_outlines(found: Mapping[Path, str], images: PatientImages, structures: Sequence[str], run: Path) -> None:
    """Print the volumes of the structures, and write each outline of a DICOM series as a Segmentation beside it.

    Args:
        found: label maps, each with its phase.
        run: folder of the model.
    """
    for path, phase in found.items():
        volume = open_volume(str(path), "outline")
        labels, voxel = read_label_map(volume), abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000  # ml
        sizes = [f"{name} {voxel * (labels == value).sum():.3g} ml" for value, name in enumerate(structures, start=1)]
        written = [str(path)]
        if phase in images.series:
            from workbench.predict.segmentation_object import write_segmentation  # only here is highdicom needed

            model = json.loads((run / "configs" / "metadata.json").read_text(encoding="utf-8"))
            target = path.with_name(path.name.replace(".nii.gz", ".dcm"))
            series, character_set = images.series[phase], images.character_set
            written.append(str(write_segmentation(path, series, structures, model, target, character_set)))
        print(f"outlined on {phase}: {', '.join(sizes)}\nwritten: {' and '.join(written)}")
