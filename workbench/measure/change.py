# SPDX-License-Identifier: Apache-2.0
"""What differs between two phases: volume, position and contrast. None: undefined, or not known of a phase."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Known = float | None


def volume_change(first: Known, later: Known) -> Known:
    """Return the change of a volume in % of the first one: 100 (V_later - V_first) / V_first.

    From end-diastole to end-systole it is the ejection fraction of a chamber with the opposite sign.

    >>> volume_change(150.0, 60.0)
    -60.0
    """
    if first is None or later is None or first <= 0:
        return None
    return 100 * (later - first) / first


def shift(first: Sequence[float] | None, later: Sequence[float] | None) -> Known:
    """Return the distance between two centroids in mm.

    >>> shift((0.0, 0.0, 0.0), (3.0, 4.0, 0.0))
    5.0
    """
    return None if first is None or later is None else float(np.linalg.norm(np.subtract(later, first)))


def enhancement(baseline: Known, phase: Known) -> Known:
    """Return by how much a mean intensity is above that without contrast: S_p - S_0, e.g. in HU of CT.

    >>> enhancement(35.0, 110.0)
    75.0
    """
    return None if baseline is None or phase is None else phase - baseline


def relative_enhancement(baseline: Known, phase: Known) -> Known:
    """Return the enhancement in % of the intensity without contrast: 100 (S_p - S_0) / S_0, S_0 > 0.

    For MR, whose intensities have no unit and begin at 0.

    >>> relative_enhancement(200.0, 500.0)
    150.0
    """
    if baseline is None or phase is None or baseline <= 0:
        return None
    return 100 * (phase - baseline) / baseline


def washout(phase: Known, later: Known) -> Known:
    """Return the relative wash-out from one contrast phase to a later one: 100 (S_p - S_q) / S_p %, S_p > 0.

    Negative where the intensity still rises.

    Reference: Caoili et al., Adrenal masses: characterization with combined unenhanced and delayed enhanced CT,
        Radiology 222, 2002.

    >>> washout(100.0, 55.0)
    45.0
    """
    if phase is None or later is None or phase <= 0:
        return None
    return 100 * (phase - later) / phase


def absolute_washout(baseline: Known, phase: Known, later: Known) -> Known:
    """Return the share of the enhancement that is gone: 100 (S_p - S_q) / (S_p - S_0) %, S_p > S_0.

    Reference: as `washout`.

    >>> absolute_washout(10.0, 100.0, 55.0)
    50.0
    """
    if baseline is None or phase is None or later is None or phase <= baseline:
        return None
    return 100 * (phase - later) / (phase - baseline)
