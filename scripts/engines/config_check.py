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
_REFERENCE = re.compile(r"[@%](\w+)")


@cache
def known_keys(configs: Path) -> frozenset[str]:
    """Return every top-level key of the YAML files below `configs`."""
    keys: set[str] = set()
    for file in sorted(configs.rglob("*.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        keys.update(str(key).partition("#")[0].lstrip("+") for key in content or {})
    return frozenset(keys)


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
