# SPDX-License-Identifier: Apache-2.0
"""Which measures there are, with units, and the names of their columns in a clinical table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations

from scripts.cases.clinical import Column
from scripts.files.plain_text import listing

SHAPE = {"volume": "ml", "surface": "cm2", "sphericity": "", "elongation": "", "flatness": "", "diameter": "mm"}
WALL = {"thickness": "mm", "thickness_max": "mm"}
INTENSITY = {"mean": "", "sd": "", "p10": "", "p50": "", "p90": ""}
"""Of the voxels of a structure, in the unit of the image: mean, standard deviation, percentiles."""
CHANGE = {"volume_change": "percent", "shift": "mm"}
CONTRAST = {"enhancement": "", "relative_enhancement": "percent"}
WASHOUT = {"washout": "percent", "absolute_washout": "percent"}
UNITS = SHAPE | WALL | INTENSITY | CHANGE | CONTRAST | WASHOUT
"""Kind of measure -> its unit, "" where it has none of its own."""
USUAL = ("volume", "sphericity", "diameter", "thickness", "volume_change", "mean", "sd", "enhancement", "washout")
"""Kinds that become columns where nothing else is asked for, as far as they can be measured."""


@dataclass(frozen=True)
class Measured:
    """What is measured in a dataset."""

    structures: Sequence[str]  # names of the masks' values 1, 2, ...
    phases: Sequence[str]  # whose images are read, in order
    # phases that have a mask of their own, in order; none where each case has one mask
    masks: Sequence[str] = ()
    walls: Sequence[str] = ()  # structures whose thickness is measured
    baseline: str | None = None  # phase without contrast, if any


def what_is_measured(
    structures: Sequence[str], phases: Sequence[str], masks: Sequence[str], walls: Sequence[str], baseline: str | None
) -> Measured:
    """Return what is measured; arguments as of `Measured`.

    Raises:
        ValueError: a wall that is no structure, or a baseline that is no phase.
    """
    for wall in walls:
        if wall not in structures:
            raise ValueError(f"`walls`: {wall!r} is not among the structures {listing(wall, structures)}; correct it")
    if baseline is not None and baseline not in phases:
        raise ValueError(f"`baseline`: {baseline!r} is not among the phases {listing(baseline, phases)}; correct it")
    return Measured(list(structures), list(phases), list(masks), list(walls), baseline)


@dataclass(frozen=True)
class Measure:
    """One measure: a column of measures.csv."""

    structure: str
    kind: str  # of `UNITS`
    phases: tuple[str, ...] = ()  # none (of the one mask of a case), one, or two that are compared

    @property
    def name(self) -> str:
        """Name of the column, e.g. left_ventricle_ed_volume or lesion_arterial_portal_washout."""
        return "_".join(plain(part) for part in (self.structure, *self.phases, self.kind))

    @property
    def header(self) -> str:
        """Name with the unit, e.g. left_ventricle_ed_volume [ml]."""
        return f"{self.name} [{UNITS[self.kind]}]" if UNITS[self.kind] else self.name

    @property
    def column(self) -> Column:
        """Its declaration as a clinical column."""
        return {"name": self.name, "kind": "number"} | ({"unit": UNITS[self.kind]} if UNITS[self.kind] else {})


def plain(name: str) -> str:
    """Return a name for columns, which people type: words of letters and digits, joined by underscores.

    >>> plain("left ventricle"), plain("T1 (post)")
    ('left_ventricle', 'T1_post')
    """
    return re.sub(r"\W+", "_", name).strip("_") or "unnamed"


def all_measures(measured: Measured) -> list[Measure]:
    """Return every measure of a dataset, in the order of the table: structure by structure, phase by phase.

    Raises:
        ValueError: two measures of one name, e.g. of the structures 'left ventricle' and 'left_ventricle'.
    """
    found = [measure for structure in measured.structures for measure in _of_structure(structure, measured)]
    names = [measure.name for measure in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(
            f"names of structures and phases must differ in more than signs and spaces, found two measures "
            f"{twice!r} in [{', '.join(measured.structures)}] and [{', '.join(measured.phases)}]; rename one"
        )
    return found


def _of_structure(structure: str, measured: Measured) -> Iterator[Measure]:
    sizes = [*SHAPE, *(WALL if structure in measured.walls else ())]
    imaged = measured.masks or measured.phases
    masks: list[tuple[str, ...]] = [(phase,) for phase in measured.masks]
    for mask in masks or [()]:
        yield from (Measure(structure, kind, mask) for kind in sizes)
    for phase in imaged:
        yield from (Measure(structure, kind, (phase,)) for kind in INTENSITY)
    for pair in combinations(measured.masks, 2):
        yield from (Measure(structure, kind, pair) for kind in CHANGE)
    if measured.baseline in imaged:
        contrast = [phase for phase in imaged if phase != measured.baseline]
        for phase in contrast:
            yield from (Measure(structure, kind, (phase,)) for kind in CONTRAST)
        for pair in combinations(contrast, 2):
            yield from (Measure(structure, kind, pair) for kind in WASHOUT)


def chosen_measures(wanted: Sequence[str] | None, known: Sequence[Measure]) -> list[Measure]:
    """Return the measures that are wanted, in the order of the table.

    Args:
        wanted: kinds (volume), columns (left_ventricle_ed_volume) or patterns of these (*_ed_*); None: `USUAL`.

    Raises:
        ValueError: one that fits no measure; names the nearest.

    >>> known = all_measures(Measured(["lv"], ["ed", "es"], ["ed", "es"]))
    >>> [measure.name for measure in chosen_measures(["volume_change", "*_es_vol*"], known)]
    ['lv_es_volume', 'lv_ed_es_volume_change']
    """
    if wanted is None:
        return [measure for measure in known if measure.kind in USUAL]
    for pattern in wanted:
        if any(_fits(measure, pattern) for measure in known):
            continue
        if pattern in WALL:
            rule = "needs the names of walls: give e.g. --walls \"['muscle']\""
        elif pattern in CHANGE:
            rule = "needs one mask for each phase, found one for each case"
        elif pattern in CONTRAST | WASHOUT:
            rule = "needs the phase without contrast (--baseline PHASE) and another, two for wash-out"
        else:
            names = [*dict.fromkeys(measure.kind for measure in known), *(measure.name for measure in known)]
            nearest = listing(pattern, names).partition("] ")[2]
            kinds = ", ".join(dict.fromkeys(measure.kind for measure in known))
            rule = f"must be one of [{kinds}], a column of measures.csv, or a pattern of such names"
            raise ValueError(f"`measures`: {pattern!r} {rule} {nearest}".rstrip() + "; correct `measures`")
        raise ValueError(f"`measures`: {pattern!r} {rule}; or take it out of `measures`")
    return [measure for measure in known if any(_fits(measure, pattern) for pattern in wanted)]


def _fits(measure: Measure, pattern: str) -> bool:
    return measure.kind == pattern or fnmatchcase(measure.name, pattern)


Values = Mapping[Measure, float | None]
"""The measures of one case; None where one is undefined, or its mask or phase is missing."""
