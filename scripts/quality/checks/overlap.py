"""Phases of a case that do not show the same part of the body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.data.volumes import Volume
from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen
from scripts.transforms.frame import field_of_view, frame_axes

LEAST_SHARED = 0.5
"""Share of the smaller of two fields of view that must lie in the other."""


def overlap(cases: Sequence[CaseSeen]) -> Checked:
    """Find phases whose field of view is largely outside that of the case's first; wholly breaks training."""
    findings, pairs = [], 0
    for case in cases:
        volumes = {phase: seen.volume for phase, seen in case.phases.items() if seen.volume is not None}
        first = next(iter(volumes), "")
        for phase, volume in volumes.items():
            if phase == first:
                continue
            pairs += 1
            share = shared(volumes[first], volume)
            if share < LEAST_SHARED:
                what = f"its field of view shares {share:.0%} with that of phase {first!r}"
                remedy = (
                    f"correct the position in one header or take the phase out of the case ({volume.path})"
                )
                findings.append(Finding(case.case, phase, what, remedy, breaks_training=share == 0))
    return Checked("phases overlap in space", f"{pairs:,} pairs of phases", findings)


def shared(one: Volume, other: Volume) -> float:
    """Return the volume that two fields of view share, divided by the smaller of the two; 0 to 1."""
    axes = frame_axes(one.affine, one.shape)
    boxes = np.stack([field_of_view(volume.affine, volume.shape, axes) for volume in (one, other)])
    common = np.maximum(0, boxes[:, 1].min(axis=0) - boxes[:, 0].max(axis=0)).prod()
    return float(common / (boxes[:, 1] - boxes[:, 0]).prod(axis=1).min())
