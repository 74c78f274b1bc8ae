# SPDX-License-Identifier: Apache-2.0
"""The images of one patient, as a case that the model can read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scripts.cases.folder import read_case_folder
from scripts.cases.masks import each_mask
from scripts.files.plain_text import listing
from scripts.volumes.fingerprint import content_hash
from workbench.prepare.dicom.assign import assign_study
from workbench.prepare.dicom.convert import write_stack
from workbench.prepare.dicom.geometry import Refused
from workbench.prepare.dicom.headers import shown
from workbench.prepare.dicom.persons import Persons
from workbench.prepare.dicom.rules import read_character_set, read_rules
from workbench.prepare.dicom.scan import find_studies
from workbench.prepare.dicom.stacks import Stack
from workbench.prepare.dicom.table import assignment_table


@dataclass(frozen=True)
class PatientImages:
    """The images found for one patient.

    Attributes:
        case: name of the case: a pseudonym, or the name of the folder if asked for.
        image: phase -> NIfTI, NRRD or MetaImage file.
        roi: mask of the region of interest, {phase: mask}, or None.
        series: phase -> DICOM images that the file was made of; empty for a folder of image files.
        character_set: of DICOM texts whose header names none or a wrong one, as the rules say.
    """

    case: str
    image: dict[str, Path]
    roi: Path | dict[str, Path] | None = None
    series: dict[str, Stack] = field(default_factory=dict)
    character_set: str = ""

    def with_roi(self, roi: Path | None) -> PatientImages:
        """Return the same images with another region of interest, or none."""
        return replace(self, roi=roi)


def pseudonym(*parts: str) -> str:
    """Return a name for a case that is the same for the same study and reveals nothing about the patient.

    Args:
        parts: known only to those who have the images: their hashes, or the UID of the study.

    >>> pseudonym("1.2.840.1")
    'case_f9a13599'
    """
    return f"case_{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:8]}"


def read_images(
    source: Path, phases: Sequence[str], rules: Path | None, study: str | None, scratch: Path, keep_name: bool = False
) -> PatientImages:
    """Find the phases of one patient in a folder: of image files named after them, or of DICOM files.

    Args:
        source: the folder; DICOM may be nested in any way.
        phases: of the model.
        rules: which DICOM series is which phase, as for `preparing --layout dicom`; None: image files.
        study: StudyInstanceUID, if the DICOM files belong to several studies.
        scratch: receives converted volumes.
        keep_name: whether the case is named after the folder, which may reveal the patient's name.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: none of the phases is found, DICOM files of several studies, or a series that cannot be
            converted.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"input folder {source} does not exist; correct --input")
    if rules is not None:
        return _from_dicom(source, phases, rules, study, scratch, keep_name)
    files = read_case_folder(source.absolute(), phases)
    if not files.images:
        found = ", ".join(path.name for path in files.others.values()) or "no image file"
        raise ValueError(
            f"{source} must hold at least one of the phases {listing('', phases)} as <phase>.nii.gz, "
            f".nii, .nrrd, .mha or .mhd, found {found}; rename the files, or for DICOM pass --rules FILE.yaml"
        )
    case = files.case if keep_name else pseudonym(*map(content_hash, files.images.values()))
    return PatientImages(case, files.images, files.roi)


def _from_dicom(
    source: Path, phases: Sequence[str], rules: Path, uid: str | None, scratch: Path, keep_name: bool
) -> PatientImages:
    """Convert the series of one study that the rules assign to phases of the model."""
    wanted = read_rules(rules)
    character_set = read_character_set(rules)
    studies, notes = find_studies(source, character_set)
    chosen = [one for one in studies if uid in (None, one.uid)]
    if len(chosen) != 1:
        names = ", ".join(one.uid for one in studies)
        raise ValueError(f"{source} must hold one study, found {len(chosen)} of {names}; pass --study and one of these")
    assigned = assign_study(chosen[0], wanted)
    person = Persons([chosen[0].person], chosen[0].births)
    case = shown(Path(source.resolve().name)) if keep_name else pseudonym(chosen[0].uid)
    if person.named_in(case):
        notes.append("warning: the case is called as the folder is, which holds the patient's name")
    print(f"\n{assignment_table({case: assigned}, {case: person})}\n")
    print("".join(f"note: {person.without_names(note)}\n" for note in notes), end="")
    series = {volume.phase: volume.stack for volume in assigned if volume.phase in phases}
    if not series:
        raise ValueError(
            f"at least one series of {source} must become one of the phases "
            f"{listing('', phases)}, found none by {rules}; the table says why, edit a copy of the rules"
        )
    image = {}
    for phase, stack in series.items():
        try:
            image[phase] = write_stack(stack, scratch / f"{phase}.nii.gz")
        except Refused as error:
            raise ValueError(
                f"phase {phase!r} of {source} must be a volume that can be read, found series "
                f"{stack.first.number} '{stack.first.description}': {error}; correct the "
                "rules, or take the series away"
            ) from None
    return PatientImages(case, image, series=series, character_set=character_set)


def write_case(images: PatientImages, clinical: Mapping[str, Any], config: Mapping[str, Any], folder: Path) -> Path:
    """Write a dataset.json of the one case, so that it is checked like any other.

    Args:
        images: the files.
        clinical: value by column.
        config: of the model: phases, classes, clinical.
        folder: receives dataset.json.
    """
    entry: dict[str, Any] = {
        "case": images.case,
        "image": {phase: str(Path(file).absolute()) for phase, file in images.image.items()},
        "clinical": dict(clinical),
    }
    if images.roi is not None:
        entry["roi"] = each_mask(images.roi, lambda file: str(file.absolute()))
    document = {
        "name": images.case,
        "phases": list(config["phases"]),
        **({"classes": list(config["classes"])} if config["classes"] else {}),
        "clinical": list(config["clinical"]),
        "unlabelled": [entry],
    }
    (folder / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
