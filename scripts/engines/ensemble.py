"""The folders of several trained models, e.g. one per fold, that predict together."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path


def ensemble_folders(ensemble: str | Sequence[str]) -> list[str]:
    """Return the folders that an ensemble names, in order.

    Args:
        ensemble: results folders, or patterns of them such as ``results/cmp/jobs/concat_*``.

    Raises:
        FileNotFoundError: a name that no folder has.
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


def model_files(bundle_root: str | Path, ensemble: str | Sequence[str] = ()) -> str | list[str]:
    """Return the weights file of a trained bundle, or those of all members of an ensemble."""
    if not ensemble:
        return f"{bundle_root}/models/model.pt"
    return [f"{folder}/models/model.pt" for folder in ensemble_folders(ensemble)]
