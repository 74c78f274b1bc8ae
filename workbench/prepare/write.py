"""Writing dataset.json, and those of folds, as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.cases.clinical import Column
from scripts.cases.read import read_cases
from scripts.cases.splits import patient_of, split_by_patient
from scripts.files.atomic import write_atomically

Splits = Mapping[str, Sequence[dict[str, Any]]]


@dataclass(frozen=True)
class Dataset:
    """What was chosen for a dataset; `folder` receives dataset.json and data.yaml.

    Where the images are 2D, `views` are theirs, and the phases are <phase>_<view>, views inside.
    """

    name: str
    folder: Path
    phases: list[str]
    classes: list[str]
    columns: list[Column]
    positive: str | None
    views: list[str]


def write_dataset(folder: Path, header: Mapping[str, Any], splits: Splits) -> Path:
    """Write dataset.json if it can be read back, with paths below `folder` relative to it.

    Raises:
        ValueError, FileNotFoundError: what reading it says; then nothing is written.
    """
    content = {
        **header,
        **{split: [_entry(case, folder) for case in cases] for split, cases in splits.items()},
    }
    file = folder / "dataset.json"

    def write(temporary: Path) -> None:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        try:
            read_cases(temporary, content["phases"], content["classes"], content["clinical"])
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(str(error).replace(str(temporary), f"{file} (not written)")) from None

    return write_atomically(file, write)


def write_folds(folder: Path, header: Mapping[str, Any], folds: Mapping[str, Splits]) -> list[Path]:
    """Write the dataset.json of each fold, which `--dataset_dir` takes; those of an earlier run go."""
    for old in (folder / "folds").glob("r1_f*/dataset.json"):
        old.unlink()
    return [
        write_dataset(folder / "folds" / name, {**header, "fold": name}, {**splits, "unlabelled": []})
        for name, splits in folds.items()
    ]


def _entry(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a case as dataset.json holds it: paths below `folder` relative, no `split`."""

    def written(path: str) -> str:
        return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path

    entry = {key: value for key, value in case.items() if key != "split" and value not in (None, {})}
    entry["image"] = {phase: written(path) for phase, path in case["image"].items()}
    return entry | ({"roi": written(case["roi"])} if case.get("roi") else {})


def fold_splits(
    cases: Sequence[dict[str, Any]], folds: int, fractions: Sequence[float], seed: int
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return fold -> split -> cases; each labelled case is a test case once.

    The test parts are stratified by class and site and grouped by patient, and so are the validation cases
    that are drawn from the rest of each fold. The folds are named as `comparing` names them, r1_f1, r1_f2,
    ...

    Args:
        cases: entries of dataset.json; unlabelled ones do not count.
        folds: number of parts, at least 2.
        fractions: of training, validation and test; the first two share out what is not tested.

    Raises:
        ValueError: a number of folds that is none, splits fixed by the source, or a class with too few
            patients.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ValueError(f"folds must be a whole number of at least 2, found {folds!r}; correct --folds")
    labelled = [case for case in cases if "label" in case]
    fixed = next((case for case in labelled if "split" in case), None)
    if fixed is not None:
        raise ValueError(
            f"folds are drawn from cases without a fixed split, found case {fixed['case']} fixed to "
            f"{fixed['split']!r} by the source; leave out --folds, or let `comparing` pool the splits"
        )
    labelled.sort(key=lambda case: case["case"])
    shares = dict(zip(("training", "validation"), fractions, strict=False))
    parts = _draw(labelled, {f"r1_f{number + 1}": 1.0 for number in range(folds)}, seed, 0)
    found = {}
    for number, fold in enumerate(dict.fromkeys(sorted(parts)), start=1):
        rest = [case for case, part in zip(labelled, parts, strict=True) if part != fold]
        splits = _draw(rest, shares, seed, number)
        found[fold] = {
            split: [case for case, drawn in zip(rest, splits, strict=True) if drawn == split]
            for split in shares
        } | {"test": [case for case, part in zip(labelled, parts, strict=True) if part == fold]}
    return found


def _draw(cases: Sequence[dict[str, Any]], shares: dict[str, float], seed: int, part: int) -> list[str]:
    return split_by_patient(
        [case["label"] for case in cases],
        [patient_of(case) for case in cases],
        shares,
        int(np.random.SeedSequence([seed, part]).generate_state(1)[0]),
        [case.get("site") for case in cases],
    )
