"""What a result depends on beside its configuration: versions, machine, threads."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "torch", "monai", "numpy", "nibabel", "SimpleITK", "itk", "scikit-learn", "pytorch-ignite", "kornia"
)  # fmt: skip


def processor() -> str:
    """Return the processor's name, e.g. ``AMD EPYC 9B14``."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment() -> dict[str, Any]:
    """Return versions, machine and thread count, as every results folder records them.

    Returns:
        Mapping with ``versions``, ``python``, ``processor``, ``cores``, ``threads`` (of torch, on which the
        last bits of the weights depend), ``device``, ``command`` and ``date`` (UTC).
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "versions": versions,
        "python": platform.python_version(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
