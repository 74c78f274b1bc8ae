# SPDX-License-Identifier: Apache-2.0
"""Split a series into its volumes: b-values, echoes and time points that share a series are told apart.

A volume is accepted only if it covers every position at which its series has parallel images. What is left over
gets a row of its own in the table, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from workbench.prepare.dicom.alike import (
    CONSTANT,
    THICKNESS,
    WHERE_REPEATED,
    Trait,
    by_direction,
    values_apart,
    words_apart,
)
from workbench.prepare.dicom.geometry import (
    LEAST_SLICES,
    Refused,
    angle_between,
    doubled,
    heights,
    lacking,
    ordered_volume,
    places,
    plane_of,
    turned,
)
from workbench.prepare.dicom.slices import LOCALIZER, Slice


@dataclass(frozen=True)
class Stack:
    """The images of one volume."""

    slices: tuple[Slice, ...]  # in the order of space, unless refused
    affine: np.ndarray | None = None  # voxel index -> mm (RAS), [4, 4]; None where refused
    part: str = ""  # what tells it from the other volumes of its series, or ""
    refused: str = ""  # why it is no volume, or ""

    @property
    def first(self) -> Slice:
        """The image whose tags represent all."""
        return self.slices[0]

    @property
    def seconds(self) -> float | None:
        """Time of the earliest image in s since day 0."""
        return min((image.seconds for image in self.slices if image.seconds is not None), default=None)

    @property
    def plane(self) -> str:
        """Nearest plane, or "" where the images have no orientation."""
        return plane_of(self.first)[0] if self.first.orientation else ""

    @property
    def contrast(self) -> bool:
        """Whether any image names a contrast agent."""
        return any(image.contrast for image in self.slices)


TIMES: list[Callable[[Slice], float | None]] = [
    lambda image: image.temporal_position,
    lambda image: image.trigger_time,
    lambda image: image.seconds,
]


def stacks_of(series: Sequence[Slice]) -> list[Stack]:
    """Return the volumes of one series, each complete and evenly spaced, or refused with the reason."""
    aside = [image for image in series if image.problem == LOCALIZER]
    rest = [image for image in series if image.problem != LOCALIZER]
    found = [Stack(tuple(aside), refused=LOCALIZER)] if aside else []
    faulty = [image for image in rest if image.problem]
    if faulty:
        some = f" ({len(faulty)} of {len(rest)} images, first {faulty[0].name})"
        every = len(faulty) == len(rest)
        return [*found, Stack(tuple(rest), refused=faulty[0].problem + ("" if every else some))]
    for name, own, reason in _apart(rest):
        if reason:
            found.append(Stack(tuple(own), part=name, refused=reason))
            continue
        fields = by_direction(own)
        views = [[_named(stack, name, _view(field, fields)) for stack in _reconstructions(field)] for field in fields]
        found += [_beside(stack, view, views) for view in views for stack in view]
    return found


def _apart(series: Sequence[Slice]) -> list[tuple[str, list[Slice], str]]:
    """Group images by stack of the file and frame of reference: different ones never make one volume.

    Each group comes with a name, and with why it cannot be told apart, or "".
    """
    stacks = Trait(lambda image: image.stack, lambda image: "").groups(series)
    found = []
    for stack in stacks:
        name = f"stack {stack[0].stack}" if len(stacks) > 1 else ""
        frames = Trait(lambda image: image.frame_of_reference, lambda image: "").groups(stack)
        if len(frames) in (1, len(stack)):  # a careless anonymisation gives each image a UID
            found.append((name, stack, ""))
        elif not _repeated(stack):
            found.append((name, stack, f"one range of positions, but in {len(frames)} frames of reference"))
        else:
            found += [(_joined(name, f"frame of reference {place}"), own, "") for place, own in enumerate(frames, 1)]
    return found


def _view(field: Sequence[Slice], fields: Sequence[Sequence[Slice]]) -> str:
    """Return what tells one direction from the others: its plane, or its angle to most images."""
    if len(fields) == 1:
        return ""
    plane = plane_of(field[0])[0]
    if field is fields[0] or plane != plane_of(fields[0][0])[0]:
        return plane
    return f"{plane}, turned by {angle_between(field[0], fields[0][0]):.1f} deg"


def _reconstructions(field: list[Slice]) -> list[Stack]:
    """Return the volumes of parallel images; thick and thin slices of similar extent make two."""
    groups = THICKNESS.groups(field)
    extent = np.ptp(heights(field))
    if len(groups) > 1 and all(np.ptp(heights(group, field[0])) >= extent / 2 for group in groups):
        apart = [_named(stack, THICKNESS.name(group[0])) for group in groups for stack in _volumes(group)]
        whole = _volumes(field)
        if any(stack.refused for stack in whole) and not any(stack.refused for stack in apart):
            return apart
        return whole
    return _volumes(field)


def _volumes(field: list[Slice]) -> list[Stack]:
    """Return the volumes of parallel images."""
    parts = [("", field)]
    for trait in CONSTANT:
        parts = [
            (_joined(name, trait.name(group[0]) if len(groups) > 1 else ""), group)
            for name, slices in parts
            for groups in [_constant(slices, trait)]
            for group in groups
        ]
    stacks = [_named(stack, name) for name, slices in parts for stack in _separate(slices)]
    # a volume must cover every position at which its series has parallel images
    return [_refused(stack, "" if stack.refused else lacking(stack.slices, field)) for stack in stacks]


def _constant(slices: list[Slice], trait: Trait) -> list[list[Slice]]:
    """Return groups that differ in a trait; images that merely lack the tag stay with the others."""
    groups = trait.groups(slices)
    without = [group for group in groups if trait.value(group[0]) is None]
    if without and len(groups) == 2 and not _repeated(slices):
        return [slices]
    return groups


def _separate(slices: list[Slice]) -> list[Stack]:
    """Return one volume, or several where a tag tells images at the same positions apart."""
    try:
        ordered, affine = ordered_volume(slices)
        return [_refused(Stack(tuple(ordered), affine), values_apart(ordered))]
    except Refused as error:
        reason = str(error)
    if not _repeated(slices):
        return [Stack(tuple(slices), refused=reason)]
    for name, trait in WHERE_REPEATED:
        groups = trait.groups(slices)
        if len(groups) > 1 and _mostly_complete(groups, slices):
            return _numbered(name, trait, groups)
    by_rank = _ranked(slices)
    if by_rank:
        return _numbered("time point", None, by_rank)
    if "positions" in reason:
        reason += _parts_of_positions(slices) or f", which no b-value, echo or time tells apart{doubled(slices)}"
    return [Stack(tuple(slices), refused=reason)]


def _parts_of_positions(slices: list[Slice]) -> str:
    """Say which tag divides images into stacks that overlap, each position once in each; else ""."""
    for name, trait in WHERE_REPEATED:
        groups = trait.groups(slices)
        if len(groups) > 1 and all(len(group) >= LEAST_SLICES and not _repeated(group) for group in groups):
            parts = f"{len(groups)} groups by {name} that reach differently far"
            return f": {parts}; export each as a series of its own"
    return ""


def _numbered(name: str, trait: Trait | None, groups: list[list[Slice]]) -> list[Stack]:
    """Return the volumes of each group, named by what tells them apart, or by their number."""
    if name == "kind":
        parts = words_apart(groups)
    else:
        parts = [
            (trait.name(group[0]) if trait else "") or f"{name} {place}" for place, group in enumerate(groups, start=1)
        ]
    return [_named(stack, part) for part, group in zip(parts, groups, strict=True) for stack in _separate(group)]


def _repeated(slices: Sequence[Slice]) -> bool:
    return len(np.unique(places(heights(slices)))) < len(slices)


def _mostly_complete(groups: Sequence[Sequence[Slice]], slices: Sequence[Slice]) -> bool:
    """Whether at least half of the groups lie at all positions: the tag tells volumes, not slices of one."""
    number = dict(zip(map(id, slices), places(heights(slices)), strict=True))
    whole = len(set(number.values()))
    complete = sum(len({number[id(image)] for image in group}) == whole for group in groups)
    return 2 * complete >= len(groups)


def _ranked(slices: list[Slice]) -> list[list[Slice]]:
    """Where each position has the same number of images, return the first of each in time, the second, ..."""
    numbers = places(heights(slices))
    by_place = [[slices[index] for index in np.flatnonzero(numbers == place)] for place in np.unique(numbers)]
    number = len(by_place[0])
    if number < 2 or any(len(images) != number for images in by_place):
        return []
    for time in TIMES:
        times = [[time(image) for image in images] for images in by_place]
        if all(None not in values and len(set(values)) == number for values in times):
            ranked = [sorted(images, key=lambda image: time(image) or 0.0) for images in by_place]
            return [list(group) for group in zip(*ranked, strict=True)]
    return []


def _beside(stack: Stack, view: Sequence[Stack], views: Sequence[Sequence[Stack]]) -> Stack:
    """Refuse a volume if slightly turned images lie between its slices or do not make a volume themselves."""
    for other in views:
        if other is not view and not stack.refused:
            images = [image for one in other for image in one.slices]
            stack = _refused(stack, turned(stack.slices, images, not any(one.refused for one in other)))
    return stack


def _refused(stack: Stack, reason: str) -> Stack:
    return replace(stack, affine=None, refused=reason) if reason else stack


def _named(stack: Stack, *names: str) -> Stack:
    return replace(stack, part=_joined(*names, stack.part))


def _joined(*names: str) -> str:
    return ", ".join(filter(None, names))
