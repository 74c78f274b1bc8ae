# SPDX-License-Identifier: Apache-2.0
"""From masks to columns of the clinical table: `python -m monai.bundle run measuring`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scripts.cases.document import Document, Item, check_phases, name_list, open_document, read_items
from scripts.cases.masks import ROI, masks_of, structure_names
from scripts.cases.read import read_unlabelled
from scripts.cases.structures import LESION
from scripts.files.atomic import check_writable, not_left_empty
from scripts.files.plain_text import note
from scripts.files.processes import work_through
from scripts.files.run_folder import refuse_bundle, run_in
from workbench.measure.by_class import class_table, measures_by_class
from workbench.measure.case import measure_case
from workbench.measure.columns import Measured, all_measures, chosen_measures, what_is_measured
from workbench.measure.masks import Masks, outlines_of
from workbench.measure.write import CSV, check_replaceable, next_commands, write_dataset, write_measures, write_overlay


def measure(
    dataset_dir: str | Path | None,
    output_dir: str | Path | None,
    outlines: str | Path | None,
    phases: Sequence[str] | None,
    structures: Sequence[str] | None,
    walls: Sequence[str],
    baseline: str | None,
    measures: Sequence[str] | None,
    workers: int | None,
) -> Path:
    """Measure every structure of every case, and write the measures as a table and as clinical columns.

    Each argument is a key of configs/measure.yaml and described there. measures.csv has all measures, with
    units, and is what `--clinical_table` takes for new cases. Of a dataset.json a copy with the chosen
    measures as clinical columns is written beside it, and measures.yaml, an overlay that trains on them.
    Nothing is written before every case has been measured.

    Returns:
        measures.csv.

    Raises:
        FileNotFoundError: no dataset, or no outlines.
        BadCases, ValueError: masks or images that cannot be used, and mistakes in the keys, one line each.
    """
    for name, value in (("dataset_dir", dataset_dir), ("output_dir", output_dir)):
        if value is None:
            raise ValueError(f"{name} must be given, found nothing; pass --{name}")
    source, folder = Path(str(dataset_dir)).expanduser().absolute(), Path(str(output_dir)).expanduser().absolute()
    document, items = _cases(source, phases)
    known = name_list(phases, "`phases`") if phases or document is None else document.phases
    refuse_bundle(folder)
    check_replaceable(folder, document)
    masks, notes = _masks(items, outlines, known)
    measured = _measured(document, masks, known, structures, walls, baseline)
    chosen = chosen_measures(measures, all_measures(measured))
    with not_left_empty(folder), run_in(check_writable(folder), "measuring"):
        jobs = [(item, masks.get(item["case"], {})) for item in items]
        found = work_through(partial(_measure_one, measured=measured), jobs, workers, bar="measuring")
        values = {item["case"]: row for item, row in zip(items, found, strict=True)}
        empty = [one for one in chosen if all(row[one] is None for row in found)]
        notes.append(note("measures that no case has, no columns of the table", [one.name for one in empty]))
        chosen = [one for one in chosen if one not in empty]
        if document is not None:
            write_dataset(folder, document, values, chosen, _told(outlines, measured))
            write_overlay(folder, document, chosen)
        file = write_measures(folder, items, values)
    labels = [item.get("label") for item in items]
    if any(labels) and chosen:
        named = [{one.name: row[one] for one in chosen} for row in found]
        by_class = measures_by_class(named, labels, [one.column for one in chosen])
        declared = [] if document is None else document.content.get("classes") or []
        classes = list(dict.fromkeys([*declared, *filter(None, labels)]))
        print(f"\n{class_table(by_class, classes, 'Measures').text()}\n")
    print("".join(f"note: {line}\n" for line in notes if line), end="")
    print(f"{file}: {len(all_measures(measured))} measures of {len(items)} cases, {len(chosen)} of them as columns")
    print(next_commands(folder, document))
    return file


def _measure_one(job: tuple[Item, Masks], measured: Measured) -> Any:
    return measure_case(*job, measured)


def _cases(source: Path, phases: Sequence[str] | None) -> tuple[Document | None, list[Item]]:
    """Return the cases of a dataset.json, or of a folder of case folders (then no document)."""
    if source.is_dir() and not (source / "dataset.json").exists():
        if not phases:
            raise ValueError(
                f"{source} must hold a dataset.json, or the phases in its folders must be named, found neither; "
                "correct --dataset_dir, or give --phases \"['ed','es']\""
            )
        return None, read_unlabelled(source, name_list(phases, "`phases`"))
    document = open_document(source)
    names = name_list(phases, "`phases`") if phases else document.phases
    check_phases(document, names)
    items = read_items(document, names, document.columns)
    if not items:
        raise ValueError(f"{document.file} must list at least one case, found none; list cases in it")
    return document, items


def _masks(
    items: Sequence[Item], outlines: str | Path | None, phases: Sequence[str]
) -> tuple[dict[str, Masks], list[str]]:
    """Return case -> its masks, of which all cases have one, or one for each phase."""
    if outlines is not None:
        folder = Path(outlines).expanduser().absolute()
        masks, notes = outlines_of(folder, items, phases)
        notes += _unseen(folder, [item for item in items if item["split"] == "training"])
    else:
        masks = {item["case"]: found for item in items if (found := masks_of(item["roi"]))}
        notes = [note("cases without a mask", [item["case"] for item in items if item["case"] not in masks])]
        if not masks:
            raise ValueError(
                f"cases must have a mask ('roi' in dataset.json) to be measured, found none in {len(items)} cases; "
                "give outlines of a model by --outlines FOLDER"
            )
    single = [case for case, found in masks.items() if ROI in found]
    by_phase = [case for case, found in masks.items() if ROI not in found]
    if single and by_phase:
        raise ValueError(
            f"all cases must have one mask, or all one for each phase, found one of case {single[0]} and several of "
            f"case {by_phase[0]}; give the masks of all cases in the same way"
        )
    return masks, notes


def _unseen(folder: Path, training: Sequence[Item]) -> list[str]:
    """Refuse outlines of training cases by a network that saw them, where the folder says by which they are."""
    from scripts.engines.outliner import ORIGIN, check_unseen

    if not training:
        return []
    if (folder / ORIGIN).is_file():
        check_unseen(folder.parent, training)
        return []
    return [
        f"outlines of training cases must come from networks that did not see their patients; {folder} does not say "
        f"whose they are (no {ORIGIN}), so see to it: measures of outlines that were learned are too good"
    ]


def _measured(
    document: Document | None,
    masks: dict[str, Masks],
    phases: Sequence[str],
    structures: Sequence[str] | None,
    walls: Sequence[str],
    baseline: str | None,
) -> Measured:
    declared = [] if document is None else document.structures
    names = structure_names(list(structures or declared or [LESION]), "`structures`")
    drawn = {key for found in masks.values() for key in found}
    return what_is_measured(names, phases, [phase for phase in phases if phase in drawn], walls, baseline)


def _told(outlines: str | Path | None, measured: Measured) -> str:
    """Return the line of dataset.json that says where its measures come from."""
    of = "the masks in dataset.json" if outlines is None else f"the outlines in {Path(outlines).name}"
    walls = f"; thickness of {', '.join(measured.walls)}" if measured.walls else ""
    return f"measures of {', '.join(measured.structures)} from {of} (see {CSV}){walls}"
