"""What is compared: the strategies that were asked for, and the baselines that each must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from scripts.data.nearest import listing
from scripts.engines.errors import message_of
from scripts.engines.network import check_grid

from .settings import training_parser

SINGLE = "single_"
"""A single phase is this and the name of the phase."""
TABLE = "table"
REGRESSION = "logistic_regression"


def contenders(strategies: Sequence[str], phases: Sequence[str], clinical: Sequence[Any]) -> list[str]:
    """Return the strategies with the baselines behind them, each once.

    The baselines are every single phase and, where there is a clinical table, the table alone by a network
    and by logistic regression.

    >>> contenders(["concat", "single_ed"], ["ed", "es"], ["age"])
    ['concat', 'single_ed', 'single_es', 'table', 'logistic_regression']
    """
    baselines = [SINGLE + phase for phase in phases]
    if clinical:
        baselines += [TABLE, REGRESSION]
    return list(dict.fromkeys([*strategies, *baselines]))


def overlay_of(bundle: Path, strategy: str) -> Path:
    """Return the fragment of a strategy; that of all single phases is the same."""
    name = SINGLE[:-1] if strategy.startswith(SINGLE) else strategy
    return bundle / "configs" / "fusion" / f"{name}.yaml"


def overrides_of(strategy: str) -> dict[str, str]:
    """Return what a strategy sets beside its fragment: the phase of a single one."""
    return {"single_phase": strategy.removeprefix(SINGLE)} if strategy.startswith(SINGLE) else {}


def check_strategies(
    bundle: Path, settings: Mapping[str, Any], strategies: Sequence[str], phases: Sequence[str]
) -> None:
    """Build the network of every strategy once, so that a mistake shows before the first training.

    Args:
        bundle: folder of this bundle.
        settings: the user's settings.
        strategies: names of fragments, ``single_<phase>`` or ``logistic_regression``.
        phases: the phases of the data.

    Raises:
        ValueError: an unknown strategy or phase, no columns for one that needs the table, or settings that a
            part of a network refuses.
    """
    if isinstance(strategies, str) or not all(isinstance(name, str) for name in strategies):
        raise ValueError(f"`strategies` must be a list of names, found {strategies!r}")
    fragments = sorted(path.stem for path in (bundle / "configs" / "fusion").glob("*.yaml"))
    known = [name for name in fragments if name != SINGLE[:-1]]
    known += [*(SINGLE + phase for phase in phases), REGRESSION]
    for strategy in strategies:
        if strategy not in known:
            raise ValueError(
                f"strategy {strategy!r} is not among {listing(strategy, known)}; correct `strategies`"
            )
        if strategy == REGRESSION:
            if not settings.get("clinical"):
                raise ValueError(f"{REGRESSION} reads the clinical table: name its columns in `clinical`")
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
