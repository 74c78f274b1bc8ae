"""The same image under two names: found by the voxels, however the files are packed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.data.extents import open_phase
from scripts.data.splits import SPLITS


@dataclass(frozen=True)
class Place:
    """Where an image is used.

    Attributes:
        case: case name.
        patient: its patient.
        split: its split.
        phase: its phase.
        file: its file.
    """

    case: str
    patient: str
    split: str
    phase: str
    file: str

    def __str__(self) -> str:
        return f"case {self.case}, phase {self.phase!r} ({self.split})"


@dataclass(frozen=True)
class Pair:
    """Two places that hold the same voxels."""

    first: Place
    second: Place

    @property
    def across(self) -> bool:
        """Whether different patients share the image over two splits of labelled cases: the score is inflated."""
        return (
            self.first.patient != self.second.patient
            and self.first.split != self.second.split
            and {self.first.split, self.second.split} <= set(SPLITS)
        )

    def __str__(self) -> str:
        if self.first.case == self.second.case:
            remedy = "one of the two files is probably a copy under a wrong name: replace or remove it"
        elif self.first.patient == self.second.patient:
            remedy = "remove one of the cases unless the image is meant to be in both"
        else:
            remedy = "remove one, or give both cases the same patient if it is one person"
        return f"{self.first} and {self.second} hold the same voxels; {remedy}"


def identical_volumes(
    splits: Mapping[str, Sequence[dict[str, Any]]], workers: int | None = None
) -> list[Pair]:
    """Return the pairs of images with the same voxels, each copy with the first place of the image.

    Voxels are compared as the loader reads them: a copy that was compressed, converted between formats, or
    given another affine is found; one that was flipped, cropped or resampled is not. First the shape and one
    slice are compared, then all voxels where these agree.

    Args:
        splits: split -> entries of dataset.json with absolute paths.
        workers: threads at a time; None takes one per core.

    Raises:
        ValueError: a volume that cannot be read.
    """
    places = [
        Place(case["case"], case.get("patient") or case["case"], split, phase, file)
        for split, cases in splits.items()
        for case in cases
        for phase, file in case["image"].items()
    ]
    alike = _groups(places, _glimpse, workers, "looking for copies")
    doubtful = [place for group in alike for place in group]
    same = _groups(doubtful, _voxels, workers, "comparing copies") if doubtful else []
    return [Pair(group[0], other) for group in same for other in group[1:]]


def check_identical(pairs: Sequence[Pair], allowed: bool) -> None:
    """Refuse an image that different patients share over two splits.

    Raises:
        ValueError: names the first such pair and counts the others, unless `allowed`.
    """
    across = [pair for pair in pairs if pair.across]
    if across and not allowed:
        more = f" ({len(across)} such pairs, listed above)" if len(across) > 1 else ""
        raise ValueError(f"{across[0]}{more}, or pass --allow_identical True")


def _groups(
    places: Sequence[Place], look: Callable[[Place], str], workers: int | None, what: str
) -> list[list[Place]]:
    """Return the groups of at least two places that look the same, in the order of the places."""
    from joblib import Parallel, cpu_count, delayed
    from tqdm import tqdm

    parallel = Parallel(workers or cpu_count(), prefer="threads", return_as="generator")
    looks = parallel(delayed(look)(place) for place in places)
    groups: dict[str, list[Place]] = defaultdict(list)
    for place, seen in zip(places, tqdm(looks, desc=what, total=len(places), unit="volume"), strict=True):
        groups[seen].append(place)
    return [group for group in groups.values() if len(group) > 1]


def _glimpse(place: Place) -> str:
    """Return shape and hash of the first slice, which needs little unpacking."""
    volume = open_phase(place.file, place.case, place.phase)
    return _hash(volume.shape, volume.read((slice(None), slice(None), slice(0, 1))))


def _voxels(place: Place) -> str:
    volume = open_phase(place.file, place.case, place.phase)
    return _hash(volume.shape, volume.read())


def _hash(shape: tuple[int, ...], voxels: Any) -> str:
    return f"{shape} {hashlib.sha256((voxels + 0.0).tobytes()).hexdigest()}"  # + 0.0 makes -0.0 and 0.0 one
