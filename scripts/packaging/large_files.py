"""Weights that are too large for the zoo are downloaded from elsewhere."""

from __future__ import annotations

from pathlib import Path

import yaml

from scripts.data.fingerprint import content_hash

LIMIT_BYTES = 25_000_000
WEIGHTS = "models/model.pt"


def move_out_weights(folder: Path, url: str | None) -> None:
    """Replace weights above the zoo's limit of 25 MB by an entry in ``large_files.yml``.

    The entry is what ``python -m monai.bundle download_large_files`` reads: path, url, hash_val, hash_type.

    Args:
        folder: a copy of the bundle; its weights are removed.
        url: where the same file can be downloaded; where it is given, small weights are left out, too.

    Raises:
        ValueError: for large weights without a URL, or any other file above the limit.
    """
    for file in sorted(path for path in folder.rglob("*") if path.stat().st_size > LIMIT_BYTES):
        name = file.relative_to(folder).as_posix()
        if name != WEIGHTS:
            raise ValueError(
                f"{name} has {_megabytes(file)}, and the zoo takes no file above 25 MB; make it smaller"
            )
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
