"""From a folder of images to a dataset.json: `python -m monai.bundle run preparing`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.data.cases import read_cases
from scripts.data.chosen_phases import chosen_phases, chosen_reference, with_phases
from scripts.data.document import name_list
from scripts.data.layouts import Source, check_options, find_layout
from scripts.data.phase_names import check_names
from scripts.data.overlay import from_here, overlay_text, training_command
from scripts.data.splits import SPLITS, split_by_patient
from scripts.data.summary import grid_text, summary_text
from scripts.data.survey import survey

VIEWS_ONLY = (
    "These are 2D images, one per view. Training on views is not available yet: no data.yaml was written."
)


def prepare(
    source: str | Path | None,
    layout: str | None,
    output: str | Path | None,
    labels: str | Path | None = None,
    phases: Sequence[str] | None = None,
    reference_phase: str | None = None,
    classes: Sequence[str] | None = None,
    clinical: Sequence[str] | None = None,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    overwrite: bool = False,
    phase_names: Mapping[str, Sequence[str]] | None = None,
    rules: str | Path | None = None,
    mapping: str | Path | None = None,
    keep_ids: bool = False,
    dry_run: bool = False,
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
        reference_phase: phase whose axes define the grid; None takes the one that fewest cases lack.
        classes: class names in order; None takes the layout's, or all labels sorted.
        clinical: columns of `labels` to take; None takes all.
        fractions: shares of training, validation and test, where the source does not fix the split.
        seed: seed of the split.
        overwrite: whether a dataset.json that is there already may be replaced.
        phase_names: phase -> patterns of the names that stand for it in the source.
        rules, mapping, keep_ids, dry_run: of the layout dicom; see `Source`.

    Returns:
        The dataset.json written; None for a dry run, which writes nothing.

    Raises:
        FileNotFoundError: source or label file does not exist.
        ValueError: anything that would break training, or an output folder that must not be written.
    """
    for name, value in (("source", source), ("layout", layout), ("output", output)):
        if value in (None, ""):
            raise ValueError(f"{name} must be given, found nothing; pass --{name}")
    find = find_layout(str(layout))
    folder = _absolute(str(output))
    phases = None if phases is None else name_list(phases, "`phases`")
    given = Source(
        path=_absolute(str(source)),
        output=folder,
        labels=_optional(labels),
        phases=phases,
        clinical=clinical,
        phase_names=check_names(phase_names),
        rules=_optional(rules),
        mapping=_optional(mapping),
        keep_ids=keep_ids,
        dry_run=dry_run,
    )
    check_options(str(layout), given)
    if not dry_run:
        _output_folder(folder, overwrite)
    found = find(given)
    if dry_run:
        print("".join(f"note: {note}\n" for note in found.notes) + "dry run: nothing was written")
        return None

    phases = chosen_phases(found, phases)
    cases, dropped = with_phases(found.cases, phases)
    labels_found = sorted({case["label"] for case in cases if "label" in case})
    classes = name_list(classes or found.classes or labels_found, "`classes`")
    reference_phase = chosen_reference(cases, phases, reference_phase)
    splits = assign_splits(cases, fractions, seed)
    everyone = [case for entries in splits.values() for case in entries]
    proposal = None if found.views else survey(everyone, phases, reference_phase)

    content: dict[str, Any] = {"name": found.name, "phases": phases, "classes": classes}
    content |= {"clinical": found.clinical, "seed": seed}
    content |= {"views": found.views} if found.views else {}
    for split, entries in splits.items():
        content[split] = [_entry(case, folder) for case in entries]
    file = _write(folder, content)
    notes = list(found.notes)
    if dropped:
        notes.append(f"cases without a chosen phase, left out: {', '.join(dropped)}")
    print(f"\n{found.name}\n\n{summary_text(splits, phases, classes, found.clinical)}\n")
    if proposal is None:
        print("".join(f"note: {note}\n" for note in notes) + f"wrote {file}\n\n{VIEWS_ONLY}")
        return file
    overlay = overlay_text(found.name, folder, phases, reference_phase, classes, found.clinical, proposal)
    _write_text(folder / "data.yaml", overlay)
    print(grid_text(proposal))
    print("".join(f"note: {note}\n" for note in notes))
    print(f"wrote {file}\n      {folder / 'data.yaml'}\n\nnext:")
    own = training_command([from_here(folder / "data.yaml")])
    print("  " + (training_command([found.overlay], from_here(folder)) if found.overlay else own))
    return file


def assign_splits(
    cases: Sequence[dict[str, Any]], fractions: Sequence[float], seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Return split -> cases; unlabelled cases apart, fixed splits as they are, the rest drawn from the seed.

    Cases without a fixed split are shared out among the splits that no case is fixed to.

    Raises:
        ValueError: wrong fractions, some cases left over where every split is fixed, or classes too small.
    """
    if isinstance(fractions, str) or len(fractions) != len(SPLITS):
        raise ValueError(f"fractions must be three numbers for {', '.join(SPLITS)}, found {fractions!r}")
    labelled = [case for case in cases if "label" in case]
    fixed = {case["split"] for case in labelled if "split" in case}
    open_splits = {split: share for split, share in zip(SPLITS, fractions, strict=True) if split not in fixed}
    rest = [case for case in labelled if "split" not in case]
    if rest and not open_splits:
        raise ValueError(
            f"case {rest[0]['case']} must have a split like the others, found none ({len(rest)} such cases); "
            "fill the 'split' column, or leave it out to draw the splits"
        )
    patients = [case.get("patient", case["case"]) for case in rest]
    drawn = split_by_patient([case["label"] for case in rest], patients, open_splits, seed) if rest else []
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in (*SPLITS, "unlabelled")}
    chosen = iter(drawn)
    for case in cases:
        split = case.get("split") or next(chosen) if "label" in case else "unlabelled"
        splits[split].append(case)
    return splits


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


def _optional(path: str | Path | None) -> Path | None:
    return None if path is None else _absolute(path)


def _output_folder(folder: Path, overwrite: bool) -> Path:
    if (folder / "dataset.json").exists() and not overwrite:
        raise ValueError(
            f"{folder / 'dataset.json'} exists already and would be replaced; pass --overwrite True, or "
            "another --output"
        )
    from scripts.evaluation.atomic import check_writable

    try:
        return check_writable(folder)
    except ValueError as error:
        raise ValueError(
            f"output folder {folder} cannot be written ({error.__context__}); choose another --output"
        ) from None


def _entry(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a case as dataset.json holds it: paths below `folder` relative, no `split`."""

    def written(path: str) -> str:
        return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path

    entry = {key: value for key, value in case.items() if key != "split" and value not in (None, {})}
    entry["image"] = {phase: written(path) for phase, path in case["image"].items()}
    return entry | ({"roi": written(case["roi"])} if case.get("roi") else {})


def _write(folder: Path, content: dict[str, Any]) -> Path:
    """Write dataset.json if it can be read back."""
    from scripts.evaluation.atomic import write_atomically

    file = folder / "dataset.json"

    def write(temporary: Path) -> None:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        try:
            read_cases(temporary, content["phases"], content["classes"], content["clinical"])
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(str(error).replace(str(temporary), f"{file} (not written)")) from None

    return write_atomically(file, write)


def _write_text(file: Path, text: str) -> None:
    from scripts.evaluation.atomic import write_atomically

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(file, write)
