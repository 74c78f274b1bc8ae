"""Volumes that look mirrored or turned against the others of their phase."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from scripts.data.extents import ras_axes
from scripts.data.volumes import Volume
from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen, VolumeSeen, volumes_of

from .outliers import robust_z

LEAST_VOLUMES = 8
"""Comparable volumes of a phase below which orientation is not looked at."""
LEAST_ALIKE = 0.5
"""Correlation with the others that a flipped volume must reach."""
LEAST_GAIN = 0.05
"""How much higher it must be than that of the volume as it is."""
FAR = 6.0
"""Robust z-score that this gain must have among those of all volumes under the same flip."""
GAIN_FLOOR = 0.02
"""Least deviation of the gains."""
SIMILAR = 1.25
"""Fields of view may differ by this factor from the median, per axis."""
STRAIGHT = 0.9
"""Least cosine between the axes of a volume and the patient's: at most 26 degrees."""
NAMES = ("left and right", "front and back", "top and bottom")
FLIPS = tuple(axes for number in (1, 2, 3) for axes in combinations(range(3), number))


def orientation(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes that, flipped along one axis or several, agree better with the mean of the others.

    Every volume is brought to right, front, top by its header, averaged to 16 x 16 x 16 voxels and
    standardised, x_i. With m_i the mean of the others and F a flip, the gain is
    g_i = corr(F x_i, m_i) - corr(x_i, m_i). The volume is reported where corr(F x_i, m_i) > 0.5, g_i > 0.05
    and the robust z-score of g_i among all volumes is above 6.
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
        as_it_is, flipped = _correlations(small)
        gains = flipped - as_it_is[:, None]
        far = robust_z(gains, GAIN_FLOOR) > FAR
        reported = far & (gains > LEAST_GAIN) & (flipped > LEAST_ALIKE)
        for index in np.flatnonzero(reported.any(axis=1)):
            best = int(np.where(reported[index], flipped[index], -1).argmax())
            exchanged = " and with ".join(NAMES[axis] for axis in FLIPS[best])
            what = (
                f"with {exchanged} exchanged it looks more like the "
                f"other cases (correlation {flipped[index, best]:.2f} instead of {as_it_is[index]:.2f})"
            )
            one = alike[index]
            remedy = f"look at it, and correct its header or convert it again ({one.file})"
            findings.append(Finding(one.case, one.phase, what, remedy))
    note = f"{tested:,} volumes, of phases with at least {LEAST_VOLUMES} of similar field of view"
    return Checked("orientation", note, findings)


def _correlations(small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlate each volume with the mean of the others, as it is and under each flip.

    Shape:
        small [N, 16, 16, 16] -> [N], [N, 7]
    """
    total = small.sum(axis=0, dtype=np.float64)
    as_it_is, flipped = [], []
    for one in small:
        others = total - one
        others = others / max(np.linalg.norm(others), 1e-12)
        as_it_is.append((one * others).sum())
        flipped.append([(np.flip(one, flip) * others).sum() for flip in FLIPS])
    return np.array(as_it_is), np.array(flipped)


def _comparable(group: Sequence[VolumeSeen]) -> list[VolumeSeen]:
    """Return the volumes with contrast, straight axes and a field of view near the median of these."""
    straight = [
        one
        for one in group
        if one.volume is not None
        and one.values is not None
        and one.values.small.any()
        and _straight(one.volume)
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
