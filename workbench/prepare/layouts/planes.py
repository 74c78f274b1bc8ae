# SPDX-License-Identifier: Apache-2.0
"""2D images by plane: one tree per phase, planes and classes as folders.

source/DMQ/Axial/train/benign/p001_axial.png
source/DMQ/Coronal/train/benign/p001_coronal.png
source/MMQ/Axial/val/malignant/p002.jpg
source/PS/...

DMQ is the arterial, MMQ the portal and PS the plain phase (pre); `phase_names` gives other names, e.g.
{arterial: [AP], portal: [PV]}. The images of a case share its name, which is the file
name without the words for plane and phase; the order of the files never counts. Folders: train, val
and test. Where there is no test, val becomes the test split, because a score on the cases that guided
training would be too high; the validation split is then drawn from train.

dataset.json names each image <phase>_<view>: image: {"arterial_axial": path, "arterial_coronal": path, ...},
phases first, views inside, and lists the `views`. That is the order of the P*V channels.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from scripts.cases.folder import case_folders, phase_of
from scripts.cases.splits import Case
from scripts.files.plain_text import note
from workbench.prepare.layouts import Found, Source, check_folder

OPTIONS = {"phase_names"}
VIEWS = ["axial", "coronal", "sagittal"]
PHASE_NAMES = {"pre": ["PS"], "arterial": ["DMQ"], "portal": ["MMQ"]}
SPLITS = {"train": "training", "val": "validation", "test": "test"}
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def find(source: Source) -> Found:
    """Find the images of all phases, planes and splits, and join them by the case in their names."""
    check_folder(source.path)
    names = source.phase_names or PHASE_NAMES
    trees: dict[str, Path] = {}
    for folder in case_folders(source.path):
        phase = phase_of(folder.name, names, str(source.path))
        if phase in trees:
            raise ValueError(
                f"phase {phase!r} must be one folder of {source.path}, found {trees[phase].name} and "
                f"{folder.name}; narrow phase_names"
            )
        if phase is not None:
            trees[phase] = folder
    phases = [phase for phase in names if phase in trees]
    cases: dict[str, dict[str, Any]] = {}
    for phase in phases:
        for view, split, label, file in _images(trees[phase]):
            _add(cases, _case_of(file.stem, [view, phase, trees[phase].name]), f"{phase}_{view}", split, label, file)
    if not cases:
        raise ValueError(
            f"{source.path} must hold <phase>/<Axial|Coronal|Sagittal>/<train|val|test>/<class>/<image> with "
            f"the phases [{', '.join(names)}], found the folders "
            f"[{', '.join(f.name for f in case_folders(source.path))}]; correct --source or --phase_names"
        )
    entries = [cases[case] for case in sorted(cases)]
    views = [view for view in VIEWS if any(f"{phase}_{view}" in case["image"] for case in entries for phase in phases)]
    channels = [f"{phase}_{view}" for phase in phases for view in views]
    lacking = [case["case"] for case in entries if len(case["image"]) < len(channels)]
    notes = [note("cases that lack a view of a phase", lacking)]
    if not any(case["split"] == "test" for case in entries):
        entries = [_held_out(case) for case in entries]
        notes.append("no folder 'test': 'val' is the test split, and validation is drawn from 'train'")
    return Found(source.path.name, channels, entries, views=views, notes=notes)


def _images(tree: Path) -> list[tuple[str, str, str, Path]]:
    """Return (view, split, class, file) of each image of one phase."""
    found = []
    for file in sorted(path for path in tree.glob("*/*/*/*") if path.suffix.lower() in ENDINGS):
        view, split, label = file.relative_to(tree).parts[:3]
        if view.lower() in VIEWS and split.lower() in SPLITS:
            found.append((view.lower(), SPLITS[split.lower()], label, file))
    return found


def _case_of(stem: str, words: list[str]) -> str:
    """Return the name of the case: the stem without the words for view and phase.

    >>> [_case_of(stem, ["axial", "arterial", "DMQ"]) for stem in ("0012_Axial_DMQ", "DMQ-p-7")]
    ['0012', 'p-7']
    """
    parts = re.split(r"([_\s-]+)", stem)
    unwanted = {word.lower() for word in words}
    kept = [(part, parts[place + 1 : place + 2]) for place, part in enumerate(parts) if place % 2 == 0]
    kept = [(part, after) for part, after in kept if part.lower() not in unwanted]
    text = "".join(part + "".join(after) for part, after in kept).strip("_- ")
    return text or stem


def _add(cases: dict[str, dict[str, Any]], case: str, channel: str, split: str, label: str, file: Path) -> None:
    entry = cases.setdefault(case, {"case": case, "image": {}, "label": label, "split": split})
    if channel in entry["image"]:
        raise ValueError(
            f"case {case}: {channel} must be one image, found {entry['image'][channel]} and {file}; the "
            "names must tell cases apart, and each case has one image per phase and plane"
        )
    if (entry["label"], entry["split"]) != (label, split):
        raise ValueError(
            f"case {case} must have one class and one split, found {entry['label']!r} in {entry['split']} "
            f"and {label!r} in {split} ({file}); move its images together, or rename one of two cases"
        )
    entry["image"][channel] = str(file)


def _held_out(case: Case) -> dict[str, Any]:
    """Return the case with `val` as the test split, and without a split if it is for training."""
    rest = {key: value for key, value in case.items() if key != "split"}
    return rest | ({"split": "test"} if case["split"] == "validation" else {})
