# SPDX-License-Identifier: Apache-2.0
"""From a folder of images to a dataset.json: `python -m monai.bundle run preparing`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from scripts import BUNDLE
from scripts.cases.clinical import check_columns
from scripts.cases.document import name_list
from scripts.cases.folder import check_found_phases
from scripts.cases.masks import masks_of, structure_names
from scripts.cases.positive import positive_class
from scripts.cases.splits import Case, assign_outlined, assign_splits, everyone
from scripts.engines.running import bundle_command, from_here, running_parser, training_command
from scripts.files import stopping
from scripts.files.atomic import not_left_empty, write_text
from scripts.files.plain_text import check_names_are_text, shown
from scripts.files.processes import BadCases, lines_of
from scripts.files.run_folder import run_in
from scripts.volumes.volume import BadVolume
from workbench.prepare.bias_field import correct_cases
from workbench.prepare.clinical_table import join_clinical_table
from workbench.prepare.deciding import Deciding, decided_columns
from workbench.prepare.fold_splits import fold_splits
from workbench.prepare.grids import check_reference, choose_reference, look_at_grids
from workbench.prepare.identical import copies_told, merged_patients, settle_identical
from workbench.prepare.labels import one_spelling
from workbench.prepare.layouts import Source, chosen_phases, find_layout, options_of, with_phases
from workbench.prepare.missing_masks import settle_masks
from workbench.prepare.outlines import OutlineGrid, look_at_masks, mask_lines, outline_grid
from workbench.prepare.quality.quality import list_bad, require_quality
from workbench.prepare.registration.cases import register_cases
from workbench.prepare.settings import Settings, absolute, output_folder, refuse_earlier
from workbench.prepare.summary import grid_lines, reading_notes, size_lines, summary_text, width_lines
from workbench.prepare.survey import Survey, survey
from workbench.prepare.suspicious import without_suspicious
from workbench.prepare.write import Dataset, command_for, image_overlay_text, overlay_text, write_dataset, write_folds


def prepare_as_configured() -> Path | None:
    """Prepare with the settings of the running configuration, which has a key for each."""
    parser = running_parser()
    assert parser is not None
    made = prepare(Settings(**{one.name: parser.get_parsed_content(one.name) for one in fields(Settings)}))
    stopping.finished()
    return made


def prepare(settings: Settings) -> Path | None:
    """Write dataset.json and the overlay data.yaml for a folder of images, and say how to train on it.

    Images stay where they are, except in layouts that convert them. dataset.json is moved into place only
    after it has been read back without an error.

    Returns:
        The dataset.json written; None for a dry run, which writes nothing.

    Raises:
        FileNotFoundError: source or label file does not exist.
        ValueError: anything that would break training, or an output folder that must not be written. If
        only the final check of the images fails, all files stay, and quality.html explains what
        is wrong.
    """
    source = settings.for_layout()
    if settings.dry_run:
        notes = find_layout(str(settings.layout))(source).notes
        print("".join(f"note: {shown(note)}\n" for note in notes) + "dry run: nothing was written")
        return None
    check = partial(refuse_earlier, source.output, settings.overwrite)
    with not_left_empty(source.output), run_in(output_folder(source.output, check), "preparing", check):
        return _Preparation(settings, source).run()


class _Preparation:
    """One run, step by step; each step reads what the earlier ones found."""

    def __init__(self, settings: Settings, source: Source) -> None:
        self.settings, self.source, self.folder = settings, source, source.output
        self.workers, self.deciding = settings.workers, Deciding(settings.decide_on)
        self.unmasked, self.merged = list[str](), list[str]()
        self.drawn = dict[str, set[int]]()
        self.proposal: Survey | None = None
        self.outlining: OutlineGrid | None = None

    def run(self) -> Path:
        """Go through all steps and return the dataset.json written."""
        self.find_cases()
        self.choose_phases()
        self.choose_classes()
        with self.every_bad_image():
            if not self.found.views:
                self.settle_images()
            self.split()
            self.look_at_masks()
            self.choose_columns()
            self.choose_grid()
        self.describe()
        file, folds = self.write()
        self.tell(file, folds)
        if self.settings.quality and not self.found.views:
            require_quality(self.folder, workers=self.workers)
        if self.found.overlay:
            train = training_command([self.found.overlay], from_here(self.folder))
        else:
            train = command_for(self.dataset)
        print(f"\nnext:\n  {train}")
        return file

    def find_cases(self) -> None:
        """Let the layout find the cases, and join the clinical table."""
        found = find_layout(str(self.settings.layout))(self.source)
        names = [
            str(name)
            for case in found.cases
            for name in (case["case"], *case["image"].values(), *masks_of(case.get("roi")).values())
        ]
        check_names_are_text(names, "cases and their files")
        if self.settings.clinical_table is not None:
            table = absolute(self.settings.clinical_table)
            found = join_clinical_table(found, table, self.settings.clinical)
        check_columns(found.clinical, "the table")
        self.found, self.notes = found, list(found.notes)
        named = self.source.structures or found.structures
        self.structures = structure_names(list(named), f"names of structures of {found.name}")

    def choose_phases(self) -> None:
        """Keep the chosen phases, and the cases that have one."""
        phases = chosen_phases(self.found, self.source.phases)
        takes_names = "phase_names" in options_of(str(self.settings.layout))
        check_found_phases(phases, (self.source.phase_names or {}) if takes_names else None)
        self.phases = name_list(phases, "names of phases")
        check_reference(self.phases, self.settings.reference_phase)
        self.cases, self.dropped = with_phases(self.found.cases, self.phases)

    def choose_classes(self) -> None:
        """Bring labels to one spelling, and choose classes and the positive one, where cases have a class."""
        self.notes += [f"cases without a chosen phase, left out: {', '.join(self.dropped)}"] if self.dropped else []
        self.classes, self.positive = list[str](), None
        if self.found.outlines:
            about = ("classes", "positive", "calibration")
            given = [name for name in about if getattr(self.settings, name) is not None]
            if given:
                raise ValueError(
                    f"--{given[0]} is about classes, found no case that has one; pass --labels FILE.csv with the "
                    f"columns case,label, or leave --{given[0]} out"
                )
            return
        self.cases, notes = one_spelling(self.cases, self.settings.classes)
        labels = sorted({case["label"] for case in self.cases if "label" in case})
        self.classes = name_list(self.settings.classes or self.found.classes or labels, "labels")
        self.positive = positive_class(self.settings.positive, self.classes)
        self.notes += notes

    def settle_images(self) -> None:
        """Look for copies, for cases without a mask, and for what headers leave open."""
        settled, notes = settle_identical(self.cases, self.settings.allow_identical, self.workers)
        self.merged = merged_patients(self.cases, settled)
        reference = self.settings.reference_phase or self.phases[0]
        self.cases = settled
        if not self.found.outlines:
            self.cases, self.unmasked = settle_masks(settled, reference, self.settings.without_mask, self.workers)
        self.notes += notes + self.unmasked
        self.notes += [] if self.found.overlay else reading_notes(self.cases, self.phases, self.workers)

    def split(self) -> None:
        """Assign the cases to splits."""
        settings = self.settings
        with copies_told(self.merged):
            if self.found.outlines:
                self.splits = assign_outlined(self.cases, settings.fractions, settings.seed)
            else:
                self.splits = assign_splits(self.cases, settings.fractions, settings.seed, settings.calibration)

    def look_at_masks(self) -> None:
        """Read the masks whose values have names, or which are all there is to learn."""
        named, outlines = bool(self.settings.structures), self.found.outlines
        self.drawn, notes = look_at_masks(self.splits, self.structures, named, outlines, self.workers)
        self.notes += notes

    def choose_columns(self) -> None:
        """Choose the clinical columns by the deciding cases, without those that look like the answer."""
        splits, columns, notes = decided_columns(self.splits, self.found.clinical, self.deciding)
        self.splits, self.columns, more = splits, columns, list[str]()
        if not self.found.outlines:
            self.splits, self.columns, more = without_suspicious(splits, columns, self.settings.keep_suspicious)
        self.notes += notes + more

    def choose_grid(self) -> None:
        """Choose the reference phase, correct and register volumes, propose region, grid and intensities."""
        grids = look_at_grids(self.with_regions(), self.workers)
        deciding = self.deciding.names(self.splits)
        self.deciders = [one for one in grids if one.case in deciding]
        if self.found.views:
            return
        reference = choose_reference(self.deciders, self.phases, self.settings.reference_phase)
        self.prepare_volumes(reference.phase)
        cases, kind = self.with_regions(), self.deciding.kind
        self.proposal = survey(cases, grids, self.phases, reference, deciding, kind, self.workers)
        masked = {case["case"] for case in self.splits["training"] if case.get("roi")}
        self.outlining = outline_grid(grids, reference, masked) if masked else None

    def with_regions(self) -> list[Case]:
        """Return all cases as a region is looked for in them: not in masks that may be empty, to be outlined."""
        cases = everyone(self.splits)
        return [case | {"roi": None} for case in cases] if self.found.outlines else cases

    def prepare_volumes(self, reference_phase: str) -> None:
        """Remove bias fields, then register phases, if asked for; cases then name the new volumes."""
        cases, settings = everyone(self.splits), self.settings
        if settings.correcting.method == "n4":
            cases = correct_cases(cases, self.phases, self.folder, settings.correcting, self.workers)
        if settings.registering.transform != "none":
            cases, notes = register_cases(
                cases, self.phases, reference_phase, self.folder, settings.registering, self.workers
            )
            self.notes += notes
        remaining = iter(cases)
        self.splits = {split: [next(remaining) for _ in cases] for split, cases in self.splits.items()}

    def describe(self) -> None:
        """Put together what dataset.json says above its cases."""
        self.decided = [
            self.deciding.note(self.splits),
            *(grid_lines(self.proposal) if self.proposal is not None else []),
            *mask_lines(self.splits, self.phases, self.structures, self.drawn),
            *([self.outlining.line()] if self.outlining else []),
            *self.found.left_out,
        ]
        comparing = bundle_command("comparing", ["configs/compare.yaml", "data.yaml"])  # no path of this machine
        self.header: dict[str, Any] = {
            "name": self.found.name,
            "phases": self.phases,
            **({"classes": self.classes} if self.classes else {}),
            **({"structures": self.structures} if self.structures else {}),
            **({} if self.positive is None else {"positive": self.positive}),
            "clinical": self.columns,
            "seed": self.settings.seed,
            **({"views": self.found.views} if self.found.views else {}),
            "preparation": [*self.decided, *self.unmasked, *size_lines(self.splits, comparing)],
        }

    def write(self) -> tuple[Path, list[Path]]:
        """Write dataset.json, those of folds, and data.yaml."""
        file = write_dataset(self.folder, self.header, self.splits)
        drawn, settings = {}, self.settings
        if settings.folds:
            with copies_told(self.merged):
                kept = everyone({split: cases for split, cases in self.splits.items() if split != "calibration"})
                drawn = fold_splits(kept, settings.folds, settings.fractions, settings.seed, self.found.outlines)
        folds = write_folds(self.folder, self.header, drawn)
        self.dataset = Dataset(
            self.found.name, self.folder, self.phases, self.classes, self.columns, self.positive, self.found.views,
            self.outlining, not all(self.drawn.values()),
        )  # fmt: skip
        if self.proposal is None:
            images = [volume for one in self.deciders for volume in one.volumes.values()]
            overlay = image_overlay_text(self.dataset, images)
        else:
            overlay = overlay_text(self.dataset, self.proposal)
        write_text(self.folder / "data.yaml", overlay)
        return file, folds

    def tell(self, file: Path, folds: Sequence[Path]) -> None:
        """Print the tables, what was decided, and the files."""
        print(f"\n{self.found.name}\n\n{summary_text(self.splits, self.phases, self.classes, self.columns)}\n")
        data = from_here(self.folder / "data.yaml")
        comparing = bundle_command("comparing", ["configs/compare.yaml", data], BUNDLE)
        print("\n".join([*self.decided, *size_lines(self.splits, comparing), *width_lines(self.splits, self.classes)]))
        notes = [note if note.startswith("warning: ") else f"note: {note}" for note in self.notes]
        print("".join(f"{shown(note)}\n" for note in notes))
        for fold in folds:
            print(f"wrote {fold}, to be trained on with --dataset_dir {shlex.quote(from_here(fold.parent))}")
        print(f"wrote {file}\n      {self.folder / 'data.yaml'}")

    @contextmanager
    def every_bad_image(self) -> Iterator[None]:
        """If an image cannot be used, check all images and name every one that would break training."""
        cases = self.cases
        try:
            yield
        except (BadCases, BadVolume, FileNotFoundError) as error:
            if not self.settings.quality:
                raise
            known = lines_of(error)
            raise list_bad(self.found.name, self.phases, cases, self.folder, self.workers, known) from None
