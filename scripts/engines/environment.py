"""What a result depends on beside its configuration."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from scripts.evaluation import describe_machine


def environment(device: str | torch.device) -> dict[str, Any]:
    """Return versions, machine, threads, the command and the date (UTC), as a results folder records them.

    Args:
        device: where the network runs.
    """
    return {
        **describe_machine(str(device)),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
