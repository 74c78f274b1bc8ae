"""Refuses keys that nothing in the configuration reads: MONAI itself silently accepts a misspelt override."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scripts.data.nearest import listing
from scripts.data.plain_text import is_reference
from scripts.data.splits import SPLITS

# What MONAI's experiment tracking adds to a configuration.
TRACKING_KEYS = frozenset(
    [
        "experiment_name",
        "run_name",
        "tracking_uri",
        "save_execute_config",
        "is_not_rank0",
        "experiment_params",
        "artifacts",
    ]
)
# Commands, and the one whose file stands in front of theirs.
BASES = {
    "training": "",
    "evaluating": "training",
    "comparing": "training",
    "inferring": "",
    "explaining": "inferring",
    "exporting": "inferring",
    "predicting": "inferring",
    "preparing": "",
    "checking": "",
    "reporting": "",
}
_REFERENCE = re.compile(r"[@%](\w+)")


@cache
def content_of(file: Path) -> dict[str, Any]:
    """Return what a configuration file of the bundle holds; it is read once in a process."""
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}


@cache
def known_keys(configs: Path) -> frozenset[str]:
    """Return every top-level key of the YAML files below `configs`."""
    files = sorted(configs.rglob("*.yaml"))
    return frozenset(str(key).partition("#")[0].lstrip("+") for file in files for key in content_of(file))


def check_command(typed: Iterable[str], config: dict[str, Any], configs: Path, run_id: str | None) -> None:
    """Refuse a typed key that only another command reads, e.g. `--folds 5` for a training.

    Args:
        typed: keys of the command line.
        config: merged configuration; what it refers to is read.
        configs: the bundle's configs folder.
        run_id: the key that is being run.

    Raises:
        ValueError: names the key and the commands that read it.
    """
    others: dict[str, set[str]] = {}
    read = set(_REFERENCE.findall(json.dumps(config, default=str)))
    for file in sorted(configs.rglob("*.yaml")):
        content = content_of(file)
        commands = BASES.keys() & content
        if not commands or {run_id, BASES.get(run_id or "")} & commands:
            read |= {str(key) for key in content}
        else:
            for key in content:
                others.setdefault(str(key), set()).update(commands)
    for key in typed:
        if run_id in BASES and key in others and key not in read:
            names = " and ".join(sorted(others[key]))
            raise ValueError(f"--{key} is a key of {names}; {run_id} does not read it: leave it out")


def check_values(config: dict[str, Any]) -> None:
    """Refuse values that a run would stumble over late.

    Raises:
        ValueError: names key and value.

    >>> check_values({"max_epochs": 0})
    Traceback (most recent call last):
    ValueError: max_epochs must be a whole number of at least 1, found 0; correct it
    """
    for key, least, most in (("max_epochs", 1, 10**9), ("seed", 0, 2**32 - 1)):
        value = config.get(key)
        if isinstance(value, int) and not least <= value <= most:
            limit = f"of at least {least}" if value < least else f"up to {most}"
            raise ValueError(f"{key} must be a whole number {limit}, found {value}; correct it")
    split = config.get("split", SPLITS[0])
    if split not in SPLITS and not is_reference(split):
        raise ValueError(
            f"split must be one of {listing(str(split), SPLITS)}, found {split!r:.80}; correct it"
        )


def _is_run_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(str(item).startswith("$") for item in value)


def check_keys(config: dict[str, Any], known: Iterable[str], run_id: str | None = None) -> None:
    """Raise for a top-level key that no shipped file declares and no other key refers to.

    Args:
        config: merged configuration.
        known: keys of the shipped configuration files.
        run_id: the key that is being run; it may be the user's own.

    Raises:
        ValueError: naming the unknown key and the nearest known one.

    Example:
        >>> config = {"max_epochs": 3, "max_epoch": 5}
        >>> check_keys(config, known=["max_epochs"])  # doctest: +NORMALIZE_WHITESPACE
        Traceback (most recent call last):
        ValueError: unknown key 'max_epoch': no configuration file declares it and nothing refers to it;
            did you mean 'max_epochs'?
    """
    accepted: set[str | None] = {*known, *TRACKING_KEYS, run_id}
    unknown = [key for key, value in config.items() if key not in accepted and not _is_run_list(value)]
    if not unknown:
        return
    referred = set(_REFERENCE.findall(json.dumps(config, default=str)))
    for key in unknown:
        if key in referred:
            continue
        nearest = difflib.get_close_matches(key, [str(name) for name in accepted if name], n=1, cutoff=0.5)
        hint = f"did you mean '{nearest[0]}'?" if nearest else "the keys are listed in configs/train.yaml"
        raise ValueError(
            f"unknown key '{key}': no configuration file declares it and nothing refers to it; {hint}"
        )
