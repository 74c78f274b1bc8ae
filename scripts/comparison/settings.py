"""The configuration of the trainings: train.yaml, the user's settings, and a strategy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from scripts.data.plain_text import check_from_data
from scripts.evaluation.atomic import write_text
from scripts.evaluation.run_folder import contents
from scripts.keys.key_types import content_of

SETTINGS = "settings.yaml"
RECORD = "comparison.json"


def user_settings(config: Mapping[str, Any], own: Iterable[str]) -> dict[str, Any]:
    """Return what the user set for the trainings: the merged configuration without compare.yaml's own keys.

    >>> user_settings({"folds": 5, "max_epochs": 20}, own=["folds", "repeats"])
    {'max_epochs': 20}
    """
    own = set(own)
    return {key: value for key, value in config.items() if key not in own}


def own_keys(bundle: Path) -> frozenset[str]:
    """Return the top-level keys of compare.yaml."""
    return frozenset(content_of(bundle / "configs" / "compare.yaml"))


def write_settings(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Write the user's settings as an overlay for train.yaml."""
    check_from_data(settings, SETTINGS)
    text = yaml.safe_dump(json.loads(json.dumps(settings)), sort_keys=False, width=110, allow_unicode=True)
    title = "# Overlay on train.yaml: what was set for all trainings of this comparison\n\n"
    return write_text(folder / SETTINGS, title + text)


def training_parser(bundle: Path, settings: Mapping[str, Any], overlay: Path | None = None) -> ConfigParser:
    """Read the configuration of a training, to look at it before any training starts.

    Args:
        bundle: folder of this bundle.
        settings: the user's settings.
        overlay: fragment of a strategy.
    """
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "train.yaml")
    parser.update(json.loads(json.dumps(settings)))
    if overlay is not None:
        parser.update(ConfigParser.load_config_file(overlay))
    parser["bundle_root"] = str(bundle)
    return parser


def check_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Let a results folder hold one comparison only: refuse it where it holds another one.

    Args:
        folder: results folder of the comparison.
        record: what the trainings depend on, beside strategy, repeat and seed, which name a training.

    Raises:
        ValueError: naming the keys that differ, or when the folder holds something else.
    """
    file = folder / RECORD
    if not file.is_file():
        if contents(folder):
            raise ValueError(
                f"results folder {folder} holds something other than a comparison; give another --name"
            )
        write_text(file, json.dumps(record, indent=2) + "\n")
        return
    before, now = json.loads(file.read_text(encoding="utf-8")), json.loads(json.dumps(record))
    differing = [key for key in sorted(set(before) | set(now)) if before.get(key) != now.get(key)]
    if differing:
        raise ValueError(
            f"results folder {folder} holds a comparison with other values of {', '.join(differing)}; give "
            "the same values to go on with it, or another --name"
        )
