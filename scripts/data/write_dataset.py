"""Writing dataset.json, and those of folds, as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.data.cases import read_cases
from scripts.evaluation.atomic import write_atomically

Splits = Mapping[str, Sequence[dict[str, Any]]]


def write_dataset(folder: Path, header: Mapping[str, Any], splits: Splits) -> Path:
    """Write dataset.json if it can be read back, with paths below `folder` relative to it.

    Args:
        folder: receives the file.
        header: everything but the splits.
        splits: split -> entries with absolute paths.

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
