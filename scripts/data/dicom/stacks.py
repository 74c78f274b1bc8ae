"""One series, one or several volumes: b-values, echoes and time points that share a series are told apart."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .geometry import LEAST_SLICES, SAME_PLACE, Refused, heights, ordered_volume, plane_of
from .slices import Slice

Key = Callable[[Slice], Hashable]


@dataclass(frozen=True)
class Stack:
    """The images of one volume.

    Attributes:
        slices: in the order of space, unless refused.
        affine: voxel index -> mm (RAS), [4, 4]; None where refused.
        part: what tells it from the other volumes of its series, or "".
        refused: why it is no volume, or "".
    """

    slices: tuple[Slice, ...]
    affine: np.ndarray | None = None
    part: str = ""
    refused: str = ""

    @property
    def first(self) -> Slice:
        """The image whose tags stand for all."""
        return self.slices[0]

    @property
    def seconds(self) -> float | None:
        """Time of day of the earliest image in s."""
        return min((image.seconds for image in self.slices if image.seconds is not None), default=None)

    @property
    def plane(self) -> str:
        """Nearest plane, or "" where the images have no orientation."""
        return plane_of(self.first)[0] if self.first.orientation else ""


ALWAYS: list[tuple[Callable[[Slice], str], Key]] = [
    (lambda image: "{} x {}".format(*image.shape), lambda image: (image.shape, _rounded(image.spacing, 4))),
    (lambda image: plane_of(image)[0], lambda image: _rounded(image.orientation, 2)),
    (lambda image: f"b {image.b_value or 0:g}", lambda image: image.b_value),
    (lambda image: f"echo {image.echo_time or 0:g} ms", lambda image: image.echo_time),
]
"""What never differs within a volume: name of a part, key."""
WHERE_REPEATED: list[tuple[str, Key]] = [
    ("kind", lambda image: image.kind),
    ("time point", lambda image: image.temporal_position),
    ("trigger time", lambda image: image.trigger_time),
    ("acquisition", lambda image: image.acquisition),
    ("time", lambda image: image.seconds),
]
"""What may differ from slice to slice of one volume, so that it counts only where positions are repeated."""
TIMES: list[Callable[[Slice], float | None]] = [
    lambda image: image.temporal_position,
    lambda image: image.trigger_time,
    lambda image: image.seconds,
]


def stacks_of(series: Sequence[Slice]) -> list[Stack]:
    """Return the volumes of one series, each complete and evenly spaced, or refused with the reason."""
    faulty = [image for image in series if image.problem]
    if faulty:
        some = f" ({len(faulty)} of {len(series)} images, first {faulty[0].file.name})"
        every = len(faulty) == len(series)
        return [Stack(tuple(series), refused=faulty[0].problem + ("" if every else some))]
    parts = [("", list(series))]
    for name, key in ALWAYS:
        parts = [
            (", ".join(filter(None, [before, name(group[0]) if several else ""])), group)
            for before, slices in parts
            for several, group in _groups(slices, key)
        ]
    return [
        replace(stack, part=", ".join(filter(None, [name, stack.part])))
        for name, slices in parts
        for stack in _separate(slices)
    ]


def _separate(slices: list[Slice]) -> list[Stack]:
    """Return one volume, or several where a tag tells images at the same positions apart."""
    try:
        ordered, affine = ordered_volume(slices)
        return [Stack(tuple(ordered), affine)]
    except Refused as error:
        reason = str(error)
    for name, key in WHERE_REPEATED:
        groups = [group for _, group in _groups(slices, key)]
        if len(groups) > 1 and _overlap(slices, groups):
            return _numbered(name, groups)
    by_rank = _ranked(slices)
    if by_rank:
        return _numbered("time point", by_rank)
    if "positions" in reason:
        reason += ", which no b-value, echo or time tells apart"
    return [Stack(tuple(slices), refused=reason)]


def _numbered(name: str, groups: list[list[Slice]]) -> list[Stack]:
    parts = [(f"{name} {place}", group) for place, group in enumerate(groups, start=1)]
    return [
        replace(stack, part=", ".join(filter(None, [part, stack.part])))
        for part, group in parts
        for stack in _separate(group)
    ]


def _groups(slices: Sequence[Slice], key: Key) -> Iterator[tuple[bool, list[Slice]]]:
    """Yield (whether there are several groups, group) by `key`, in its order; nothing counts as smallest."""
    groups: dict[Hashable, list[Slice]] = {}
    for image in slices:
        groups.setdefault(key(image), []).append(image)
    for value in sorted(groups, key=lambda value: (value is not None, value)):
        yield len(groups) > 1, groups[value]


def _overlap(slices: list[Slice], groups: list[list[Slice]]) -> bool:
    """Whether each group reaches over at least half of the whole: parts of one volume do not."""
    extent = np.ptp(heights(slices))
    return all(len(group) >= LEAST_SLICES and np.ptp(heights(group)) >= extent / 2 for group in groups)


def _ranked(slices: list[Slice]) -> list[list[Slice]]:
    """Where each position has the same number of images, return the first of each in time, the second, ..."""
    along = heights(slices)
    by_place: list[list[Slice]] = []
    last = -np.inf
    for index in np.argsort(along, kind="stable"):
        if along[index] - last > SAME_PLACE:
            by_place.append([])
        by_place[-1].append(slices[index])
        last = along[index]
    number = len(by_place[0])
    if number < 2 or any(len(images) != number for images in by_place):
        return []
    for time in TIMES:
        times = [[time(image) for image in images] for images in by_place]
        if all(None not in values and len(set(values)) == number for values in times):
            ranked = [sorted(images, key=lambda image: time(image) or 0.0) for images in by_place]
            return [list(group) for group in zip(*ranked, strict=True)]
    return []


def _rounded(values: Sequence[float], digits: int) -> tuple[float, ...]:
    return tuple(round(value, digits) + 0.0 for value in values)
