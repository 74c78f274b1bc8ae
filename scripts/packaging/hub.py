"""What `monai.bundle.push_to_hf_hub` would send to the Hugging Face Hub."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import patch


class _Listing:
    """Stands in for ``huggingface_hub`` and its client: takes note of the files and sends nothing."""

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
    """Return the files that pushing a bundle would send, by running MONAI's own push without a network.

    MONAI adds ``README.md``: the model card with the tags that the Hub reads. Neither a token nor the package
    ``huggingface_hub`` is needed.

    Args:
        file: zip of the bundle.
        repo: the repository on the Hub, ``owner/name``.

    Returns:
        Size in bytes by name.

    Raises:
        ValueError: when `repo` is not of the form ``owner/name``.
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
