"""Which phase a file or folder stands for, where names vary: patterns per phase."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from scripts.data.plain_text import check_safe_names, safe_name


def check_names(names: Any) -> dict[str, list[str]] | None:
    """Return `phase_names` as phase -> patterns, a single pattern as a list of one.

    Raises:
        ValueError: not a mapping of phases to patterns.
    """
    if names is None:
        return None
    good = isinstance(names, Mapping) and names
    checked = {
        str(phase): [value] if isinstance(value, str) else value
        for phase, value in (names.items() if good else ())
    }
    if not good or not all(
        isinstance(value, list | tuple)
        and value
        and all(isinstance(pattern, str) and pattern for pattern in value)
        for value in checked.values()
    ):
        raise ValueError(
            f"phase_names must be patterns per phase, e.g. {{arterial: ['*art*', ap]}}, found {names!r}"
        )
    return {phase: list(value) for phase, value in checked.items()}


def check_found_phases(phases: Sequence[str], names: Mapping[str, Sequence[str]] | None) -> None:
    """Refuse names of phases that a configuration would not give back, with what to write instead.

    Args:
        phases: as they were found.
        names: phase -> patterns by which they were found, empty where names were taken as they are; None
            where the layout takes no `phase_names`.

    Raises:
        ValueError: names each of them.
    """
    instead = "rename them where they come from"
    if names is not None:
        safe = {safe_name(phase): list(names.get(phase, [re.sub("^%", "?", phase)])) for phase in phases}
        argument = shlex.quote(json.dumps(safe, ensure_ascii=False))
        instead = f"rename them, or give --phase_names {argument}" if len(safe) == len(phases) else instead
    check_safe_names(phases, "names of phases", instead)


def phase_of(name: str, names: Mapping[str, Sequence[str]], where: str) -> str | None:
    """Return the phase whose name or pattern fits `name`; an exact fit goes before patterns with * or ?.

    Args:
        name: of a file without its ending, or of a folder; letter case is ignored.
        names: phase -> patterns.
        where: case and file, for messages.

    Returns:
        The phase, or None where nothing fits.

    Raises:
        ValueError: two phases fit.

    >>> names = {"arterial": ["*art*", "ap"], "portal": ["*p"]}
    >>> tuple(phase_of(stem, names, "case a") for stem in ("late_ART", "AP", "t2"))
    ('arterial', 'arterial', None)
    """
    lower = name.lower()
    exact = [phase for phase in names if lower in {phase.lower(), *(text.lower() for text in names[phase])}]
    fitting = exact or [
        phase for phase in names if any(fnmatchcase(lower, pattern.lower()) for pattern in names[phase])
    ]
    if len(fitting) > 1:
        raise ValueError(
            f"{where}: {name!r} must fit one phase, found [{', '.join(fitting)}]; narrow the patterns in "
            "phase_names"
        )
    return fitting[0] if fitting else None
