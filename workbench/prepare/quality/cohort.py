# SPDX-License-Identifier: Apache-2.0
"""What a check of the data found, and checks of one volume against all others of its phase."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

import numpy as np
from scripts.figures.table import counted
from scripts.files.plain_text import note
from scripts.volumes.grid import ras_axes
from scripts.volumes.volume import Volume
from workbench.prepare.grids import product
from workbench.prepare.quality.seen import CaseSeen, VolumeSeen, volumes_of

MOST_NAMED = 20  # cases that are named where many have the same finding
_FILE = re.compile(r" ?\([^()]*[./\\][^()]*\)| in /\S+")  # paths of files that are not known by name
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Finding:
    """A fault, or something worth a look."""

    case: str
    phase: str  # its phase; "region" for its mask or box
    what: str
    remedy: str
    breaks_training: bool = False  # whether training would stop at it, or could not learn from the case

    @property
    def place(self) -> str:
        """Case and phase as text."""
        return f"case {self.case}, {self.phase if self.phase == 'region' else f'phase {self.phase!r}'}"

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.remedy}"


@dataclass(frozen=True)
class Checked:
    """What one check says about all cases."""

    check: str  # what was looked for
    tested: str  # how many volumes or cases were tested, and why not others
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Alike:
    """Findings that differ only in case, phase, file and numbers; the first represents all."""

    findings: Sequence[Finding]

    @property
    def first(self) -> Finding:
        """The finding that is shown in full."""
        return self.findings[0]

    def __str__(self) -> str:
        """One line; for several findings the number of cases, the first names, and the first finding."""
        if len(self.findings) == 1:
            return str(self.first)
        names = list(dict.fromkeys(finding.case for finding in self.findings))
        return f"{self.place} of {note(counted(len(names), 'case'), names)}; the first: {self.first}"

    @property
    def place(self) -> str:
        """The phases, or the region."""
        names = [repr(name) for name in dict.fromkeys(one.phase for one in self.findings) if name != "region"]
        phases = f"phase{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""
        region = "region" * any(one.phase == "region" for one in self.findings)
        return " and ".join(filter(None, (region, phases)))

    @property
    def cases(self) -> str:
        """The cases, as far as they fit."""
        names = list(dict.fromkeys(finding.case for finding in self.findings))
        return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED))


def together(findings: Sequence[Finding], files: Mapping[str, Sequence[str]] = MappingProxyType({})) -> list[Alike]:
    """Group findings that say the same of several cases or phases, in the order of the first of each group.

    Args:
        findings: in the order in which they are shown.
        files: case -> its files, whose paths make no difference.

    >>> found = [Finding(c, "pre", f"{n} voxels are NaN", f"see ({c}.nii)") for n, c in enumerate("abc")]
    >>> [(len(one.findings), one.cases) for one in together([*found, Finding("a", "region", "it", "see")])]
    [(3, 'a, b, c'), (1, 'a')]
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        said = [_gist(text, files.get(finding.case, ())) for text in (finding.what, finding.remedy)]
        groups.setdefault((finding.breaks_training, *said), []).append(finding)
    return [Alike(group) for group in groups.values()]


def _gist(text: str, files: Sequence[str]) -> str:
    """Return a text without paths and numbers; known paths may hold blanks and brackets."""
    for file in sorted(files, key=len, reverse=True):
        text = text.replace(file, "")
    return _NUMBER.sub("#", _FILE.sub("", text))


LEAST_VOLUMES = 8  # with fewer comparable volumes of a phase, nothing is called unusual
FAR = 6.0  # robust z-score above which a value is called unusual
SPACING_FLOOR = 0.125
"""Least deviation of log spacings, so that differences below a factor of 2.1 never count."""
RANGE_FLOOR = 0.2  # least deviation of log intensity ranges: differences below a factor of 3.3 never count
LEVEL_FLOOR = 0.1
"""Least deviation of levels, as a share of the usual range: shifts below 0.6 of it never count."""
GAIN_FLOOR = 0.02  # least deviation of the gains in correlation by a flip
LEAST_ALIKE = 0.5  # correlation with the others that a flipped volume must reach
LEAST_GAIN = 0.05  # least gain in correlation by a flip
SIMILAR = 1.25  # fields of view may differ by this factor from the median, per axis
STRAIGHT = 0.9  # least cosine between the axes of a volume and the patient's: at most 26 degrees
NAMES = ("left and right", "front and back", "top and bottom")
FLIPS = tuple(axes for number in (1, 2, 3) for axes in combinations(range(3), number))

Unusual = Iterator[tuple[int, str, str]]  # number of a volume, what is unusual about it, and what to do


def robust_z(values: np.ndarray, floor: float) -> np.ndarray:
    """Return (x - median) / max(1.4826 MAD, floor) along the first axis.

    1.4826 MAD, the median absolute deviation, is the standard deviation of normally distributed values.

    Reference:
        B. Iglewicz, D. C. Hoaglin. How to detect and handle outliers. ASQC, 1993.

    >>> robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0]), 0.0).round(1).tolist()
    [-1.3, -0.7, 0.0, 0.7, 65.4]
    """
    away = values - np.median(values, axis=0)
    return away / np.maximum(1.4826 * np.median(np.abs(away), axis=0), floor)


def _compared(
    check: str,
    cases: Sequence[CaseSeen],
    choose: Callable[[Sequence[VolumeSeen]], list[VolumeSeen]],
    compare: Callable[[list[VolumeSeen]], Unusual],
    which: str = "",
) -> Checked:
    """Compare the comparable volumes of each phase that has enough of them."""
    groups: dict[str, list[VolumeSeen]] = {}
    for one in volumes_of(cases):
        groups.setdefault(one.phase, []).append(one)
    chosen = [group for group in map(choose, groups.values()) if len(group) >= LEAST_VOLUMES]
    findings = [
        Finding(group[index].case, group[index].phase, what, f"{remedy} ({group[index].file})")
        for group in chosen
        for index, what, remedy in compare(group)
    ]
    tested = f"{sum(map(len, chosen)):,} volumes, of phases with at least {LEAST_VOLUMES}{which}"
    return Checked(check, tested, findings)


def spacing(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes whose spacing along right-left, front-back or top-bottom is unusual for their phase."""

    def compare(seen: list[VolumeSeen]) -> Unusual:
        spacings = np.array([one.volume.spacing[ras_axes(one.volume)] for one in seen if one.volume])
        far = (np.abs(robust_z(np.log(spacings), SPACING_FLOOR)) > FAR).any(axis=1)
        usual = product(np.median(spacings, axis=0))
        for index in np.flatnonzero(far).tolist():
            what = f"its spacing is {product(spacings[index])} mm, that of the phase usually {usual} mm"
            yield index, what, "look whether it is the right series and its header is right"

    return _compared("unusual spacing", cases, lambda group: [one for one in group if one.volume], compare)


def intensity(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes whose intensities, from the 1% to the 99% quantile, have an unusual range or level."""

    def choose(group: Sequence[VolumeSeen]) -> list[VolumeSeen]:
        return [one for one in group if one.values and one.values.high > one.values.low]

    def compare(seen: list[VolumeSeen]) -> Unusual:
        limits = np.array([[one.values.low, one.values.high] for one in seen if one.values])
        ranges = limits[:, 1] - limits[:, 0]
        levels = limits.mean(axis=1) / np.median(ranges)
        far = np.abs(robust_z(np.log(ranges), RANGE_FLOOR)) > FAR
        far |= np.abs(robust_z(levels, LEVEL_FLOOR)) > FAR
        usual = " to ".join(f"{value:.5g}" for value in np.median(limits, axis=0))
        for index in np.flatnonzero(far).tolist():
            found = " to ".join(f"{value:.5g}" for value in limits[index])
            what = f"98% of its voxels lie from {found}, in the phase usually from {usual}"
            yield index, what, "look whether it is the right series, scaled like the others"

    return _compared("unusual intensities", cases, choose, compare)


def orientation(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes that agree better with the mean of the others when flipped along one or several axes.

    Every volume is brought to right, front, top by its header, averaged to 16 x 16 x 16 voxels and
    standardised, x_i. With m_i the mean of the others and F a flip, the gain is
    g_i = corr(F x_i, m_i) - corr(x_i, m_i). The volume is reported where corr(F x_i, m_i) > 0.5, g_i > 0.05
    and the robust z-score of g_i among all volumes is above 6.
    """

    def compare(seen: list[VolumeSeen]) -> Unusual:
        as_it_is, flipped = _correlations(np.stack([one.values.small for one in seen if one.values]))
        gains = flipped - as_it_is[:, None]
        reported = (robust_z(gains, GAIN_FLOOR) > FAR) & (gains > LEAST_GAIN) & (flipped > LEAST_ALIKE)
        for index in np.flatnonzero(reported.any(axis=1)).tolist():
            best = int(np.where(reported[index], flipped[index], -1).argmax())
            exchanged = " and with ".join(NAMES[axis] for axis in FLIPS[best])
            what = (
                f"with {exchanged} exchanged it looks more like the other cases (correlation "
                f"{flipped[index, best]:.2f} instead of {as_it_is[index]:.2f})"
            )
            yield index, what, "look at it, and correct its header or convert it again"

    return _compared("orientation", cases, _comparable, compare, " of similar field of view")


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
    """Return the volumes with contrast, straight axes, and a field of view close to the median of such volumes."""
    straight = [one for one in group if one.volume and one.values and one.values.small.any() and _straight(one.volume)]
    if not straight:
        return []
    extents = np.array(
        [(one.volume.shape * one.volume.spacing)[ras_axes(one.volume)] for one in straight if one.volume]
    )
    ratio = np.abs(np.log(extents / np.median(extents, axis=0))).max(axis=1)
    return [one for one, away in zip(straight, ratio, strict=True) if away <= np.log(SIMILAR)]


def _straight(volume: Volume) -> bool:
    cosines = np.abs(volume.affine[:3, :3] / volume.spacing)[:, ras_axes(volume)]
    return bool((cosines.diagonal() >= STRAIGHT).all())
