# SPDX-License-Identifier: Apache-2.0
"""Folders of trained models: which of them this user trained, and ensembles of several."""

from __future__ import annotations

import glob
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import all_suffixes
from pathlib import Path, PurePosixPath

from ignite.engine import Engine, Events
from scripts import from_workbench, networks
from scripts.engines.network import load_trained
from scripts.files.plain_text import listing
from scripts.files.run_folder import at_work
from torch import nn

logger = logging.getLogger(__name__)

IMPORTABLE = (
    *all_suffixes(), ".pyo", ".pyw", ".pyd", ".pyz", ".pth", ".egg", ".whl", ".zip", ".dll", ".dylib",
)  # fmt: skip
"""Endings of files that Python treats as code once their folder is on its path."""


def files_of(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file, link and special file below a folder with its relative name; no link is followed."""
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted([*names, *links]):
            path = Path(parent, name)
            yield path, path.relative_to(folder).as_posix()


def is_importable(name: str) -> bool:
    """Return whether Python could import a file of this name.

    >>> is_importable("docs/jinja2.PY"), is_importable("libx.so.6"), is_importable("roc.png")
    (True, True, False)
    """
    lower = PurePosixPath(name).name.lower()
    return lower.endswith(IMPORTABLE) or ".so." in lower


def hash_of(files: Iterable[tuple[str, Path]]) -> str:
    """Return the SHA-256 over names and contents of files, independent of their order."""
    digest = hashlib.sha256()
    for name, path in sorted(files):
        content = hashlib.sha256(path.read_bytes() if path.is_file() else b"no file").hexdigest()
        digest.update(f"{content}  {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def trained_list() -> Path:
    """Return the path of the list, in ``$XDG_DATA_HOME``, with one hash per folder that this user trained."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "multiphase_fusion_classification" / "trained.txt"


def folder_hash(folder: str | Path) -> str:
    """Return the SHA-256 of configurations, weights and code of a results folder, independent of its path."""
    folder = Path(folder)
    return hash_of(
        (name, path)
        for path, name in files_of(folder)
        if name.startswith("configs/") or name == "models/model.pt" or is_importable(name)
        if "__pycache__" not in name
    )


def record(folder: str | Path) -> None:
    """Record that this user trained a folder, which then needs no verification."""
    from scripts.files.processes import is_first_process  # imports torch

    if not is_first_process():
        return
    file = trained_list()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "a", encoding="utf-8") as lines:
            lines.write(f"{folder_hash(folder)}\n")
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home folder
        logger.warning("%s is not noted as trained here (%s): later it is verified first", folder, error)


def is_recorded(folder: str | Path) -> bool:
    """Return whether this user trained a folder and nothing in it has changed since."""
    try:
        return folder_hash(folder) in trained_list().read_text(encoding="utf-8").split()
    except (OSError, ValueError, RuntimeError):
        return False


SUFFIXES = {"pytorch": ".pt", "torchscript": ".ts", "onnx": ".onnx"}
"""Runtime that computes a network -> ending of its file."""


def ensemble_folders(ensemble: str | Sequence[str]) -> list[str]:
    """Return the folders that an ensemble names, in order.

    Args:
        ensemble: results folders, or patterns such as ``results/cmp/jobs/concat_*``.

    Raises:
        FileNotFoundError: a name that matches no folder.
    """
    names = [ensemble] if isinstance(ensemble, str) else list(ensemble)
    folders: list[str] = []
    for name in names:
        found = sorted(folder for folder in glob.glob(str(name)) if Path(folder).is_dir())
        if not found:
            raise FileNotFoundError(
                f"`ensemble` must name results folders, found none at {name} (seen from {Path.cwd()})"
            )
        folders += found
    return list(dict.fromkeys(folders))


def model_files(
    bundle_root: str | Path, ensemble: str | Sequence[str] = (), runtime: str = "pytorch", trust: bool = False
) -> str | list[str]:
    """Return the model file of a trained bundle, or those of all members of an ensemble, each verified.

    A warning is logged for a folder whose training has not ended, since its model may still change.

    Args:
        bundle_root: folder of the bundle.
        ensemble: as in `ensemble_folders`; empty: one model.
        runtime: runtime that computes the network, a key of `SUFFIXES`.
        trust: only warn of a member that `require_verified` refuses.

    Raises:
        ValueError: an unknown runtime, or a member from elsewhere that has code other than the bundle's own.
    """
    if runtime not in SUFFIXES:
        raise ValueError(f"`runtime` must be one of {listing(str(runtime), SUFFIXES)}, found {runtime!r}")
    folders = ensemble_folders(ensemble) if ensemble else [str(bundle_root)]
    for folder in folders if ensemble else ():
        if verify := from_workbench("verify.folder"):
            verify.require_verified(folder, trust)
        elif not trust and not is_recorded(folder):
            raise ValueError(
                f"{folder} must be a folder that you trained: one from elsewhere is verified by the folder "
                "workbench beside scripts, found none; go on with --trust true if you know who made it"
            )
    for folder in folders:
        if who := at_work(folder):
            logger.warning("%s: %s is at work or was killed; its model so far is used", folder, who)
    files = [f"{folder}/models/model{SUFFIXES[runtime]}" for folder in folders]
    return files if ensemble else files[0]


def load_members(network: nn.Module, paths: Sequence[str | Path]) -> None:
    """Load the weights of each member of an ensemble, and log the threshold of the ensemble."""
    members = list(network.get_submodule("members").children())
    for member, path in zip(members, paths, strict=True):
        load_trained(member, path)
    if not isinstance(network, networks.calibration.Ensemble):
        return
    network.combine_calibrations()
    if len(network.calibration.prior) == 2:
        each = ", ".join(f"{float(member.get_buffer('calibration.threshold')):.3f}" for member in members)
        mean = float(network.calibration.threshold)
        logger.info("threshold of the ensemble: %.3f, the mean of its members' (%s)", mean, each)


class LoadWeights:
    """Loads the weights of a results folder when the engine starts, and refuses those of another configuration.

    Args:
        network: the network that the engine runs.
        path: file of a flat state dict, e.g. ``models/model.pt``; for an `Ensemble`, one per member.
    """

    def __init__(self, network: nn.Module, path: str | Path | Sequence[str]) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Load at the start of each run of `engine`."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, _: Engine) -> None:
        """Load the weights (see `load_trained`)."""
        if isinstance(self.path, str | Path):
            load_trained(self.network, self.path)
            return
        load_members(self.network, self.path)
