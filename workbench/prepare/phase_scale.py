# SPDX-License-Identifier: Apache-2.0
"""Whether the phases of a dataset share a scale, and the rule for their intensities that follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scripts.cases.splits import Case
from scripts.volumes.grid import open_phase

PROBED = 12  # cases whose voxels are read, spread evenly over the dataset
BACKGROUND = 0.1
"""Share of the way from the lowest value to the 99.5% quantile below which a voxel is background."""
MOST_VOXELS = 10**6  # at most this many voxels of a volume are used, spread evenly
BINS = 64  # of the histograms whose overlap is taken
MOST_RATIO = 1.75  # two phases share a scale up to this ratio of spreads (median over cases)
LEAST_OVERLAP = 0.1
"""Two phases share a scale from this overlap of their distributions (median over cases)."""
MOST_VARIATION = 1.5
"""Factor by which the ratio of spreads may differ between cases (1.4826 MAD of its logarithm)."""
FEWEST = 4  # with fewer cases that have both phases, nothing can be said


@dataclass(frozen=True)
class PairScale:
    """How the intensities of two phases compare within each case, background left out."""

    # wide, narrow: the phase of larger spread, and the other
    wide: str
    narrow: str
    # spread (5% to 95% quantile) of `wide` over that of `narrow`, median over cases; 1 or more
    ratio: float
    variation: float  # factor by which that ratio differs between cases; 1 or more
    overlap: float  # share of the two distributions that is common to both, median over cases, 0 to 1
    cases: int  # number of cases that have both

    @property
    def strain(self) -> float:
        """How far the two are from sharing a scale; up to 1 they do."""
        varies = np.log(self.variation) / np.log(MOST_VARIATION)
        return float(max(self.ratio / MOST_RATIO, LEAST_OVERLAP / max(self.overlap, 1e-3), varies))


def phase_scales(cases: Sequence[Case], phases: Sequence[str]) -> list[PairScale]:
    """Compare the intensities of every two phases within a few cases.

    A gain that the scanner applies to all phases of a case, as in one dynamic series, changes no figure.
    Sequences that are reconstructed separately have gains of their own.

    Args:
        phases: phases in order; volumes that cannot be read are left out, since other checks report them.
    """
    several = [case for case in cases if sum(phase in case["image"] for phase in phases) > 1]
    chosen = np.unique(np.linspace(0, len(several) - 1, min(PROBED, len(several))).round().astype(int))
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for index in chosen:
        seen = {}
        for phase in phases:
            if phase in several[index]["image"]:
                with suppress(OSError, ValueError, MemoryError):
                    seen[phase] = shown_voxels(several[index], phase)
        for pair in combinations(seen, 2):
            found.setdefault(pair, []).append(_compare(*(seen[phase] for phase in pair)))
    return [_pair(*pair, figures) for pair, figures in found.items()]


def share_scale(scales: Sequence[PairScale]) -> bool:
    """Return whether all phases share a scale; False if too few cases have two phases to tell."""
    return bool(scales) and all(pair.strain <= 1 and pair.cases >= FEWEST for pair in scales)


def scale_text(scales: Sequence[PairScale]) -> str:
    """Say in one sentence whether the phases share a scale, and why.

    >>> scale_text([PairScale("B", "A", 3.2, 1.1, 0.1, 9)])
    'phases B and A differ in scale (in 9 cases: spreads 3.2 to 1, give or take a factor of 1.1, overlap 10%)'
    """
    if not scales:
        return "no case has two phases to compare"
    pair = max(scales, key=lambda one: (one.strain > 1, one.cases < FEWEST, one.strain))
    names = f"phases {pair.wide} and {pair.narrow}"
    figures = (
        f"in {pair.cases} case{'s' * (pair.cases > 1)}: spreads {pair.ratio:.1f} to 1, give or take a factor "
        f"of {pair.variation:.1f}, overlap {100 * pair.overlap:.0f}%"
    )
    if pair.strain > 1:
        return f"{names} differ in scale ({figures})"
    if pair.cases < FEWEST:
        return f"{names} are together in too few cases to tell whether they share a scale ({figures})"
    return f"all phases share a scale; {names} do so least ({figures})"


def shown_voxels(case: Case, phase: str) -> np.ndarray:
    """Return the voxels of a phase that show something, at most a million."""
    volume = open_phase(case["image"][phase], case["case"], phase)
    step = max(1, math.prod(volume.shape) // MOST_VOXELS)
    parts, limits, seen = [], list[float](), 0
    for block in volume.blocks():
        # every step-th voxel of the whole volume, counted on across blocks
        parts.append(block.ravel(order="F")[-seen % step :: step].copy())
        limits += [float(block.min()), float(block.max())]
        seen += block.size
    volume.check_differ(min(limits), max(limits))
    voxels = np.concatenate(parts)
    low, high = voxels.min(), np.quantile(voxels, 0.995)
    shown = voxels[voxels > low + BACKGROUND * (high - low)]
    return shown if shown.size else voxels


def _compare(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the log ratio of the spreads of two phases, and the overlap of their distributions."""
    spreads = [float(np.subtract(*np.quantile(part, [0.95, 0.05]))) for part in (first, second)]
    least = 1e-6 * max(*spreads, 1e-30)
    low, high = (float(end) for end in np.quantile(np.concatenate([first, second]), [0.001, 0.999]))
    limits = (low, high) if high > low else (low - 1, low + 1)
    shares = [np.histogram(part.clip(*limits), BINS, limits)[0] / part.size for part in (first, second)]
    return float(np.log(max(spreads[0], least) / max(spreads[1], least))), float(np.minimum(*shares).sum())


def _pair(first: str, second: str, figures: Sequence[tuple[float, float]]) -> PairScale:
    logs, overlaps = np.array(figures).T
    middle = float(np.median(logs))
    variation = float(np.exp(1.4826 * np.median(np.abs(logs - middle))))
    wide, narrow = (first, second) if middle >= 0 else (second, first)
    ratio, overlap = float(np.exp(abs(middle))), float(np.median(overlaps))
    return PairScale(wide, narrow, ratio, variation, overlap, len(logs))


PROBED_FOR_HU = 5  # cases whose voxels are read
BELOW_WATER_HU = -50  # CT has voxels below this everywhere, of fat or air; magnitude images of MR have none
WINDOW_HU = (-100.0, 250.0)  # soft tissue with and without contrast medium


def looks_like_ct(cases: Sequence[Case]) -> bool:
    """Return whether every phase of the first few cases holds Hounsfield units, judged by its lowest value."""
    for entry in cases[:PROBED_FOR_HU]:
        for phase, path in entry["image"].items():
            if open_phase(path, entry["case"], phase).lowest() > BELOW_WATER_HU:
                return False
    return True


def propose_intensity(cases: Sequence[Case], phases: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Choose the transform of the intensities: a window for CT, else z-scores.

    z-scores are taken over all phases of a case where these share a scale (see `phase_scales`), which keeps
    the relation between phases, and over each phase alone where they do not.

    Returns:
        The transform, as in the YAML, and why.
    """
    if looks_like_ct(cases):
        lower, upper = WINDOW_HU
        target = "scripts.transforms.WindowIntensityd"
        rule = {"_target_": target, "keys": "image", "lower": lower, "upper": upper}
        return rule, "CT: window in HU for the organ at hand; becomes 0 to 1"
    scales = phase_scales(cases, phases) if len(phases) > 1 else []
    joint = share_scale(scales)
    rule = {"_target_": "scripts.transforms.ZScoreIntensityd", "keys": "image", "joint": joint}
    if len(phases) == 1:
        why = "mean and deviation of the region"
    else:
        how = "one mean and deviation for all phases of a case" if joint else "mean and deviation of each phase"
        why = f"{how}, since {scale_text(scales)}"
    return rule | {"statistics": "region"}, f"no CT: {why}"
