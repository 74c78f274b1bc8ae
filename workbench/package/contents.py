# SPDX-License-Identifier: Apache-2.0
"""The files of a bundle that are shared: all that is needed to run it, nothing that was made with it."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from scripts.files.atomic import write_atomically
from scripts.metrics.prediction_sets import FILE
from workbench.keys import FILES

REQUIRED = (
    "LICENSE",
    "configs/metadata.json",
    "configs/train.yaml",
    "configs/inference.yaml",
    "models/model.pt",
    "scripts/__init__.py",
)
CONFIG_SUFFIXES = (".yaml", ".json", ".conf")
# Figures of a results folder that show no patient, with their titles in the model card.
FIGURES = {
    "learning_curves.png": "Training loss and validation",
    "dice.png": "Overlap of the outlines",
    "froc.png": "FROC curve",
    "roc.png": "ROC",
    "precision_recall.png": "Precision and recall",
    "reliability.png": "Reliability of the probabilities",
    "decision_curve.png": "Decision curve",
    "confusion_matrix.png": "Confusion matrix",
    "missing_phases.png": "When phases are missing",
    "robustness.png": "When images have faults",
    "phase_weights.png": "Weight of each phase",
}


def _documents(root: Path) -> list[Path]:
    """Return the model card, the licences of the data, and the pictures that the card shows."""
    card = root / "docs" / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    pictures = [f"docs/{name}" for name in re.findall(r"!\[[^\]]*\]\((figures/[^)#]+)\)", text)]
    names = ["docs/README.md", "docs/data_license.txt", *pictures]
    return [Path(name) for name in names if (root / name).is_file()]


def _wanted(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    if hidden or path.suffix == ".pyc":
        return False
    return path.parts[0] != "configs" or (path.suffix in CONFIG_SUFFIXES and path.name not in FILES)


def copy_contents(root: Path, target: Path) -> None:
    """Copy what belongs to a bundle: configurations, best weights, package, model card and licences.

    With ``evidence.npz``, where there is one. It leaves out data, tests, other pages of the documentation,
    predictions, images of patients (``first_batch.png``, ``worst_errors.png``, outlines), TensorBoard files,
    ``last.pt``, and hidden files. The figures of a results folder that show no patients are copied to
    ``docs/figures``.

    Args:
        root: the bundle, or a results folder.
        target: an empty folder.

    Raises:
        FileNotFoundError: the folder is no trained bundle; names the missing files.
        ValueError: a file is, or is reached through, a link to another folder.
    """
    missing = [name for name in REQUIRED if not (root / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{root} must be a trained bundle, but has no {' and no '.join(missing)}; give this bundle's "
            "folder or that of a finished training, results/NAME"
        )
    beside = [Path("models", name) for name in ("outline.pt", FILE) if (root / "models" / name).is_file()]
    names = [Path("LICENSE"), Path("models/model.pt"), *beside, *_documents(root)]
    for folder in ("configs", "scripts"):
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


# The earliest time that a zip file can hold; the real time would make every zip different.
TIME = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644  # a plain file that everyone may read


def write_zip(folder: Path, target: Path) -> Path:
    """Pack a folder, under its own name, into a zip whose bytes depend on names and contents alone.

    Files are sorted by name, have one fixed time and mode, and are stored uncompressed: compressors differ
    between machines, and weights and figures hardly shrink.

    Args:
        folder: the folder to pack; its name becomes the folder inside the zip.
        target: the file to write; complete or untouched, never half-written.

    Raises:
        ValueError: `target` cannot be written.
    """
    return write_atomically(target, partial(_pack, folder))


def _pack(folder: Path, file: Path) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(f"{folder.name}/{name}", date_time=TIME)
            entry.create_system, entry.external_attr = 3, MODE << 16
            archive.writestr(entry, (folder / name).read_bytes())


def read_file(file: Path, name: str) -> bytes:
    """Return one file of a zip written by `write_zip`.

    Args:
        file: the zip.
        name: path inside the zip's one folder, e.g. ``configs/metadata.json``.
    """
    with zipfile.ZipFile(file) as archive:
        folder = archive.namelist()[0].partition("/")[0]
        return archive.read(f"{folder}/{name}")


class _Listing:
    """Replaces ``huggingface_hub`` and its client: lists the files and sends nothing."""

    def __init__(self) -> None:
        self.files: dict[str, int] = {}

    def HfApi(self, token: str | None = None) -> _Listing:
        return self

    def create_repo(self, **_: Any) -> None:
        pass

    def upload_folder(self, folder_path: str, **_: Any) -> None:
        folder = Path(folder_path)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.files[path.relative_to(folder).as_posix()] = path.stat().st_size


def files_for_hub(file: Path, repo: str) -> dict[str, int]:
    """Return the files that pushing a bundle would send, by running MONAI's own push offline.

    MONAI adds ``README.md``: the model card with the tags that the Hub reads. Neither a token nor the package
    ``huggingface_hub`` is needed.

    Args:
        file: zip of the bundle.
        repo: the repository on the Hub, ``owner/name``.

    Returns:
        Size in bytes by name.

    Raises:
        ValueError: `repo` is not of the form ``owner/name``.
    """
    from monai.bundle import push_to_hf_hub

    owner, _, name = repo.partition("/")
    if not owner or not name or "/" in name:
        raise ValueError(f"the Hugging Face repository must be given as owner/name, found '{repo}'")
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(file) as archive:
            bundle = archive.namelist()[0].partition("/")[0]
            archive.extractall(folder)
        listing = _Listing()
        with patch("monai.bundle.scripts.huggingface_hub", listing):
            push_to_hf_hub(repo, bundle, folder)
    return listing.files
