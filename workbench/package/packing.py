# SPDX-License-Identifier: Apache-2.0
"""Packs a bundle's folder into the zip that others unpack."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import yaml
from scripts.engines.twins import write_twins
from scripts.files.run_folder import at_work
from scripts.volumes.fingerprint import content_hash
from workbench.package.contents import copy_contents, write_zip
from workbench.package.model_card import model_card
from workbench.pages import check_own_paths, forget_home, remove_own_paths

# MONAI Label derives the task from this name, and `monai.bundle.load` looks for it.
BUNDLE_NAME = "multiphase_fusion_classification"


def package(bundle_root: Path, output: Path, weights_url: str | None = None) -> Path:
    """Write ``<output>/multiphase_fusion_classification_v<version>.zip`` of a bundle or a results folder.

    The folder itself is not changed. In the zip the JSON twins are up to date, no configuration contains a path
    of this machine, and a bundle without ``docs/README.md`` gets a model card made from its metadata and metrics.

    Args:
        bundle_root: this bundle, or a results folder.
        output: folder of the zip, made if missing.
        weights_url: see `move_out_weights`.

    Returns:
        The zip: the same input gives the same bytes.

    Raises:
        FileNotFoundError: `bundle_root` is no trained bundle.
        ValueError: it holds something that must not be shared, or `output` cannot be written.
    """
    root = bundle_root.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / BUNDLE_NAME
        _refuse_at_work(root)
        copy_contents(root, folder)
        _refuse_at_work(root)
        for file in sorted((folder / "configs").rglob("*.yaml")):
            remove_own_paths(file)
        write_twins(folder / "configs")
        check_own_paths(folder / "configs")
        card = folder / "docs" / "README.md"
        if not card.is_file():
            card.parent.mkdir(exist_ok=True)
            card.write_text(model_card(root), encoding="utf-8")
        forget_home(folder, root)
        version = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))["version"]
        move_out_weights(folder, weights_url)
        return write_zip(folder, output / f"{BUNDLE_NAME}_v{version}.zip")


def _refuse_at_work(root: Path) -> None:
    if who := at_work(root):
        raise ValueError(
            f"{root} must be a folder whose training has ended, found {who} at work there; wait for "
            "its end, or go on with it where it was killed"
        )


LIMIT_BYTES = 25_000_000
WEIGHTS = "models/model.pt"


def move_out_weights(folder: Path, url: str | None) -> None:
    """Replace weights above the zoo's limit of 25 MB by an entry in ``large_files.yml``.

    ``python -m monai.bundle download_large_files`` reads the entry: path, url, hash_val, hash_type.

    Args:
        folder: a copy of the bundle; its weights are removed.
        url: where the same file can be downloaded; if given, small weights are moved out, too.

    Raises:
        ValueError: large weights without a URL, or any other file above the limit.
    """
    for file in sorted(path for path in folder.rglob("*") if path.stat().st_size > LIMIT_BYTES):
        name = file.relative_to(folder).as_posix()
        if name != WEIGHTS:
            raise ValueError(f"{name} has {_megabytes(file)}, and the zoo takes no file above 25 MB; make it smaller")
        if url is None:
            raise ValueError(
                f"{name} has {_megabytes(file)}, and the zoo takes no file above 25 MB: put it where "
                "everyone can download it and give its address: --weights_url, or make bundle WEIGHTS_URL=..."
            )
    if url is None:
        return
    digest = content_hash(folder / WEIGHTS)
    entry = {"path": WEIGHTS, "url": url, "hash_val": digest, "hash_type": "sha256"}
    (folder / "large_files.yml").write_text(
        yaml.safe_dump({"large_files": [entry]}, sort_keys=False, width=float("inf")), encoding="utf-8"
    )
    (folder / WEIGHTS).unlink()


def _megabytes(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.1f} MB"
