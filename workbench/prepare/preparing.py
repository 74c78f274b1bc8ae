"""From a folder of images to a dataset.json: `python -m monai.bundle run preparing`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from scripts import BUNDLE
from scripts.cases.clinical import check_columns
from scripts.cases.document import name_list
from scripts.cases.file_names import check_found_phases, check_names
from scripts.cases.positive import named_class, positive_class
from scripts.cases.splits import assign_splits, everyone
from scripts.engines.commands import bundle_command, from_here, training_command
from scripts.files.atomic import check_writable, not_left_empty, write_text
from scripts.files.plain_text import check_names_are_text, shown
from scripts.files.run_folder import Check, record_of, refuse_bundle, run_in
from scripts.files.workers import BadCases, lines_of
from scripts.volumes.volume import BadVolume
from workbench.prepare.bias_field import BiasCorrection
from workbench.prepare.chosen_phases import chosen_phases, with_phases
from workbench.prepare.clinical_table import join_clinical_table
from workbench.prepare.deciding import Deciding, decided_columns
from workbench.prepare.grids import check_reference, choose_reference, look_at_grids
from workbench.prepare.identical import copies_told, merged_patients, settle_identical
from workbench.prepare.labels import one_spelling
from workbench.prepare.layouts import check_options, find_layout, options_of
from workbench.prepare.layouts.found import Source
from workbench.prepare.missing_masks import settle_masks
from workbench.prepare.overlay import image_overlay_text, overlay_text
from workbench.prepare.prepared_volumes import prepare_volumes
from workbench.prepare.quality.quality import list_bad, require_quality
from workbench.prepare.reading_notes import reading_notes
from workbench.prepare.registration.pair import Registration
from workbench.prepare.summary import grid_lines, size_lines, summary_text
from workbench.prepare.survey import survey
from workbench.prepare.suspicious import without_suspicious
from workbench.prepare.write import fold_splits, write_dataset, write_folds


def prepare(
    source: str | Path | None,
    layout: str | None,
    output: str | Path | None,
    labels: str | Path | None = None,
    phases: Sequence[str] | None = None,
    reference_phase: str | None = None,
    classes: Sequence[str] | None = None,
    positive: str | None = None,
    clinical: Sequence[str] | None = None,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    overwrite: bool = False,
    phase_names: Mapping[str, Sequence[str]] | None = None,
    rules: str | Path | None = None,
    mapping: str | Path | None = None,
    keep_ids: bool = False,
    dry_run: bool = False,
    clinical_table: str | Path | None = None,
    keep_suspicious: bool = False,
    folds: int | None = None,
    allow_identical: bool = False,
    bias_correction: BiasCorrection = BiasCorrection(),
    registration: Registration = Registration(),
    workers: int | None = None,
    quality: bool = True,
    without_mask: str | None = None,
    decide_on: str = "all",
) -> Path | None:
    """Write dataset.json and the overlay data.yaml for a folder of images, and say how to train on it.

    Images stay where they are, but for layouts that convert them. dataset.json is moved into place only
    after it has been read back without an error.

    Args:
        source: folder or file with the images; its meaning is the layout's.
        layout: name of a file in scripts/data/layouts.
        output: folder that receives dataset.json and data.yaml.
        labels: CSV file with a label per case, for layouts that need one.
        phases: phases to use, in order; None takes all.
        reference_phase: phase whose axes define the grid; None takes the most finely sampled
            (`choose_reference`).
        classes: class names in order; None takes the layout's, or all labels sorted.
        positive: of two classes the one that threshold, ROC and decision curve are about; None is the last.
        clinical: columns of `labels` to take; None takes all.
        fractions: shares of training, validation and test, where the source does not fix the split.
        seed: seed of the split.
        overwrite: whether a dataset.json that is there already may be replaced.
        phase_names: phase -> patterns of the names that stand for it in the source.
        rules, mapping, keep_ids, dry_run: of the layout dicom; see `Source`.
        clinical_table: CSV or Excel file with clinical values by case or patient, for any layout.
        keep_suspicious: whether clinical columns that look like the answer are kept.
        folds: number of folds to write in addition, each with a dataset.json of its own; None writes none.
        allow_identical: whether cases that share an image may be different patients.
        bias_correction: which phases lose their bias field.
        registration: how phases are registered to the reference phase.
        workers: volumes at a time; None takes one per core.
        quality: whether the images are checked at the end, which writes quality.html beside dataset.json.
        without_mask: what is done with cases without a mask where others have one; see `settle_masks`.
        decide_on: which cases decide on grid, intensity rule and columns: all, or training.

    Returns:
        The dataset.json written; None for a dry run, which writes nothing.

    Raises:
        FileNotFoundError: source or label file does not exist.
        ValueError: anything that would break training, or an output folder that must not be written. What
            only the check of the images at the end finds leaves all files behind, with quality.html to
            explain it.
    """
    for name, value in (("source", source), ("layout", layout), ("output", output)):
        if value in (None, ""):
            raise ValueError(f"{name} must be given, found nothing; pass --{name}")
    find = find_layout(str(layout))
    folder = _absolute(str(output))
    check_names_are_text([str(folder)], "the output folder and those above it")
    refuse_bundle(folder)
    deciding = Deciding(decide_on)
    phases = None if phases is None else name_list(phases, "`phases`")
    if classes and positive is not None:
        named_class(positive, name_list(classes, "`classes`"))
    given = Source(
        path=_absolute(str(source)),
        output=folder,
        labels=_optional(labels),
        phases=phases,
        clinical=clinical if clinical_table is None else None,
        phase_names=check_names(phase_names),
        rules=_optional(rules),
        mapping=_optional(mapping),
        keep_ids=keep_ids,
        dry_run=dry_run,
    )
    check_options(str(layout), given)
    if dry_run:
        notes = find(given).notes
        print("".join(f"note: {shown(note)}\n" for note in notes) + "dry run: nothing was written")
        return None
    check = partial(_refuse_earlier, folder, overwrite)
    with not_left_empty(folder), run_in(_output_folder(folder, check), "preparing", check):
        found = find(given)
        names = [
            str(name)
            for case in found.cases
            for name in (case["case"], *case["image"].values(), case.get("roi", ""))
        ]
        check_names_are_text(names, "cases and their files")
        if clinical_table is not None:
            found = join_clinical_table(found, _absolute(clinical_table), clinical)
        check_columns(found.clinical, "the table")
        phases = chosen_phases(found, phases)
        check_found_phases(
            phases, (given.phase_names or {}) if "phase_names" in options_of(str(layout)) else None
        )
        phases = name_list(phases, "names of phases")
        check_reference(phases, reference_phase)
        cases, dropped = with_phases(found.cases, phases)
        cases, label_notes = one_spelling(cases, classes)
        labels_found = sorted({case["label"] for case in cases if "label" in case})
        classes = name_list(classes or found.classes or labels_found, "labels")
        positive = positive_class(positive, classes)
        notes = [
            *found.notes,
            *label_notes,
            *([f"cases without a chosen phase, left out: {', '.join(dropped)}"] if dropped else []),
        ]
        proposal, unmasked, merged = None, list[str](), list[str]()
        with every_bad_image(found.name, phases, cases, folder if quality else None, workers):
            if not found.views:
                settled, more = settle_identical(cases, allow_identical, workers)
                cases, merged = settled, merged_patients(cases, settled)
                notes += more
                cases, unmasked = settle_masks(cases, reference_phase or phases[0], without_mask, workers)
                notes += unmasked + ([] if found.overlay else reading_notes(cases, phases, workers))
            with copies_told(merged):
                splits = assign_splits(cases, fractions, seed)
            splits, columns, more = decided_columns(splits, found.clinical, deciding)
            notes += more
            splits, columns, more = without_suspicious(splits, columns, keep_suspicious)
            notes += more
            grids = look_at_grids(everyone(splits), workers)
            deciders = [one for one in grids if one.case in deciding.names(splits)]
            if not found.views:
                reference = choose_reference(deciders, phases, reference_phase)
                splits, more = prepare_volumes(
                    splits, phases, reference.phase, folder, bias_correction, registration, workers
                )
                notes += more
                proposal = survey(
                    everyone(splits), grids, phases, reference, deciding.names(splits), deciding.kind, workers
                )

        header: dict[str, Any] = {"name": found.name, "phases": phases, "classes": classes}
        header |= {} if positive is None else {"positive": positive}
        decided = [deciding.note(splits), *(grid_lines(proposal) if proposal is not None else [])]
        header |= {"clinical": columns, "seed": seed} | ({"views": found.views} if found.views else {})
        # no path of this machine
        comparing = bundle_command("comparing", ["configs/compare.yaml", "data.yaml"])
        decided += found.left_out
        header["preparation"] = [*decided, *unmasked, *size_lines(splits, comparing)]
        file = write_dataset(folder, header, splits)
        with copies_told(merged):
            drawn = fold_splits(everyone(splits), folds, fractions, seed) if folds else {}
        fold_files = write_folds(folder, header, drawn)
        if proposal is None:
            images = [volume for one in deciders for volume in one.volumes.values()]
            overlay = image_overlay_text(
                found.name, folder, phases, found.views, classes, columns, images, positive
            )
        else:
            overlay = overlay_text(found.name, folder, phases, classes, columns, proposal, positive)
        write_text(folder / "data.yaml", overlay)

        print(f"\n{found.name}\n\n{summary_text(splits, phases, classes, columns)}\n")
        data = from_here(folder / "data.yaml")
        comparing = bundle_command("comparing", ["configs/compare.yaml", data], BUNDLE)
        print("\n".join([*decided, *size_lines(splits, comparing)]))
        print("".join(f"{'' if note.startswith('warning: ') else 'note: '}{shown(note)}\n" for note in notes))
        for fold_file in fold_files:
            where = shlex.quote(from_here(fold_file.parent))
            print(f"wrote {fold_file}, to be trained on with --dataset_dir {where}")
        print(f"wrote {file}\n      {folder / 'data.yaml'}")
        if quality and not found.views:
            require_quality(folder, workers=workers)
        print("\nnext:")
        train = (
            training_command([found.overlay], from_here(folder))
            if found.overlay
            else training_command([data])
        )
        print(f"  {train}")
    return file


@contextmanager
def every_bad_image(
    name: str,
    phases: Sequence[str],
    cases: Sequence[dict[str, Any]],
    folder: Path | None,
    workers: int | None,
) -> Iterator[None]:
    """Where an image inside cannot be used, look at all, and name every one that would break training.

    Args:
        name: of the dataset.
        phases: its phases.
        cases: entries of dataset.json with absolute paths.
        folder: receives quality.html; None: nothing more is looked at than was.
        workers: cases at a time; None takes one per core.

    Raises:
        BadCases: one line for each image or mask.
    """
    try:
        yield
    except (BadCases, BadVolume, FileNotFoundError) as error:
        if folder is None:
            raise
        raise list_bad(name, phases, cases, folder, workers, lines_of(error)) from None


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


def _optional(path: str | Path | None) -> Path | None:
    return None if path is None else _absolute(path)


def _refuse_earlier(folder: Path, overwrite: bool, record: Mapping[str, Any]) -> None:
    unfinished = record.get("command") == "preparing"  # goes on
    if (folder / "dataset.json").exists() and not (overwrite or unfinished):
        raise ValueError(
            f"{folder / 'dataset.json'} exists already and would be replaced; pass --overwrite True, or "
            "another --output"
        )


def _output_folder(folder: Path, check: Check) -> Path:
    check(record_of(folder))
    try:
        return check_writable(folder)
    except ValueError as error:
        raise ValueError(
            f"output folder {folder} cannot be written ({error.__context__}); choose another --output"
        ) from None
