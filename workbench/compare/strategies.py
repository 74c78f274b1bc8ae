# SPDX-License-Identifier: Apache-2.0
"""Configuration of the trainings: train.yaml, the user's settings, and a strategy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser
from scripts.engines.network import check_grid
from scripts.files.atomic import write_text
from scripts.files.errors import message_of
from scripts.files.plain_text import check_from_data, listing
from scripts.files.run_folder import contents
from scripts.keys.key_types import content_of
from torch import nn

SETTINGS = "settings.yaml"
RECORD = "comparison.json"


def user_settings(config: Mapping[str, Any], own: Iterable[str]) -> dict[str, Any]:
    """Return the user's settings for the trainings: the merged configuration without compare.yaml's own keys.

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
    """Return a parser of the configuration of a training, with which it is checked before any training starts.

    Args:
        overlay: fragment of a strategy.
    """
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "train.yaml")
    parser.update(json.loads(json.dumps(settings)))
    if overlay is not None:
        parser.update(ConfigParser.load_config_file(overlay))
    parser["bundle_root"] = str(bundle)
    return parser


def check_record(folder: Path, record: Mapping[str, Any], name: str = RECORD) -> None:
    """Make sure that a results folder holds one comparison only, and record which.

    Args:
        record: what the trainings depend on, except strategy, repeat and seed, which identify a training.
        name: of its file.

    Raises:
        ValueError: the folder holds another comparison (names the keys that differ), or something else.
    """
    file = folder / name
    if not file.is_file():
        if contents(folder):
            raise ValueError(f"results folder {folder} holds something other than a comparison; give another --name")
        write_text(file, json.dumps(record, indent=2) + "\n")
        return
    before, now = json.loads(file.read_text(encoding="utf-8")), json.loads(json.dumps(record))
    differing = [key for key in sorted(set(before) | set(now)) if before.get(key) != now.get(key)]
    if differing:
        raise ValueError(
            f"results folder {folder} holds a comparison with other values of {', '.join(differing)}; give "
            "the same values to go on with it, or another --name"
        )


SINGLE = "single_"  # Prefix of the baselines of single phases, followed by the name of the phase
TABLE = "table"
REGRESSION = "logistic_regression"
FOREST = "random_forest"
AUTO = "auto"  # chooses one of several, see `workbench.compare.auto`


def contenders(
    strategies: Sequence[str],
    phases: Sequence[str],
    clinical: Sequence[Any],
    measured: bool = False,
    chosen: Sequence[str] | None = None,
) -> list[str]:
    """Return the strategies followed by the baselines, each once.

    The baselines are every single phase and, if there is a clinical table, the table alone, by a network, by
    logistic regression and by a random forest.

    Args:
        measured: measures of outlines are in the table: those of every single phase are baselines, too.
        chosen: the baselines that are wanted; None: all.

    Raises:
        ValueError: one that is not among them.

    >>> contenders(["concat", "single_ed"], ["ed", "es"], ["age"])
    ['concat', 'single_ed', 'single_es', 'table', 'logistic_regression', 'random_forest']
    """
    baselines = [SINGLE + phase for phase in phases]
    if clinical or measured:
        baselines += [TABLE, REGRESSION, FOREST]
    if measured:
        baselines += [f"{model}_{phase}" for model in (REGRESSION, FOREST) for phase in phases]
    if chosen is not None:
        for name in chosen:
            if name not in baselines:
                raise ValueError(f"`compared_with`: {name!r} is not among {listing(name, baselines)}; correct it")
        baselines = list(chosen)
    return list(dict.fromkeys([*strategies, *baselines]))


def table_model(strategy: str) -> str | None:
    """Return which model of scikit-learn a contender is, None for a network.

    >>> table_model("random_forest_es"), table_model("concat")
    ('random_forest', None)
    """
    return next((name for name in (REGRESSION, FOREST) if f"{strategy}_".startswith(f"{name}_")), None)


def phase_of(strategy: str, phases: Sequence[str]) -> str | None:
    """Return the phase of a contender that sees a single one.

    >>> phase_of("single_es", ["ed", "es"]), phase_of("random_forest", ["ed", "es"])
    ('es', None)
    """
    prefixes = (SINGLE, f"{REGRESSION}_", f"{FOREST}_")
    return next((phase for phase in phases for prefix in prefixes if strategy == prefix + phase), None)


def overlay_of(bundle: Path, strategy: str) -> Path:
    """Return the fragment of a strategy; all single phases share one."""
    name = SINGLE[:-1] if strategy.startswith(SINGLE) else strategy
    return bundle / "configs" / "fusion" / f"{name}.yaml"


def overrides_of(strategy: str) -> dict[str, str]:
    """Return the settings of a strategy beyond its fragment: for a single phase, its name."""
    return {"single_phase": strategy.removeprefix(SINGLE)} if strategy.startswith(SINGLE) else {}


def check_strategies(
    bundle: Path, settings: Mapping[str, Any], strategies: Sequence[str], phases: Sequence[str]
) -> None:
    """Build the network of every strategy once, so that mistakes are found before the first training.

    Args:
        strategies: names of fragments, ``single_<phase>``, ``logistic_regression`` or ``random_forest``.

    Raises:
        ValueError: an unknown strategy or phase, no columns for a strategy that needs the table, or settings that
            a part of a network refuses.
    """
    if isinstance(strategies, str) or not all(isinstance(name, str) for name in strategies):
        raise ValueError(f"`strategies` must be a list of names, found {strategies!r}")
    fragments = sorted(path.stem for path in (bundle / "configs" / "fusion").glob("*.yaml"))
    known = [name for name in fragments if name != SINGLE[:-1]]
    known += [*(SINGLE + phase for phase in phases), REGRESSION, FOREST]
    known += [f"{model}_{phase}" for model in (REGRESSION, FOREST) for phase in phases]
    for strategy in strategies:
        if strategy not in known:
            raise ValueError(f"strategy {strategy!r} is not among {listing(strategy, known)}; correct `strategies`")
        if table_model(strategy):
            if not settings.get("clinical"):
                raise ValueError(f"{strategy} reads the clinical table: name its columns in `clinical`")
            continue
        parser = training_parser(bundle, settings, overlay_of(bundle, strategy))
        parser.update(overrides_of(strategy))
        try:
            network: nn.Module = parser.get_parsed_content("network_def")
            check_grid(network, parser.get_parsed_content("grid_size"))
        except Exception as error:
            message = message_of(error)
            if message is None:
                raise
            raise ValueError(f"strategy {strategy}: {message}") from None
