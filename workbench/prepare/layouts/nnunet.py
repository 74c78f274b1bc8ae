# SPDX-License-Identifier: Apache-2.0
"""nnU-Net (https://github.com/MIC-DKFZ/nnUNet): channels as numbered files, masks, and a dataset.json of its own.

source/dataset.json                   channel_names (before version 2: modality), labels, file_ending
source/imagesTr/case_0000.nii.gz      channel 0 of a case, case_0001.nii.gz channel 1, ...
source/labelsTr/case.nii.gz           its mask
source/imagesTs, source/labelsTs      optional: with masks the test split, without them unlabelled cases

A channel is a phase, of the name that channel_names gives it. The names in `labels` become `structures`, the
names of the values 1, 2, ... of the masks. One mask serves all channels, which nnU-Net wants on one grid.

Such data have no class of a whole case. With a table of `labels` (case,label[,...]) they are prepared as all
others, to be classified and outlined. Without one they can only be outlined: the cases stand in the splits
without `label`, dataset.json has no `classes`, a mask may be empty (there is nothing of it in this case), and
`training`, which classifies, refuses the dataset for want of a label.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from scripts.cases.splits import Case
from scripts.files.plain_text import listing, note
from scripts.volumes.open import IMAGE_ENDINGS
from workbench.prepare.labels import LabelTable, read_label_table
from workbench.prepare.layouts import Found, Source, check_folder


def find(source: Source) -> Found:
    """Find the cases of imagesTr and imagesTs, and join a table of labels where there is one."""
    check_folder(source.path)
    file = source.path / "dataset.json"
    described = _described(file)
    phases, notes = _phases(described, file)
    structures = list(source.structures or []) or _structures(described, file)
    ending = str(described.get("file_ending", ".nii.gz"))
    if ending not in IMAGE_ENDINGS:
        raise ValueError(
            f"{file}: 'file_ending' must be one of {listing(ending, list(IMAGE_ENDINGS))}, found {ending!r}; convert "
            "the images to volumes"
        )
    cases: list[Case] = []
    unused: list[str] = []
    for part in ("Tr", "Ts"):
        images, masks = source.path / f"images{part}", source.path / f"labels{part}"
        if part == "Tr" and not images.is_dir():
            raise FileNotFoundError(f"{images} does not exist; pass the folder that holds imagesTr as --source")
        drawn = {path.name.removesuffix(ending): str(path) for path in _files(masks, ending)}
        found = _cases(images, ending, phases)
        unused += [f"{masks.name}/{name}" for name in drawn if name not in found]
        for name, image in found.items():
            mask = {"roi": drawn[name]} if name in drawn else {}
            cases.append({"case": name, "image": image} | mask | ({"split": "test"} if mask and part == "Ts" else {}))
    table = LabelTable({}, [], []) if source.labels is None else read_label_table(source.labels, source.clinical)
    joined = table.join([case["case"] for case in cases])
    cases = [case | joined.row(case["case"]) for case in cases]
    notes += joined.notes(cases, "label file", "an image") if source.labels is not None else [OUTLINES]
    notes.append(note("cases without a mask", [case["case"] for case in cases if "roi" not in case]))
    notes.append(note("masks without an image, left out", unused))
    name = str(described.get("name") or source.path.name)
    outlines = source.labels is None
    return Found(
        name, phases, cases, clinical=table.clinical, notes=notes, structures=structures, outlines=outlines
    )  # fmt: skip


OUTLINES = (
    "no case has a class, so that the dataset can be outlined but not classified; --labels FILE.csv gives classes"
)


def _described(file: Path) -> dict[str, Any]:
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{file} does not exist; pass the folder with nnU-Net's dataset.json") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} must be readable JSON, found {type(error).__name__}: {error}; correct it") from None
    for key, wanted in (("channel_names", "modality"), ("labels", "labels")):
        value = described.get(key, described.get(wanted)) if isinstance(described, dict) else None
        if not isinstance(value, dict) or not value:
            raise ValueError(
                f"{file} must have {key!r}, an object as nnU-Net writes it, found {value!r:.80}; pass the "
                "folder with nnU-Net's dataset.json, or add it"
            )
    return described


def _phases(described: dict[str, Any], file: Path) -> tuple[list[str], list[str]]:
    """Return the channels in the order of their numbers, and a note where several have one name."""
    channels: dict[str, Any] = described.get("channel_names", described.get("modality", {}))
    names = [str(channels.get(str(number)) or "") for number in range(len(channels))]
    if not all(name.strip() for name in names):
        raise ValueError(
            f"{file} must name the channels 0 to {len(channels) - 1}, found {channels!r:.200}; number them from 0 on"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    phases = [f"{name} {number}" if name in twice else name for number, name in enumerate(names)]
    return phases, [note("channels of one name, which have their number behind it", twice)]


def _structures(described: dict[str, Any], file: Path) -> list[str]:
    """Return the names of the values 1, 2, ...; before version 2 of nnU-Net they stand as value: name."""
    labels = described["labels"]
    if all(re.fullmatch(r"\d+", str(key)) and isinstance(name, str) for key, name in labels.items()):
        labels = {name: int(key) for key, name in labels.items()}
    several = [name for name, value in labels.items() if isinstance(value, list)]
    if several:
        raise ValueError(
            f"{file}: each of 'labels' must be one value of the masks, found the regions [{', '.join(several)}], of "
            "several values each; pass the names of the values 1, 2, ... as --structures \"['...']\""
        )
    if "ignore" in labels:
        raise ValueError(
            f"{file}: 'labels' must name structures, found 'ignore' (value {labels['ignore']}), and voxels that are "
            "to be ignored are not supported; leave these cases out, and take the name out of 'labels'"
        )
    values = [value for value in labels.values() if value != 0]
    if not values or not all(isinstance(v, int) for v in values) or sorted(values) != list(range(1, len(values) + 1)):
        raise ValueError(
            f"{file}: 'labels' must name 0, the background, and the values 1, 2, ... without a gap, found "
            f"{labels!r:.200}; number the values of the masks anew"
        )
    return [str(name) for name, value in sorted(labels.items(), key=lambda label: label[1]) if value != 0]


def _files(folder: Path, ending: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{ending}") if path.name[:1] != ".") if folder.is_dir() else []


def _cases(folder: Path, ending: str, phases: list[str]) -> dict[str, dict[str, str]]:
    """Return case -> phase -> file of a folder of images."""
    found: dict[str, dict[str, str]] = {}
    for path in _files(folder, ending):
        match = re.fullmatch(r"(.+)_(\d{4})", path.name.removesuffix(ending))
        if match is None or int(match[2]) >= len(phases):
            raise ValueError(
                f"{path} must end in the number of its channel, _0000{ending} to _{len(phases) - 1:04d}{ending}, as "
                "channel_names in dataset.json counts them; rename it, or correct channel_names (a dataset of the "
                "Medical Segmentation Decathlon: `nnUNetv2_convert_MSD_dataset`)"
            )
        found.setdefault(match[1], {})[phases[int(match[2])]] = str(path)
    if not found and folder.name == "imagesTr":
        raise ValueError(f"{folder} must hold files like case_0000{ending}, found none; correct --source")
    return found
