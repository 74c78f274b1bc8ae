"""Which phases of a source are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.files.plain_text import listing
from workbench.prepare.layouts.found import Found


def chosen_phases(found: Found, phases: list[str] | None) -> list[str]:
    """Return the phases to use: those wanted, each of which a case must have, or all that were found."""
    for phase in phases or ():
        if phase not in found.phases or not any(phase in case["image"] for case in found.cases):
            known = sorted({phase for case in found.cases for phase in case["image"]})
            raise ValueError(
                f"phase {phase!r} is not among the phases {listing(phase, known)} of the source; correct "
                "--phases"
            )
    return phases or found.phases


def with_phases(
    cases: Sequence[dict[str, Any]], phases: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Keep the chosen phases, and the cases that have one; also return the names of the other cases."""
    kept, dropped = [], []
    for case in cases:
        image = {phase: case["image"][phase] for phase in phases if phase in case["image"]}
        if image:
            kept.append(case | {"image": image})
        else:
            dropped.append(case["case"])
    return kept, dropped
