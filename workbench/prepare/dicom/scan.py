# SPDX-License-Identifier: Apache-2.0
"""The DICOM studies below a folder, whatever its nesting."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.files.processes import MOST_LINES
from workbench.prepare.dicom.headers import (
    CLOSED,
    DAMAGED,
    DEAD_LINKS,
    EMPTY,
    files_below,
    pydicom_reader,
    read_header,
    shown,
)
from workbench.prepare.dicom.moments import on_one_clock
from workbench.prepare.dicom.slices import Slice, slices_of
from workbench.prepare.dicom.tags import Tags

NOWHERE = Path()
NO_STUDY = "images without a StudyInstanceUID, those of one patient in one folder taken for a study"
EACH = (DAMAGED, EMPTY, DEAD_LINKS, CLOSED)  # remarks about files with something wrong


@dataclass(frozen=True)
class Study:
    """The images of one study."""

    patient_id: str  # PatientID; stays on this machine
    uid: str
    date: str  # StudyDate, YYYYMMDD
    folder: Path  # folder that all its files share, below the source
    # the images of each series, by SeriesInstanceUID, in the order of the series numbers
    series: list[list[Slice]]
    person: str = ""  # PatientName, or several; stays on this machine
    births: frozenset[str] = frozenset()  # each PatientBirthDate, YYYYMMDD; stays on this machine

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the study: after a careless anonymisation the UID alone may not."""
        return self.patient_id, self.uid


def find_studies(root: Path, character_set: str = "") -> tuple[list[Study], list[str]]:
    """Read the headers of all DICOM files below `root`, and `root` itself; links are followed.

    Duplicate files (same SOP Instance UID and header) count once.

    Args:
        character_set: of texts whose header names none or a wrong one; "" is Western European.

    Returns:
        The studies, by patient and date; and a line for the user about each kind of file that was left out,
        each damaged file, and what was assumed.
    """
    from tqdm import tqdm

    if not root.is_dir():
        raise FileNotFoundError(f"source folder {root} does not exist; correct --source")
    pydicom_reader()
    found: dict[tuple[str, str], list[tuple[Path, str, Slice]]] = defaultdict(list)
    seen: set[Slice] = set()
    identities: set[tuple[str, str, int | None]] = set()
    persons: dict[tuple[str, str], set[str]] = defaultdict(set)
    births: dict[tuple[str, str], set[str]] = defaultdict(set)
    remarks: defaultdict[str, list[str]] = defaultdict(list)
    files = files_below(root, remarks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of each value that breaks the standard
        for file in tqdm(files, desc="reading DICOM headers", unit="file"):
            header = read_header(file, character_set)
            for remark in filter(None, [header.left_out, *header.remarks]):
                remarks[remark].append(shown(file, root))
            if header.dataset is None:
                continue
            tags = Tags([header.dataset])
            key = (tags.text("PatientID"), tags.text("StudyInstanceUID") or os.fsdecode(file.parent))
            if not tags.text("StudyInstanceUID"):
                remarks[NO_STUDY].append(shown(file, root))
            persons[key].add(tags.text("PatientName"))
            births[key].add(tags.text("PatientBirthDate"))
            for image in slices_of(header.dataset, file, header.fault):
                content = replace(image, file=NOWHERE)
                if content in seen and image.uid:
                    remarks["files that are there twice, taken once"].append(shown(file, root))
                    continue
                seen.add(content)
                identity = (image.series, image.uid, image.frame)
                if identity in identities and image.uid:
                    remarks["images that differ under one SOP Instance UID, all taken"].append(shown(file, root))
                identities.add(identity)
                found[key].append((file, tags.text("StudyDate"), image))
    if not found:
        notes = "".join(f"; {note}" for note in _lines(remarks))
        raise ValueError(f"{shown(root)} must hold DICOM files, found none{notes}")
    studies = []
    for key, images in found.items():
        study, assumed = _study(root, key, images)
        person = "=".join(sorted(persons[key]))
        studies.append(replace(study, person=person, births=frozenset(births[key])))
        if assumed:
            remarks[f"studies with {assumed}"].append(shown(root / study.folder, root))
    return sorted(studies, key=lambda study: (study.patient_id, study.date, study.uid)), _lines(remarks)


def _study(root: Path, key: tuple[str, str], images: Sequence[tuple[Path, str, Slice]]) -> tuple[Study, str]:
    """Return a study, and what was assumed about its times."""
    seconds, assumed = on_one_clock(
        [image.moment for _, _, image in images], [_number(image.number) for _, _, image in images]
    )
    series: dict[str, list[Slice]] = {}
    for (_, _, image), second in zip(images, seconds, strict=True):
        series.setdefault(image.series, []).append(replace(image, seconds=second))
    folder = Path(os.path.commonpath([file.parent for file, _, _ in images])).relative_to(root)
    ordered = sorted(series.values(), key=lambda items: (_number(items[0].number), items[0].series))
    return Study(key[0], key[1], images[0][1], folder, ordered), assumed


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 10**9


def _lines(remarks: dict[str, list[str]]) -> list[str]:
    """Return a line for each file with something wrong, and one for each other remark."""
    lines = []
    for remark, files in sorted(remarks.items()):
        if remark.startswith(EACH):
            lines += [f"{remark}: {file}" for file in files[:MOST_LINES]]
            files = files[MOST_LINES:]
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        lines += [f"{remark}: {files[0]}{more}"] if files else []
    return lines
