"""From a folder of images to a dataset.json: `python -m monai.bundle run preparing`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.data.bias_field import BiasCorrection
from scripts.data.cases import read_cases
from scripts.data.clinical_table import join_clinical_table
from scripts.data.document import name_list
from scripts.data.identical import settle_identical
from scripts.data.layouts import Found, Source, find_layout
from scripts.data.nearest import listing
from scripts.data.fold_splits import fold_splits
from scripts.data.overlay import from_here, overlay_text, training_command
from scripts.data.prepared_volumes import prepare_volumes
from scripts.data.registration import Registration
from scripts.data.splits import assign_splits
from scripts.data.suspicious import without_suspicious
from scripts.data.summary import summary_text
from scripts.data.survey import Survey, survey


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
    clinical_table: str | Path | None = None,
    keep_suspicious: bool = False,
    folds: int | None = None,
    allow_identical: bool = False,
    bias_correction: BiasCorrection = BiasCorrection(),
    registration: Registration = Registration(),
    workers: int | None = None,
) -> Path:
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
        clinical_table: CSV or Excel file with clinical values by case or patient, for any layout.
        keep_suspicious: whether clinical columns that look like the answer are kept.
        folds: number of folds to write in addition, each with a dataset.json of its own; None writes none.
        allow_identical: whether cases that share an image may be different patients.
        bias_correction: which phases lose their bias field.
        registration: how phases are registered to the reference phase.
        workers: volumes at a time; None takes one per core.

    Returns:
        The dataset.json written.

    Raises:
        FileNotFoundError: source or label file does not exist.
        ValueError: anything that would break training, or an output folder that must not be written.
    """
    for name, value in (("source", source), ("layout", layout), ("output", output)):
        if value in (None, ""):
            raise ValueError(f"{name} must be given, found nothing; pass --{name}")
    find = find_layout(str(layout))
    folder = _output_folder(_absolute(str(output)), overwrite)
    labels = None if labels is None else _absolute(labels)
    phases = None if phases is None else name_list(phases, "`phases`")
    of_layout = clinical if clinical_table is None else None
    found = find(Source(_absolute(str(source)), folder, labels, phases, of_layout))
    if clinical_table is not None:
        found = join_clinical_table(found, _absolute(clinical_table), clinical)
    found = without_suspicious(found, keep_suspicious)

    phases = _chosen_phases(found, phases)
    cases, dropped = _with_phases(found.cases, phases)
    labels_found = sorted({case["label"] for case in cases if "label" in case})
    classes = name_list(classes or found.classes or labels_found, "`classes`")
    reference_phase = _reference(cases, phases, reference_phase)
    cases, identical_notes = settle_identical(cases, allow_identical, workers)
    splits = assign_splits(cases, fractions, seed)
    splits, volume_notes = prepare_volumes(
        splits, phases, reference_phase, folder, bias_correction, registration, workers
    )
    proposal = survey([case for entries in splits.values() for case in entries], phases, reference_phase)

    content: dict[str, Any] = {"name": found.name, "phases": phases, "classes": classes}
    content |= {"clinical": found.clinical, "seed": seed}
    for split, entries in splits.items():
        content[split] = [_entry(case, folder) for case in entries]
    file = _write(folder, content)
    everyone = [case for entries in splits.values() for case in entries]
    fold_files = _write_folds(folder, content, fold_splits(everyone, folds, fractions, seed) if folds else {})
    overlay = overlay_text(found.name, folder, phases, reference_phase, classes, found.clinical, proposal)
    _write_text(folder / "data.yaml", overlay)

    notes = [*found.notes, *identical_notes, *volume_notes]
    if dropped:
        notes.append(f"cases without a chosen phase, left out: {', '.join(dropped)}")
    print(
        f"\n{found.name}\n\n{summary_text(splits, phases, classes, found.clinical)}\n\n{_grid_text(proposal)}"
    )
    print("".join(f"{'' if note.startswith('warning: ') else 'note: '}{note}\n" for note in notes))
    for fold_file in fold_files:
        print(f"wrote {fold_file}, to be trained on with --dataset_dir {from_here(fold_file.parent)}")
    print(f"wrote {file}\n      {folder / 'data.yaml'}\n\nnext:")
    own = training_command([from_here(folder / "data.yaml")])
    print("  " + (training_command([found.overlay], from_here(folder)) if found.overlay else own))
    return file


def start_preparing(bundle_root: str | Path) -> None:
    """Show a user's mistakes as one line, and refuse keys that prepare.yaml does not have.

    Raises:
        ValueError: an unknown key; names the nearest.
    """
    import yaml

    from scripts.engines import errors
    from scripts.engines.config_check import check_keys
    from scripts.engines.running_config import running_config, running_run_id

    errors.install()
    declared = yaml.safe_load((Path(bundle_root) / "configs" / "prepare.yaml").read_text(encoding="utf-8"))
    check_keys(running_config(), declared, running_run_id())


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


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


def _chosen_phases(found: Found, phases: list[str] | None) -> list[str]:
    for phase in phases or ():
        if phase not in found.phases or not any(phase in case["image"] for case in found.cases):
            known = sorted({phase for case in found.cases for phase in case["image"]})
            raise ValueError(
                f"phase {phase!r} is not among the phases {listing(phase, known)} of the source; correct "
                "--phases"
            )
    return phases or found.phases


def _with_phases(
    cases: Sequence[dict[str, Any]], phases: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Keep the chosen phases, and the cases that have one; also return the names of the other cases."""
    kept, dropped = [], []
    for case in cases:
        image = {phase: case["image"][phase] for phase in phases if phase in case["image"]}
        if image:
            kept.append(case | {"image": image})
        else:
            dropped.append(case["case"])
    return kept, dropped


def _reference(cases: Sequence[dict[str, Any]], phases: Sequence[str], wanted: str | None) -> str:
    if wanted is None:
        return max(phases, key=lambda phase: sum(phase in case["image"] for case in cases))
    if wanted not in phases:
        raise ValueError(
            f"reference phase {wanted!r} is not among the phases {listing(wanted, phases)}; correct "
            "--reference_phase"
        )
    return wanted


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


def _write_folds(
    folder: Path, content: dict[str, Any], folds: dict[str, dict[str, list[dict[str, Any]]]]
) -> list[Path]:
    """Write the dataset.json of each fold, which `--dataset_dir` takes; those of an earlier run go."""
    for old in (folder / "folds").glob("r1_f*/dataset.json"):
        old.unlink()
    files = []
    for name, splits in folds.items():
        place = folder / "folds" / name
        entries = {split: [_entry(case, place) for case in cases] for split, cases in splits.items()}
        files.append(_write(place, {**content, **entries, "fold": name, "unlabelled": []}))
    return files


def _write_text(file: Path, text: str) -> None:
    from scripts.evaluation.atomic import write_atomically

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(file, write)


def _grid_text(proposal: Survey) -> str:
    def product(values: Sequence[float]) -> str:
        return " x ".join(f"{value:g}" for value in values)

    text = f"grid: {product(proposal.grid_size)} voxels of {product(proposal.spacing)} mm"
    text += f" (median of the files {product(proposal.native_spacing)} mm), "
    text += proposal.region["_target_"].split(".")[-1]
    if proposal.larger:
        examples = ", ".join(proposal.larger[:5])
        text += f"\ncases with a region larger than the grid: {len(proposal.larger)}, e.g. {examples}"
    return text
