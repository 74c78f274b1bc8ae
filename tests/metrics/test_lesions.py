# SPDX-License-Identifier: Apache-2.0
"""Detection: cases counted by hand, MONAI's FROC, and masks without a lesion."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.figures.outline_tables import lesion_table
from scripts.metrics.lesions import LesionsFound, find_lesions, froc_band, froc_curve, lesion_summary

NOTHING = np.zeros((6, 20, 20), np.uint8)


def blobs(*boxes):
    mask = NOTHING.copy()
    for z, y, x, size in boxes:
        mask[z : z + 2, y : y + size, x : x + size] = 1
    return mask


def test_a_case_counted_by_hand():
    """Two lesions: one found by two components, one missed by a component with an IoU below 0.1."""
    truth = blobs((0, 0, 0, 6), (0, 10, 10, 6))
    prediction = blobs((0, 0, 0, 2), (0, 3, 3, 3), (0, 15, 15, 4), (4, 5, 15, 2))
    probability = prediction * 0.5
    probability[0, 0, 0] = 0.9  # the surest component has an IoU of 4 / 36
    probability[4, 5, 15] = 0.7
    found = find_lesions("c", "p", prediction, truth, probability)
    assert found.n_lesions == 2
    assert found.scores == (0.9, 0.7, 0.5, 0.5)
    assert found.lesions == (0, None, None, None)  # the lesion has been found; 1 / 51 is too little


def test_of_equally_sure_components_the_better_match_counts():
    found = find_lesions("c", "p", blobs((0, 0, 0, 2), (0, 3, 3, 3)), blobs((0, 0, 0, 6)))
    assert found.lesions == (0, None)
    assert find_lesions("c", "p", blobs((0, 0, 0, 2)), blobs((0, 0, 0, 7))).lesions == (None,)  # 4 / 49


def test_components_that_touch_by_a_corner_are_one():
    assert len(find_lesions("c", "p", blobs((0, 0, 0, 2), (2, 2, 2, 2)), NOTHING).scores) == 1


def test_a_component_is_as_sure_as_its_highest_or_mean_probability():
    prediction = blobs((0, 0, 0, 2))
    probability = prediction * 0.5
    probability[0, 0, 0] = 0.9
    assert find_lesions("c", "p", prediction, NOTHING, probability).scores == (0.9,)
    assert find_lesions("c", "p", prediction, NOTHING, probability, "mean").scores == (pytest.approx(0.55),)


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        (NOTHING, blobs((0, 0, 0, 6)), (0.0, 0.0)),
        (blobs((0, 0, 0, 6)), NOTHING, (None, 1.0)),
        (NOTHING, NOTHING, (None, 0.0)),
    ],
)
def test_empty_masks(prediction, truth, expected):
    found = lesion_summary([find_lesions("c", "p", prediction, truth)], draws=20)
    assert (found["sensitivity"], found["false_positives_per_case"]) == expected
    assert "sensitivity" in lesion_table(found).text()


CASES = [
    LesionsFound("a", "p", (0.9, 0.8, 0.3), (0, None, 1), 2),
    LesionsFound("b", "q", (0.8, 0.6), (None, 0), 1),
    LesionsFound("c", "r", (), (), 1),
    LesionsFound("d", "r", (0.2,), (None,), 0),
]


def test_the_froc_curve_is_that_counted_by_hand():
    curve = froc_curve(CASES)
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.6, 0.3, 0.2]
    assert curve.false_positives.tolist() == [0, 0, 0.5, 0.5, 0.5, 0.75]
    assert curve.sensitivity.tolist() == [0, 0.25, 0.25, 0.5, 0.75, 0.75]
    assert (curve.at(0.125), curve.at(0.5), curve.at(8)) == (0.25, 0.75, 0.75)


def test_the_froc_curve_is_monais():
    from monai.metrics import compute_froc_curve_data

    wrong = np.array([0.8, 0.8, 0.2])
    right = np.array([0.9, 0.3, 0.6, 0.0])  # 0: MONAI leaves the lowest threshold out, so that of the missed lesion
    expected = compute_froc_curve_data(wrong, right, num_targets=4, num_images=4)
    curve = froc_curve(CASES)
    assert curve.false_positives[::-1].tolist() == expected[0].tolist()
    assert curve.sensitivity[::-1].tolist() == expected[1].tolist()


def test_a_higher_threshold_changes_no_match():
    rng = np.random.default_rng(0)
    truth = blobs((0, 0, 0, 6), (0, 10, 10, 6), (4, 2, 12, 5))
    probability = rng.random(truth.shape)
    prediction = (rng.random(truth.shape) < 0.02).astype(np.uint8) | truth * (probability > 0.85)
    found = find_lesions("c", "p", prediction, truth, probability, least_iou=0.01)
    pieces = dict(zip(found.scores, found.lesions, strict=True))
    assert sum(lesion is not None for lesion in pieces.values()) >= 2
    from scipy.ndimage import label, maximum

    labels, count = label(prediction, structure=np.ones((3, 3, 3)))
    scores = maximum(probability, labels, range(1, count + 1))
    least = np.median(scores)
    kept = prediction * np.isin(labels, 1 + np.flatnonzero(np.array(scores) >= least))
    again = find_lesions("c", "p", kept, truth, probability, least_iou=0.01)
    assert dict(zip(again.scores, again.lesions, strict=True)) == {s: n for s, n in pieces.items() if s >= least}


def test_intervals_are_over_patients():
    cases = [LesionsFound(str(i), str(i), (0.5,), (0 if i % 4 else None,), 1) for i in range(80)]
    found = lesion_summary(cases, draws=2000)
    half = 1.96 * np.sqrt(0.75 * 0.25 / 80)
    assert found["sensitivity"] == 0.75
    assert found["sensitivity_interval"] == pytest.approx([0.75 - half, 0.75 + half], abs=0.02)
    assert found["false_positives_per_case_interval"] == pytest.approx([0.25 - half, 0.25 + half], abs=0.02)
    one = lesion_summary([LesionsFound(c.case, "one", c.scores, c.lesions, 1) for c in cases], draws=50)
    assert one["sensitivity_interval"] is None


def test_the_band_holds_the_curve():
    cases = [LesionsFound(str(i), str(i), (0.9 - i / 100, 0.1), (0 if i % 3 else None, None), 1) for i in range(30)]
    rates = [0.125, 0.5, 1.0, 2.0]
    lower, upper = froc_band(cases, rates, draws=200)
    middle = np.array([froc_curve(cases).at(rate) for rate in rates])
    assert (lower <= middle).all()
    assert (middle <= upper).all()
    assert (lower < upper)[-1]


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(ValueError, match="case c: prediction, truth and probability must have one shape"):
        find_lesions("c", "p", NOTHING, NOTHING[1:])
    with pytest.raises(ValueError, match=r"score must be one of \[max, mean\]"):
        find_lesions("c", "p", NOTHING, NOTHING, None, "median")
