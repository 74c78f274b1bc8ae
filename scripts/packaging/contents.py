"""Which files of a bundle go to others: all that is needed to run it, nothing that was made with it."""

from __future__ import annotations

import shutil
from pathlib import Path

REQUIRED = (
    "LICENSE",
    "configs/metadata.json",
    "configs/train.yaml",
    "configs/inference.yaml",
    "models/model.pt",
    "scripts/__init__.py",
)
CONFIG_SUFFIXES = (".yaml", ".json", ".conf")
# Figures of a results folder that show no patient, in the words under which the model card shows them.
FIGURES = {
    "learning_curves.png": "Training loss and validation",
    "roc.png": "ROC",
    "precision_recall.png": "Precision and recall",
    "reliability.png": "Reliability of the probabilities",
    "decision_curve.png": "Decision curve",
    "confusion_matrix.png": "Confusion matrix",
    "missing_phases.png": "When phases are missing",
    "phase_weights.png": "Weight of each phase",
}


def _wanted(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    if hidden or path.suffix == ".pyc":
        return False
    return path.parts[0] != "configs" or path.suffix in CONFIG_SUFFIXES


def copy_contents(root: Path, target: Path) -> None:
    """Copy what belongs to a bundle: configurations, best weights, package, documentation and licence.

    Left behind are data, tests, predictions, images of patients (``first_batch.png``, ``worst_errors.png``),
    TensorBoard files, ``last.pt``, and everything hidden. Of a results folder its figures without patients go
    to ``docs/figures``.

    Args:
        root: the bundle, or a results folder.
        target: an empty folder.

    Raises:
        FileNotFoundError: naming what a trained bundle must hold and this one does not.
        ValueError: a file that is a link, or lies behind one, to another folder.
    """
    missing = [name for name in REQUIRED if not (root / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{root} must be a trained bundle, but has no {' and no '.join(missing)}; give this bundle's "
            "folder or that of a finished training, results/NAME"
        )
    names = [Path("LICENSE"), Path("models/model.pt")]
    for folder in ("configs", "scripts", "docs"):
        names += [path.relative_to(root) for path in (root / folder).rglob("*") if path.is_file()]
    places = {name: name for name in names if _wanted(name)}
    places |= {Path(name): Path("docs/figures", name) for name in FIGURES if (root / name).is_file()}
    outside = [str(name) for name in places if not (root / name).resolve().is_relative_to(root.resolve())]
    if outside:
        raise ValueError(
            f"a package holds files of {root} alone, found {', '.join(outside[:3])} as a link "
            f"out of it ({len(outside)} in all); put copies in its place, or remove it"
        )
    for source, place in places.items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / source, target / place)
