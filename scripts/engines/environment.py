"""What a result depends on beside its configuration."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from scripts.evaluation import describe_machine
from scripts.evaluation.without_person import without_person

from .revision import git_revision


def environment(device: str | torch.device) -> dict[str, Any]:
    """Return versions, machine, threads, git revision, the command and the date (UTC) for the record.

    The command names neither home folder nor user and host (see `without_person`).

    Args:
        device: where the network runs.
    """
    return {
        **describe_machine(str(device)),
        "git": git_revision(),
        "command": without_person([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
