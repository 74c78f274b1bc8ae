"""Volumes that look mirrored or turned against the others of their phase."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from scripts.data.extents import ras_axes
from scripts.data.volumes import Volume
from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen, VolumeSeen, volumes_of

LEAST_VOLUMES = 8
"""Comparable volumes of a phase below which orientation is not looked at."""
LEAST_ALIKE = 0.5
"""Correlation with the others that a flipped volume must reach."""
LEAST_GAIN = 0.15
"""How much higher it must be than that of the volume as it is."""
SIMILAR = 1.25
"""Fields of view may differ by this factor from the median, per axis."""
STRAIGHT = 0.9
"""Least cosine between the axes of a volume and the patient's: at most 26 degrees."""
NAMES = ("left and right", "front and back", "top and bottom")
FLIPS = tuple(axes for number in (1, 2, 3) for axes in combinations(range(3), number))


def orientation(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes that, flipped along one axis or several, agree better with the mean of the others.

    Every volume is brought to right, front, top by its header, averaged to 16 x 16 x 16 voxels and standardised,
    x_i. With m_i the mean of the others and F a flip, the volume is reported where
    max_F corr(F x_i, m_i) > 0.5 and max_F corr(F x_i, m_i) - corr(x_i, m_i) > 0.15.
    """
    groups: dict[str, list[VolumeSeen]] = {}
    for seen in volumes_of(cases):
        groups.setdefault(seen.phase, []).append(seen)
    findings, tested = [], 0
    for group in groups.values():
        alike = _comparable(group)
        if len(alike) < LEAST_VOLUMES:
            continue
        tested += len(alike)
        small = np.stack([one.values.small for one in alike if one.values is not None])
        for index, (flip, as_it_is, flipped) in enumerate(_best_flips(small)):
            if flipped > LEAST_ALIKE and flipped - as_it_is > LEAST_GAIN:
                one = alike[index]
                what = (
                    f"with {' and with '.join(NAMES[axis] for axis in flip)} exchanged it looks more like the other "
                    f"cases (correlation {flipped:.2f} instead of {as_it_is:.2f})"
                )
                remedy = f"look at it, and correct its header or convert it again ({one.file})"
                findings.append(Finding(one.case, one.phase, what, remedy))
    note = f"{tested:,} volumes, of phases with at least {LEAST_VOLUMES} of similar field of view"
    return Checked("orientation", note, findings)


def _best_flips(small: np.ndarray) -> list[tuple[tuple[int, ...], float, float]]:
    """Return for each of [N, 16, 16, 16] volumes its best flip, and its correlation as it is and flipped so."""
    total = small.sum(axis=0, dtype=np.float64)
    found = []
    for one in small:
        others = total - one
        others = others / max(np.linalg.norm(others), 1e-12)
        values = [float((np.flip(one, flip) * others).sum()) for flip in FLIPS]
        best = int(np.argmax(values))
        found.append((FLIPS[best], float((one * others).sum()), values[best]))
    return found


def _comparable(group: Sequence[VolumeSeen]) -> list[VolumeSeen]:
    """Return the volumes with contrast, straight axes and a field of view near the median of these."""
    straight = [
        one
        for one in group
        if one.volume is not None and one.values is not None and one.values.small.any() and _straight(one.volume)
    ]
    if not straight:
        return []
    extents = np.array([_extent(one.volume) for one in straight if one.volume is not None])
    ratio = np.abs(np.log(extents / np.median(extents, axis=0))).max(axis=1)
    return [one for one, away in zip(straight, ratio, strict=True) if away <= np.log(SIMILAR)]


def _straight(volume: Volume) -> bool:
    cosines = np.abs(volume.affine[:3, :3] / volume.spacing)[:, ras_axes(volume)]
    return bool((cosines.diagonal() >= STRAIGHT).all())


def _extent(volume: Volume) -> np.ndarray:
    return (np.array(volume.shape) * volume.spacing)[ras_axes(volume)]
