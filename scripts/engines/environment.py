# SPDX-License-Identifier: Apache-2.0
"""The environment of a run (machine, versions, git revision, command), and metrics.json, which records it."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from scripts import BUNDLE
from scripts.files.atomic import write_text
from scripts.metrics.interval import Interval


def git_revision(package: Path = BUNDLE / "scripts") -> dict[str, Any]:
    """Return the commit that the running code belongs to, and whether the code has changed since.

    A copy of the code that git does not track, as in a results folder or an unpacked zip, has no revision, even
    inside the folder of some repository. Never fails: without git, everything is None.

    Args:
        package: folder of the code.

    Returns:
        revision (40 or 64 hexadecimal digits, or None) and dirty (True if a file of the package or of the
        configurations beside it differs from the commit, or is new; None without a revision).
    """
    absent = {"revision": None, "dirty": None}
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return absent
    revision = _git(package, "rev-parse", "HEAD")
    changed = _git(package, "status", "--porcelain", "--", ".", "../configs")
    if revision is None or changed is None:
        return absent
    return {"revision": revision, "dirty": changed != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return the output of git, or None if it is not installed or fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # only reads, and never waits for another git
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


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
    prediction_sets: Mapping[str, Any] | None = None,
    subgroups: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the rows of `classification_table` with seed, class names, versions, machine and thread count.

    The file has the keys name, n, classes, positive, seed, macro (a row), per_class (rows), at_threshold,
    calibration, intervals (of the macro row, with the method behind each), threads, machine and versions. It
    holds no time and no path, so that the same run gives the same bytes; undefined metrics are null.

    Args:
        path: the file; complete or untouched, never half-written.
        rows: one per class, then the macro row.
        classes: K class names.
        name: what was evaluated, e.g. "test".
        seed: seed of the evaluated run.
        intervals: intervals of the macro row, from `confidence_intervals`.
        device: device on which the network ran.
        at_threshold: from `threshold_row`; null with more than two classes.
        calibration: temperature, and the scores before and after the division by it; null if the model's
            temperature is not known.
        positive: name of the positive one of two classes; null with more.
        prediction_sets: from `set_scores`; left out where there is no evidence for any.
        subgroups: from `compare_groups`; left out where there are none.

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
        **({} if prediction_sets is None else {"prediction_sets": prediction_sets}),
        **({"subgroups": subgroups} if subgroups else {}),
        **describe_machine(device),
    }

    text = json.dumps(content, indent=2, allow_nan=False)
    return write_text(path, _BOUNDS.sub(r"[\1, \2]", text) + "\n")


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """Return threads, machine (system, processor, cores, device) and versions; no names of hosts or users."""
    on_gpu = device.startswith("cuda") and torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "device": torch.cuda.get_device_name(device) if on_gpu else device,
        },
        "versions": {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}},
    }


def _processor() -> str:
    """Return the model name of the processor, if the system provides it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _version(package: str) -> str | None:
    """Return the installed version of a package, or None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def environment(device: str | torch.device) -> dict[str, Any]:
    """Return versions, machine, threads, git revision, command and date (UTC), to be recorded.

    The command contains neither home folder nor user nor host (see `without_person`).

    Args:
        device: where the network runs.
    """
    return {
        **describe_machine(str(device)),
        "git": git_revision(),
        "command": without_person([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


START, END = r"(?<![\w.~-])", r"(?![\w-]|\.\w)"
"""Patterns for the start of a path and for the end of a folder's name."""


def without_person(value: Any) -> Any:
    """Return a text, or all texts in lists and mappings, without home folder, user and host.

    In addition to `without_home`, ``user`` replaces any other folder with the user's name, and ``host`` the
    machine's name in an address.
    """
    if isinstance(value, dict):
        return {key: without_person(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_person(item) for item in value)
    if not isinstance(value, str):
        return value
    text = without_home(value)
    with suppress(OSError, KeyError):  # a user id without a name
        text = re.sub(rf"(?<=[/\\]){re.escape(getpass.getuser())}(?=[/\\])", "user", text)
    host = re.escape(socket.gethostname())
    return re.sub(rf"(?<=//){host}(?=[.:/])|(?<![\w./-]){host}(?=:\d)", "host", text)


def without_home(text: str, bundle: Path = BUNDLE) -> str:
    """Return a text in which paths below a bundle are relative to it, and ``~`` replaces the home folder.

    >>> without_home(f"['{BUNDLE}/configs/train.yaml'] {Path.home()}/liver")
    "['configs/train.yaml'] ~/liver"
    """
    if bundle != Path(bundle.anchor):
        root = START + re.escape(str(bundle))
        text = re.sub(rf"{root}{END}(?![/\\]\w)", ".", re.sub(rf"{root}[/\\](?=[\w.])", "", text))
    with suppress(RuntimeError):  # a user without a home folder
        for home in sorted({Path.home(), Path.home().resolve()}):
            if home != Path(home.anchor):
                text = re.sub(rf"{START}{re.escape(str(home))}{END}", "~", text)
    return text
