# SPDX-License-Identifier: Apache-2.0
"""The same image under two names: found by the voxels, however the files are packed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from scripts.cases.splits import Case, patient_of
from scripts.files.plain_text import note
from scripts.files.processes import work_through
from scripts.volumes.grid import open_phase
from scripts.volumes.volume import Volume


@dataclass(frozen=True)
class Place:
    """Where an image is used."""

    case: str
    patient: str
    split: str  # the split that the source fixes, or nothing
    phase: str
    file: str

    def __str__(self) -> str:
        return f"case {self.case}, phase {self.phase!r}" + (f" ({self.split})" if self.split else "")


@dataclass(frozen=True)
class Pair:
    """Two places that hold the same voxels."""

    first: Place
    second: Place

    @property
    def across(self) -> bool:
        """Whether the source puts them into two splits as different patients, which would inflate the score."""
        fixed = {self.first.split, self.second.split}
        return self.first.patient != self.second.patient and len(fixed - {""}) == 2

    @property
    def remedy(self) -> str:
        """What to do, by whether it is one case, one patient or two."""
        if self.first.case == self.second.case:
            return "one of the two files is probably a copy under a wrong name: replace or remove it"
        if self.first.patient == self.second.patient:
            return "remove one of the cases unless the image is meant to be in both"
        return "remove one of the cases, or give both the same patient if it is one person"

    def __str__(self) -> str:
        return f"{self.first} and {self.second} hold the same voxels; {self.remedy}"


def settle_identical(
    cases: Sequence[Case], allowed: bool = False, workers: int | None = None
) -> tuple[list[Case], list[str]]:
    """Return the cases, those that share an image as one patient that no split can divide; and notes.

    Args:
        allowed: whether cases of different patients that share an image stay different patients.

    Raises:
        ValueError: the source fixes such cases to two splits, and it is not `allowed`; names the first pair
            and counts the others.
        BadCases: volumes that cannot be read.
    """
    pairs = identical_volumes(cases, workers)
    notes = [f"warning: {pair}" for pair in pairs]
    if allowed:
        return list(cases), notes
    across = [pair for pair in pairs if pair.across]
    if across:
        more = f" ({len(across)} such pairs)" if len(across) > 1 else ""
        raise ValueError(f"{across[0]}{more}, or pass --allow_identical True")
    merged: dict[str, str] = {}
    for pair in pairs:  # every copy is paired with the first place of its image
        one, other = (_last(merged, place.patient) for place in (pair.first, pair.second))
        if one != other:
            merged[other] = one
            notes.append(
                f"patient {pair.second.patient} counts as patient {pair.first.patient}, whose image it "
                "shares, so that both are in one split"
            )
    return [case | _patient(case, merged) for case in cases], notes


def merged_patients(given: Sequence[Case], settled: Sequence[Case]) -> list[str]:
    """Return which patients `settle_identical` merged, e.g. "p2 as p1"."""
    pairs = [(patient_of(one), patient_of(other)) for one, other in zip(given, settled, strict=True)]
    return list(dict.fromkeys(f"{one} as {other}" for one, other in pairs if one != other))


@contextmanager
def copies_told(merged: Sequence[str]) -> Iterator[None]:
    """Add to an error about the number of patients which of them count as one (see `merged_patients`)."""
    try:
        yield
    except ValueError as error:
        if not merged:
            raise
        why = note("patients that share an image count as one", merged)
        raise ValueError(f"{error} ({why}; --allow_identical True counts each by itself)") from None


def _last(merged: Mapping[str, str], patient: str) -> str:
    while patient in merged:
        patient = merged[patient]
    return patient


def _patient(case: Case, merged: Mapping[str, str]) -> Case:
    patient = patient_of(case)
    return {"patient": _last(merged, patient)} if patient in merged else {}


def identical_volumes(cases: Sequence[Case], workers: int | None = None) -> list[Pair]:
    """Return the pairs of images with the same voxels, each copy with the first place of the image.

    Voxels are compared as the loader reads them: a copy that was compressed, converted between formats, or
    given another affine is found; one that was flipped, cropped or resampled is not. First the shape and one
    slice are compared, then all voxels where these agree.
    """
    places = [
        Place(case["case"], patient_of(case), case.get("split", ""), phase, file)
        for case in cases
        for phase, file in case["image"].items()
    ]
    alike = _groups(places, _glimpse, workers, "looking for copies")
    doubtful = [place for group in alike for place in group]
    same = _groups(doubtful, _voxels, workers, "comparing copies") if doubtful else []
    return [Pair(group[0], other) for group in same for other in group[1:]]


def _groups(places: Sequence[Place], look: Callable[[Place], str], workers: int | None, what: str) -> list[list[Place]]:
    """Return the groups of at least two places that look the same, in the order of the places."""
    looks = work_through(look, places, workers, bar=what, unit="volume", what="volumes")
    groups: dict[str, list[Place]] = defaultdict(list)
    for place, seen in zip(places, looks, strict=True):
        groups[seen].append(place)
    return [group for group in groups.values() if len(group) > 1]


def _glimpse(place: Place) -> str:
    """Return shape and hash of the first slice, which needs little unpacking."""
    return _hashed(place, lambda volume: [next(volume.blocks())[:, :, :1]])


def _voxels(place: Place) -> str:
    return _hashed(place, lambda volume: volume.blocks())


def _hashed(place: Place, parts: Callable[[Volume], Iterable[np.ndarray]]) -> str:
    volume = open_phase(place.file, place.case, place.phase)
    seen = VoxelHash(volume.shape)
    for block in parts(volume):
        seen.add(block)
    return str(seen)


class VoxelHash:
    """Hash of an image, the same for two images where shape and all voxels are the same.

    Args:
        shape: of the image; its blocks along the third axis are added in order, in any number.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape, self._hash = shape, hashlib.sha256()

    def add(self, block: np.ndarray) -> None:
        """Take the next block into account; 0.0 and -0.0 count as equal."""
        self._hash.update(np.ascontiguousarray(block.T + np.float32(0)).data)

    def __str__(self) -> str:
        return f"{self._shape} {self._hash.hexdigest()}"
