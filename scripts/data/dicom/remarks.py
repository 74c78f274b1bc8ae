"""What a user must know of the values of a volume: what they are in, and what the header leaves open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from scripts.data.note import note

from .stacks import Stack

APART = 1.5
"""Times their thickness by which slices lie apart where some may be lost."""


def unit_of(stack: Stack) -> str:
    """Return the unit of a volume's voxels: HU, BQML, ...; "" where the header says none."""
    scale = stack.first.scale
    if scale.unit or scale.real:
        return scale.unit or f"stored numbers of {scale.real}"
    if stack.first.modality == "CT":
        return (scale.kind or "HU") if scale.slope is not None else "stored numbers"
    return scale.kind if scale.kind not in ("US", "UNSPECIFIED", "NORMALIZED") else ""


def remarks_of(stack: Stack) -> list[str]:
    """Return one line for each thing that may make the values other than they seem."""
    image = stack.first
    unit = unit_of(stack)
    found = []
    if image.modality == "CT" and unit != "HU":
        found.append(f"CT, but its values are not said to be HU, found {unit!r}; they are taken as they are")
    if image.scale.real:
        found.append(
            f"values are stored numbers; that 1 of them is {image.scale.real}, as its header says, is not "
            "applied"
        )
    if image.modality == "PT":
        found.append(f"PET in {unit or 'no stated unit'}; values are not converted to SUV")
    if any(one.scale.inverted for one in stack.slices) and image.modality not in ("CT", "PT"):
        found.append(
            "meant to be shown with low values white (MONOCHROME1); the values are kept, not inverted"
        )
    numbers = sorted(one.instance for one in stack.slices if one.instance is not None)
    if len(set(numbers)) == len(stack.slices):
        steps = {after - before for before, after in pairwise(numbers)}
        if len(steps) > 1 and 1 in steps:
            lost = [str(n) for n in range(numbers[0], numbers[-1]) if n not in set(numbers)]
            found.append(note("evenly spaced, but instance numbers are not there", lost))
        thick, apart = image.thickness or 0.0, _distance(stack)
        if len(steps) == 1 and max(steps) > 1 and apart > APART * thick > 0:
            found.append(
                f"slices of {thick:g} mm lie {apart:.4g} mm apart, and only one in {max(steps)} instance "
                "numbers is there; others may be lost"
            )
    return found


def _distance(stack: Stack) -> float:
    """Return the distance from slice to slice in mm, 0 where they make no volume."""
    return 0.0 if stack.affine is None else float(np.linalg.norm(stack.affine[:3, 2]))


def mixed_units(volumes: Iterable[tuple[str, str, Stack]]) -> list[str]:
    """Return one line for each phase whose volumes are in different units.

    Args:
        volumes: name of the case, phase, volume.
    """
    by_phase: dict[str, dict[str, list[str]]] = {}
    for case, phase, stack in volumes:
        by_phase.setdefault(phase, {}).setdefault(unit_of(stack) or "no stated unit", []).append(case)
    return [
        f"phase {phase!r} is in different units: {_cases(units)}"
        for phase, units in by_phase.items()
        if len(units) > 1
    ]


def _cases(units: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(note(unit, cases) for unit, cases in units.items())
