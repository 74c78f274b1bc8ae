"""Refuses keys that nothing in the configuration reads: MONAI itself silently accepts a misspelt override."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from scripts import BUNDLE
from scripts.keys.declared import COMMANDS, TOOLS, UNREAD
from scripts.keys.key_types import content_in, content_of

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
def known_keys(configs: Path, command: str | None = None) -> frozenset[str]:
    """Return every top-level key of the YAML files below `configs`; of a tool, those of its own files."""
    if command in TOOLS:
        contents = [content_in(configs, name) for name in COMMANDS[str(command)]]
    else:
        files = [
            *configs.rglob("*.yaml"),
            *(BUNDLE / "configs" / name for name in COMMANDS.get(command or "", ())),
        ]
        contents = [content_of(file) for file in files]
    return frozenset(str(key).partition("#")[0].lstrip("+") for content in contents for key in content)


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
    if run_id not in COMMANDS:
        return
    read = set(_REFERENCE.findall(json.dumps(config, default=str)))
    read |= {key for file in COMMANDS[run_id] for key in content_in(configs, file)}
    read -= UNREAD.get(run_id, frozenset())
    for key in typed:
        if key in read:
            continue
        others = [
            name
            for name, files in COMMANDS.items()
            if key in content_in(configs, files[-1]) and name != run_id
        ]
        if others:
            names = " and ".join(sorted(others))
            raise ValueError(f"--{key} is a key of {names}; {run_id} does not read it: leave it out")
        owners = [file for file in sorted(configs.glob("*/*.yaml")) if key in content_of(file)]
        if owners:
            raise ValueError(
                f"--{key} is a key of configs/{owners[0].relative_to(configs)}, which is not among the files "
                "of this run; name it behind the others in --config_file"
            )


def check_values(config: dict[str, Any]) -> None:
    """Refuse values that contradict each other.

    Raises:
        ValueError: names the keys and their values.

    >>> check_values({"max_epochs": 1, "val_interval": 5, "val_by_epoch": True})
    Traceback (most recent call last):
    ValueError: val_interval must be at most max_epochs, found 5 and 1: nothing is validated; correct one
    """
    interval, epochs = config.get("val_interval"), config.get("max_epochs")
    both = isinstance(interval, int) and isinstance(epochs, int)
    if both and config.get("val_by_epoch") is True and interval > epochs:  # type: ignore[operator]
        raise ValueError(
            f"val_interval must be at most max_epochs, found {interval} and {epochs}: nothing is "
            "validated; correct one"
        )


def check_order(files: Sequence[str | Path]) -> None:
    """Refuse an overlay that a complete configuration behind it undoes.

    Args:
        files: in the order in which they are merged; what cannot be read is MONAI's to tell.

    Raises:
        ValueError: names both files, and the keys that are undone.
    """
    contents = [
        (Path(file), content_of(Path(file))) for file in files if Path(file).suffix in (".yaml", ".yml")
    ]
    for position, (file, content) in enumerate(contents):
        for earlier, before in contents[:position]:
            undone = [key for key, value in before.items() if key in content and content[key] != value]
            if "imports" in content and "imports" not in before and undone:
                raise ValueError(
                    f"{earlier} must be named behind {file}, which sets {', '.join(undone[:3])} again and so "
                    "undoes it; change their order in --config_file"
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
