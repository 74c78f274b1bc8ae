"""metrics.json: the figures of one evaluation together with what produced them."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scripts.evaluation.atomic import write_text
from scripts.evaluation.interval import Interval

_BOUNDS = re.compile(r"\[\s+([-\d.e]+),\s+([-\d.e]+)\s+\]")  # of an interval, kept on one line
PACKAGES = ("torch", "monai", "numpy", "scipy", "scikit-learn", "pytorch-ignite")


def write_metrics(
    path: str | Path,
    rows: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    name: str,
    seed: int | None = None,
    intervals: Mapping[str, Interval] | None = None,
    device: str = "cpu",
    at_threshold: Mapping[str, Any] | None = None,
    calibration: Mapping[str, float] | None = None,
    positive: str | None = None,
) -> Path:
    """Write the rows of `classification_table` with seed, class names, versions, machine and thread count.

    The file has the keys name, n, classes, positive, seed, macro (a row), per_class (rows), at_threshold,
    calibration, intervals (of the macro row, with how they were got), threads, machine and versions. It holds
    no time and no path, so that the same run gives the same bytes; undefined metrics are null.

    Args:
        path: the file; complete or untouched, never half-written.
        rows: one per class, then the macro row.
        classes: K class names.
        name: what was evaluated, e.g. "test".
        seed: of the run that is evaluated.
        intervals: of the macro row, from `confidence_intervals`.
        device: on which the network ran.
        at_threshold: from `threshold_row`; null with more than two classes.
        calibration: temperature, and Brier score and calibration error before and after; null where the
            model's temperature is not known.
        positive: name of the positive one of two classes; null with more.

    Raises:
        ValueError: the folder cannot be written.
    """
    *per_class, macro = rows
    content = {
        "name": name,
        "n": macro["n"],
        "classes": list(classes),
        "positive": positive,
        "seed": seed,
        "macro": macro,
        "per_class": per_class,
        "at_threshold": at_threshold,
        "calibration": calibration,
        "intervals": {metric: interval.as_dict() for metric, interval in (intervals or {}).items()},
        **describe_machine(device),
    }

    text = json.dumps(content, indent=2, allow_nan=False)
    return write_text(path, _BOUNDS.sub(r"[\1, \2]", text) + "\n")


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """Return threads, machine (system, processor, cores, device) and versions; no names of hosts or users."""
    import os

    import torch

    on_gpu = device.startswith("cuda") and torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "device": torch.cuda.get_device_name(device) if on_gpu else device,
        },
        "versions": {
            "python": platform.python_version(),
            **{package: _version(package) for package in PACKAGES},
        },
    }


def _processor() -> str:
    """Return the processor's marketing name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _version(package: str) -> str | None:
    """Return the installed version of a package, None when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
