"""What `train.yaml` says in one line each: how a training begins and ends, and the scores of a validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.engines.ensemble import record
from scripts.engines.output_place import check_output
from scripts.engines.randomness import keep_freed_memory
from scripts.engines.run import finish, start
from scripts.engines.selection import PooledScore


def begin_training(
    bundle_root: str | Path, dataset_dir: str | Path, seed: int, output_dir: str | Path
) -> None:
    """Prepare a training (see `start`), and take its folder (see `check_output`)."""
    start(bundle_root, dataset_dir, seed)
    keep_freed_memory()
    check_output(output_dir)


def end_training(output_dir: str | Path) -> None:
    """Say where the results are (see `finish`); what was trained here is used without being verified."""
    finish(output_dir)
    record(output_dir)


def pooled_scores(rules: Sequence[str]) -> dict[str, PooledScore]:
    """Return the scores of all cases of a validation together, by the names of their rules."""
    return {rule: PooledScore(rule) for rule in rules}
