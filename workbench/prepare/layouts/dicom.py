# SPDX-License-Identifier: Apache-2.0
"""DICOM studies in any nesting, converted to NIfTI; rules in a YAML file say which series is which phase.

source/any/folders/0001.dcm       files are known by their content; DICOMDIR and names do not matter
labels.csv                        case,label[,site,split][,clinical columns]; `case` holds the PatientID, the
                                  StudyInstanceUID or the name case_0001
configs/dicom/liver_ct.yaml       rules, an example to copy and edit

Each study becomes one case. Voxels and affine are kept, nothing else. Cases are named case_0001, patients
patient_0001; the key is written beside the output folder, never into it. Zip files must be unpacked first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.cases.splits import Case
from scripts.files.atomic import write_text
from scripts.files.plain_text import note
from scripts.files.processes import BadCases
from workbench.prepare.dicom.assign import Assignment, assign_study
from workbench.prepare.dicom.convert import state_of_files, write_stack
from workbench.prepare.dicom.geometry import Refused
from workbench.prepare.dicom.headers import shown
from workbench.prepare.dicom.persons import Persons, identifiers, pseudonyms, write_key
from workbench.prepare.dicom.rules import read_character_set, read_rules
from workbench.prepare.dicom.scan import Study, find_studies
from workbench.prepare.dicom.table import assignment_table, count_missed, mixed_units
from workbench.prepare.labels import read_label_table
from workbench.prepare.layouts import Found, Source, check_folder

OPTIONS = {"rules", "mapping", "keep_ids", "dry_run"}


def find(source: Source) -> Found:
    """Assign the series of each study to phases, show this as a table, and convert those that are assigned.

    With `dry_run` only the table is shown. A series that was converted before and has not changed since is
    not converted again. Series that cannot be converted are left out with the reason.
    """
    from tqdm import tqdm

    if source.rules is None:
        raise ValueError(
            "layout 'dicom' needs rules that say which series is which phase; pass --rules FILE.yaml, e.g. a "
            "copy of configs/dicom/liver_ct.yaml"
        )
    rules = read_rules(source.rules)
    if source.labels is None and not source.dry_run:
        raise ValueError(
            "layout 'dicom' needs a label file; pass --labels FILE.csv with the columns case,label, where "
            "case is the PatientID or the StudyInstanceUID (or --dry_run True to see the assignment first)"
        )
    table = None if source.labels is None else read_label_table(source.labels, source.clinical)
    check_folder(source.path)
    studies, notes = find_studies(source.path, read_character_set(source.rules))
    mapping = source.mapping or source.output.with_name(f"{source.output.name}_mapping.csv")
    names, numbered = identifiers(studies) if source.keep_ids else (pseudonyms(studies, mapping), [])
    case_of = {study.key: names[study.key][0] for study in studies}
    assigned = {case_of[study.key]: assign_study(study, rules) for study in studies}
    _show(studies, case_of, assigned)
    births = [birth for study in studies for birth in study.births]
    hide = Persons([study.person for study in studies], births).without_names
    chosen = [
        (case, volume.phase, volume.stack) for case, volumes in assigned.items() for volume in volumes if volume.phase
    ]
    notes.append(count_missed(list(assigned.values()), [rule.phase for rule in rules]))
    notes = [*map(hide, notes), *mixed_units(chosen)]
    phases = [rule.phase for rule in rules if any(phase == rule.phase for _, phase, _ in chosen)]
    if not phases:
        raise ValueError(
            f"at least one series of {source.path} must fit a rule of {source.rules}, found none; the table "
            "says why; edit a copy of the rules"
        )
    if source.dry_run or table is None:
        return Found(source.output.name, phases, [], notes=notes)
    if source.keep_ids:
        notes.append("the names of the cases are the patients' identifiers (--keep_ids)")
        notes.append(note("identifiers that hold the patient's name, replaced by numbers", numbered))
    else:
        write_key(studies, names, mapping)
        notes.append(f"which case is which patient: {mapping}; it names patients, keep it to yourself")
    # what a label file may call a study
    keys = {study.key: (study.uid, case_of[study.key], study.patient_id) for study in studies}
    joined = table.join([key for study in studies for key in keys[study.key]])
    left = [_place(case, one) for case, volumes in assigned.items() for one in volumes if one.missed]
    refused: list[str] = []
    cases: list[Case] = []
    for study in tqdm(studies, desc="converting", unit="study"):
        case, patient = names[study.key]
        image, problems = _convert(case, assigned[case], source.output)
        refused += map(hide, problems.values())
        left += problems
        if image:
            cases.append({"case": case, "image": image} | joined.row(*keys[study.key]) | {"patient": patient})
    with_image = {case["case"] for case in cases}
    without = [case for case in case_of.values() if case not in with_image]
    notes += map(hide, joined.notes(cases, "label file", "a study"))
    notes += [note("studies without any phase, left out", without), *refused]
    phases = [phase for phase in phases if any(phase in case["image"] for case in cases)]
    if not phases:
        raise BadCases(refused, len(refused), "series")
    left_out = [f"volumes left out, though a rule names them: {', '.join(left)}"] if left else []
    return Found(source.output.name, phases, cases, clinical=table.clinical, notes=notes, left_out=left_out)


def _show(
    studies: Sequence[Study], case_of: Mapping[tuple[str, str], str], assigned: Mapping[str, Sequence[Assignment]]
) -> None:
    """Print the table of the volumes, and where each study lies."""
    persons = {case_of[study.key]: Persons([study.person], study.births) for study in studies}
    print(f"\n{assignment_table(assigned, persons)}\n")
    for study in studies:
        case = case_of[study.key]
        print(f"{case}: {persons[case].without_names(shown(study.folder))}, {study.date or 'no date'}")
    print()


def _place(case: str, volume: Assignment) -> str:
    return f"{case} (series {volume.stack.first.number or 'without a number'})"


def _convert(case: str, volumes: Sequence[Assignment], output: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Write the phases of one case below `output`/images; return files, and why where a series is refused."""
    folder = output / "images" / case
    record = folder / ".converted.json"
    before = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    image, now, problems = {}, {}, {}
    for volume in volumes:
        if not volume.phase:
            continue
        target = folder / f"{volume.phase}.nii.gz"
        state = state_of_files(volume.stack)
        if before.get(volume.phase) != state or not target.is_file():
            try:
                write_stack(volume.stack, target)
            except Refused as error:
                target.unlink(missing_ok=True)
                first = volume.stack.first
                line = f"{case}: series {first.number} '{first.description}' left out: {error}"
                problems[_place(case, volume)] = line
                continue
        image[volume.phase], now[volume.phase] = str(target), state
    if now != before and image:
        write_text(record, json.dumps(now))
    return image, problems
