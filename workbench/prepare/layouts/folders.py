# SPDX-License-Identifier: Apache-2.0
"""One folder per case, one file per phase, labels in a table.

source/p001/pre.nii.gz
source/p001/portal.nii.gz
source/p001/lesion.nii.gz     region of interest; also roi, mask, seg, segmentation, label, ... (optional)
                              or one per phase: lesion_portal.nii.gz, portal_seg.nii.gz, ...
labels.csv                    case,label[,patient,site,split][,clinical columns]

Where file names vary, `phase_names` gives patterns per phase, e.g. {arterial: ['*art*', ap], portal:
['*pv*']}; files that fit no pattern are then left out.
"""

from __future__ import annotations

from scripts.cases.folder import CaseFolder, case_folders, mask_rank, read_case_folder
from scripts.cases.masks import each_mask, masks_of
from scripts.files.plain_text import listing, nearest, note
from workbench.prepare.labels import read_label_table
from workbench.prepare.layouts import Found, Source, check_folder

OPTIONS = {"phase_names"}
MOST_FILES = 20  # names of files listed in one note


def find(source: Source) -> Found:
    """Find the cases of a folder of case folders and join the label file by case name.

    Folders without a row are kept as unlabelled; rows without a folder are left out. Both are listed.
    """
    check_folder(source.path)
    if source.labels is None:
        raise ValueError("layout 'folders' needs a label file; pass --labels FILE.csv with the columns case,label")
    table = read_label_table(source.labels, source.clinical)
    _check_phases(source)
    folders = [read_case_folder(folder, source.phases, source.phase_names) for folder in case_folders(source.path)]
    with_images = [folder for folder in folders if folder.images]
    if not with_images:
        raise ValueError(
            f"{source.path} must hold one folder per case with one image per phase, found {len(folders)} "
            "folders, none with an image (.nii.gz, .nrrd, .mha, ...)"
            + (f" named after a phase of [{', '.join(source.phases)}]" if source.phases else "")
        )
    joined = table.join([folder.case for folder in with_images])
    if not joined.match.row_of:
        raise ValueError(
            f"the 'case' column of {source.labels} must name the folders of {source.path}, found e.g. "
            f"{next(iter(table.rows), 'no row')!r} for the folder {with_images[0].case!r}; correct the names"
        )
    several = any(len(masks_of(folder.roi)) > 1 for folder in with_images)
    masks = {folder.case: _masks(folder, several) for folder in with_images}
    cases = [
        {"case": folder.case, "image": {phase: str(path) for phase, path in folder.images.items()}}
        | ({"roi": masks[folder.case]} if folder.roi else {})
        | joined.row(folder.case)
        for folder in with_images
    ]
    taken = {phase for folder in with_images for phase in folder.images}
    phases = source.phases or [phase for phase in source.phase_names or sorted(taken) if phase in taken]
    notes = [
        *joined.notes(cases, "label file", "a folder"),
        note("folders without an image, left out", [folder.case for folder in folders if not folder.images]),
        note("phases with nearly the same name, never in the same case", _doubtful(with_images)),
        note("image files that are no phase, left out", sorted({name for f in folders for name in f.others})),
        *_region_notes(with_images),
        note(
            "files and folders that are no image of a kind that is read, left out",
            _counted([(folder.case, name) for folder in folders for name in folder.unread]),
            most=MOST_FILES,
        ),
    ]
    return Found(source.path.name, list(phases), cases, clinical=table.clinical, notes=notes)


def _masks(folder: CaseFolder, several: bool) -> str | dict[str, str] | None:
    """Return the masks of a case; where no case has more than one, it is of all phases, whatever its name."""
    roi = folder.roi
    if isinstance(roi, dict) and not several:
        (roi,) = roi.values()
    return each_mask(roi, str)


def _check_phases(source: Source) -> None:
    """Refuse a wanted phase that no case has: --phases is misspelt, not a file."""
    folders = [read_case_folder(folder, None, source.phase_names) for folder in case_folders(source.path)]
    found = {phase for folder in folders for phase in folder.images}
    for phase in source.phases or ():
        if phase.lower() not in {name.lower() for name in found} and mask_rank(phase) is None:
            raise ValueError(
                f"phase {phase!r} must be a file in at least one case, found {listing(phase, sorted(found))} "
                f"in {source.path}; correct --phases"
            )


def _region_notes(folders: list[CaseFolder]) -> list[str]:
    """Return which files are taken for the region of interest where their names are not documented ones."""
    taken = [(folder.case, mask.name) for folder in folders for mask in masks_of(folder.roi).values()]
    unusual = [(case, name) for case, name in taken if mask_rank(name.split(".")[0]) not in range(4)]
    unused = [(folder.case, path.name) for folder in folders for path in folder.masks.values()]
    return [
        note("masks taken for the region of interest by name and voxels", _counted(unusual), most=MOST_FILES),
        note("further masks, not used", _counted(unused), most=MOST_FILES),
    ]


def _counted(files: list[tuple[str, str]]) -> list[str]:
    """Return file names without the name of the case, each once, with the case or the number of cases."""
    cases: dict[str, list[str]] = {}
    for case, name in files:
        cases.setdefault(name.removeprefix(f"{case}_"), []).append(case)
    return [f"{name} ({of[0] if len(of) == 1 else f'{len(of)} cases'})" for name, of in sorted(cases.items())]


def _doubtful(folders: list[CaseFolder]) -> list[str]:
    """Return pairs of phases that are spelt alike and exclude each other: a file name may be misspelt."""
    cases: dict[str, set[str]] = {}
    for folder in folders:
        for phase in folder.images:
            cases.setdefault(phase, set()).add(folder.case)
    pairs = []
    for phase in sorted(cases, key=lambda name: len(cases[name])):
        others = [name for name in cases if name != phase and not cases[name] & cases[phase]]
        close = nearest(phase, others, cutoff=0.8)
        if close and len(cases[phase]) <= len(cases[close]):
            pairs.append(f"{phase} ({len(cases[phase])} cases) and {close} ({len(cases[close])} cases)")
    return pairs
