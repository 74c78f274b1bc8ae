# SPDX-License-Identifier: Apache-2.0
"""LLD-MMRI 2023, liver MR: eight phases, seven kinds of lesion; whole volumes with boxes, or official crops.

Whole volumes (`source` is the folder that holds images/ and labels/):

    images/MR-1/<studyUID>/<seriesUID>.nii.gz       or images/MR-1/<phase>.nii.gz
    labels/Annotation.json                          the lesions of each series: category and box

Crops around the lesion (`source` is classification_dataset/):

    images/MR-1/<phase>.nii.gz                      T2WI, DWI, In Phase, Out Phase, C-pre, C+A, C+V, C+Delay
    labels/labels.txt                               lines: MR-1 6

Annotation.json, as the organisers' own cropping program reads it: Annotation_info -> patient -> list of
series, each with studyUID, seriesUID, phase and annotation.lesion -> number -> category and bbox.3D_box with
x_min, x_max, y_min, y_max, z_min, z_max. These are taken as voxel indices of that series' own file, counted
from 0 along its first, second and third axis, both ends included. Each is turned into mm with the affine of
its file; the box of a case surrounds the boxes of all its phases, since breathing moves the lesion between
them.

Lesion 0 of a patient is the case MR-1, a further one MR-1_1, as in the crops. Licence: CC BY-NC 4.0.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from scripts.cases.folder import case_folders
from scripts.cases.splits import Case
from scripts.files.plain_text import listing, note
from scripts.volumes.grid import open_phase, ras_bounds
from workbench.prepare.layouts import Found, Source

PHASES = ["T2WI", "DWI", "In Phase", "Out Phase", "C-pre", "C+A", "C+V", "C+Delay"]
CLASSES = [
    "hepatic_hemangioma",
    "intrahepatic_cholangiocarcinoma",
    "hepatic_abscess",
    "hepatic_metastasis",
    "hepatic_cyst",
    "focal_nodular_hyperplasia",
    "hepatocellular_carcinoma",
]
"""In the order of the label numbers 0 to 6; -1 (inaccessible) is no label."""
AXES = ("x", "y", "z")


def find(source: Source) -> Found:
    """Find the annotated cases with boxes if there is an Annotation.json, else the crops."""
    root = source.path
    if not (root / "images").is_dir():
        raise FileNotFoundError(
            f"{root / 'images'} does not exist; pass the folder that holds images/ and labels/ as --source"
        )
    annotation, labels = root / "labels" / "Annotation.json", root / "labels" / "labels.txt"
    if annotation.is_file():
        return Found("LLD-MMRI", PHASES, _annotated(root / "images", annotation), CLASSES)
    if not labels.is_file():
        raise FileNotFoundError(f"neither {annotation} nor {labels} exists; unpack the labels there")
    known = _label_file(labels)
    cases: list[Case] = []
    for folder in case_folders(root / "images"):
        image = {phase: str(file) for phase in PHASES if (file := folder / f"{phase}.nii.gz").is_file()}
        if image:
            label = {"label": known[folder.name]} if folder.name in known else {}
            cases.append({"case": folder.name, "patient": _patient(folder.name), "image": image} | label)
    if not cases:
        raise ValueError(f"{root / 'images'} must hold MR-*/<phase>.nii.gz, found none; correct --source")
    notes = [
        note("cases without a label, kept as unlabelled", [case["case"] for case in cases if "label" not in case]),
        note("rows without a folder, left out", sorted(set(known) - {case["case"] for case in cases})),
    ]
    return Found("LLD-MMRI crops", PHASES, cases, CLASSES, notes=notes)


def _annotated(images: Path, file: Path) -> list[Case]:
    try:
        patients = json.loads(file.read_text(encoding="utf-8"))["Annotation_info"]
        lesions: dict[str, dict[str, Any]] = {}
        for patient, series in patients.items():
            for entry in series:
                for number, lesion in entry["annotation"]["lesion"].items():
                    case = patient if int(number) == 0 else f"{patient}_{number}"
                    _add(lesions.setdefault(case, {"patient": patient}), case, images, entry, lesion, file)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{file} must hold Annotation_info -> patient -> series -> annotation.lesion "
            f"({type(error).__name__}: {error}); download it again"
        ) from None
    if not lesions:
        raise ValueError(f"{file} must list at least one lesion, found none; download it again")
    return [_case(case, lesions[case]) for case in sorted(lesions)]


def _add(case: Case, name: str, images: Path, series: Any, lesion: Any, file: Path) -> None:
    """Add one series to a lesion: its file, box in mm and label."""
    phase = series["phase"]
    if phase not in PHASES:
        raise ValueError(f"case {name}: phase {phase!r} is not among {listing(str(phase), PHASES)} in {file}")
    folder = images / case["patient"]
    places = [folder / str(series["studyUID"]) / f"{series['seriesUID']}.nii.gz", folder / f"{phase}.nii.gz"]
    volume = next((place for place in places if place.is_file()), None)
    if volume is None:
        raise FileNotFoundError(
            f"case {name}: phase {phase!r} must be {places[0]} or {places[1]}, found neither; unpack the images again"
        )
    case.setdefault("image", {})[phase] = str(volume)
    case.setdefault("boxes", []).append(_box(name, phase, str(volume), lesion["bbox"]["3D_box"]))
    case.setdefault("labels", set()).add(class_of(lesion["category"], f"case {name} in {file}"))


def _box(case: str, phase: str, path: str, box: Any) -> np.ndarray:
    """Return the corners in mm (RAS) of a box in voxel indices, [2, 3]."""
    volume = open_phase(path, case, phase)
    low, high = (np.array([int(float(box[f"{axis}_{end}"])) for axis in AXES]) for end in ("min", "max"))
    if (low < 0).any() or (low > high).any() or (high > volume.shape).any():
        raise ValueError(
            f"case {case}: the box of phase {phase!r} must lie in the volume of {volume.shape} voxels, found "
            f"{low.tolist()} to {high.tolist()} for {path}; boxes belong to the whole volumes, not to crops: "
            "for those pass classification_dataset as --source"
        )
    return np.stack(ras_bounds(volume, low, np.minimum(high, np.subtract(volume.shape, 1))))


def _case(name: str, lesion: dict[str, Any]) -> dict[str, Any]:
    if len(lesion["labels"]) > 1:
        raise ValueError(f"case {name}: all phases must name one class, found {sorted(map(str, lesion['labels']))}")
    boxes, (label,) = np.stack(lesion["boxes"]), lesion["labels"]
    corners = [boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)]
    entry = {"case": name, "patient": lesion["patient"], "image": lesion["image"]}
    entry["box"] = [np.round(corner, 2).tolist() for corner in corners]
    return entry | ({"label": label} if label else {})


def class_of(category: Any, where: str) -> str | None:
    """Return the class of a number or a name in any letter case; None for -1, inaccessible.

    >>> class_of(6, ""), class_of("FOCAL_NODULAR_HYPERPLASIA", ""), class_of("-1", "")
    ('hepatocellular_carcinoma', 'focal_nodular_hyperplasia', None)
    """
    text = str(category).strip().lower().replace(" ", "_")
    if text in ("-1", "inaccessible"):
        return None
    names = {str(number): name for number, name in enumerate(CLASSES)} | {name: name for name in CLASSES}
    if text not in names:
        raise ValueError(f"{where}: class {category!r} is not among {listing(text, CLASSES)} or 0 to 6")
    return names[text]


def _label_file(file: Path) -> dict[str, str]:
    labels: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        words = line.split()
        if words and len(words) != 2:
            raise ValueError(f"{file}: line {number} must be a case and a class number, found {line!r}; correct it")
        label = class_of(words[1], f"{file}, line {number}") if words else None
        if label:
            labels[words[0]] = label
    return labels


def _patient(case: str) -> str:
    """Return the case without the number of a further lesion.

    >>> _patient("MR-391135"), _patient("MR-391135_1")
    ('MR-391135', 'MR-391135')
    """
    return re.sub(r"_\d+$", "", case)
