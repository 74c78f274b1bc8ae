# SPDX-License-Identifier: Apache-2.0
"""Scores of outlines: against counts by hand, in mm whatever the spacing, and where a structure is missing."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.figures.outline_tables import outline_table
from scripts.metrics.outlines import EMPTY_RULE, MEAN, OUTLINE_TITLES, outline_scores, outline_summary

SPACING = (5.0, 1.0, 2.0)


def cube(low, high, shape=(12, 20, 16), value=1):
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return labels


def test_equal_outlines_have_the_best_scores():
    labels = cube((2, 4, 3), (8, 14, 11)) + cube((9, 0, 0), (12, 20, 16), value=2)
    for row in outline_scores(labels, labels, SPACING, ["a", "b"]):
        assert (row["dice"], row["surface_dice"], row["hausdorff_95_mm"]) == (1.0, 1.0, 0.0)
        assert (row["volume_error_ml"], row["volume_error_percent"]) == (0.0, 0.0)


def test_dice_and_volumes_are_those_counted_by_hand():
    (row,) = outline_scores(cube((2, 4, 3), (8, 14, 11)), cube((2, 4, 3), (8, 14, 7)), SPACING, ["a"])
    assert row["dice"] == pytest.approx(2 * 240 / (480 + 240))
    assert (row["volume_ml"], row["predicted_volume_ml"]) == (240 * 10 / 1000, 480 * 10 / 1000)
    assert (row["volume_error_ml"], row["volume_error_percent"]) == (pytest.approx(2.4), pytest.approx(100))
    (less,) = outline_scores(cube((2, 4, 3), (8, 14, 7)), cube((2, 4, 3), (8, 14, 11)), SPACING, ["a"])
    assert (less["volume_error_percent"], less["absolute_volume_error_percent"]) == (-50, 50)


@pytest.mark.parametrize(("axis", "step_mm"), [(0, 5.0), (1, 1.0), (2, 2.0)])
def test_distances_are_in_mm_along_every_axis(axis, step_mm):
    low, high = np.array([3, 4, 3]), np.array([8, 14, 11])
    moved = np.eye(3, dtype=int)[axis] * 2
    pair = cube(low + moved, high + moved), cube(low, high)
    (row,) = outline_scores(*pair, SPACING, ["a"], tolerance_mm=2 * step_mm - 0.01)
    assert row["hausdorff_95_mm"] == pytest.approx(2 * step_mm)
    assert row["surface_dice"] < 1
    (row,) = outline_scores(*pair, SPACING, ["a"], tolerance_mm=2 * step_mm + 0.01)
    assert row["surface_dice"] == 1


def test_surface_dice_counts_areas():
    """Of two slabs, each with a face of 400 mm2 on either side, one face lies 10 mm off."""
    shape = (12, 40, 40)
    pair = cube((2, 10, 10), (6, 30, 30), shape), cube((2, 10, 10), (8, 30, 30), shape)
    (row,) = outline_scores(*pair, (5.0, 1.0, 1.0), ["a"], tolerance_mm=0.5)
    sides = 4 * 20 * 20, 4 * 20 * 30  # of 20 and of 30 mm height; 10 mm of the higher one are beyond the other
    right = 400 + 400 + 2 * sides[0]
    assert row["surface_dice"] == pytest.approx(right / (4 * 400 + sum(sides)), abs=0.05)


def test_an_outline_at_the_border_of_the_volume_has_a_surface_there():
    whole = np.ones((4, 6, 5), np.uint8)
    (row,) = outline_scores(whole, whole, SPACING, ["a"])
    assert (row["surface_dice"], row["hausdorff_95_mm"]) == (1.0, 0.0)


def test_missing_structures_follow_the_rule():
    labels, nothing = cube((2, 4, 3), (8, 14, 11)), np.zeros((12, 20, 16), np.uint8)
    diagonal = np.linalg.norm([12 * 5, 20 * 1, 16 * 2])
    missed, invented, absent = (
        outline_scores(*pair, SPACING, ["a"])[0] for pair in ((nothing, labels), (labels, nothing), (nothing, nothing))
    )
    for row in (missed, invented):
        assert (row["dice"], row["surface_dice"], row["hausdorff_95_mm"]) == (0, 0, diagonal)
    assert (missed["volume_error_percent"], invented["volume_error_percent"]) == (-100, None)
    assert invented["volume_error_ml"] == pytest.approx(4.8)
    assert all(absent[name] is None for name in OUTLINE_TITLES if name != "volume_error_ml")
    assert absent["volume_error_ml"] == 0


LABELS = cube((2, 4, 3), (8, 14, 11))


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("must be 3D and of one shape", (LABELS, LABELS[1:], SPACING, ["a"])),
        ("leave out masks that were not drawn", (LABELS, LABELS + 254, SPACING, ["a"])),
        ("3 lengths above 0 mm", (LABELS, LABELS, (1, 0, 1), ["a"])),
        ("tolerance_mm must be at least 0", (LABELS, LABELS, SPACING, ["a"], -1)),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(said, arguments):
    with pytest.raises(ValueError, match=said):
        outline_scores(*arguments)


def row(case, patient, dice, structure="a", mask=""):
    row = dict.fromkeys(OUTLINE_TITLES) | {"dice": dice, "in_truth": dice is not None, "in_prediction": bool(dice)}
    return row | {"case": case, "patient": patient, "structure": structure, "mask": mask}


def test_a_patient_with_many_scans_counts_once():
    rows = [row("1", "p", 1.0), row("2", "p", 1.0), row("3", "p", 0.7), row("4", "q", 0.5), row("5", "r", None)]
    (found,) = outline_summary(rows, draws=200)
    assert found["dice"] == pytest.approx((0.9 + 0.5) / 2)
    assert (found["n_patients"], found["n_cases"], found["n_absent"]) == (3, 5, 1)
    assert found["dice_interval"] == pytest.approx([0.5, 0.9])
    assert (found["surface_dice"], found["surface_dice_interval"]) == (None, None)


def test_structures_and_masks_are_averaged_within_each_patient():
    rows = [
        row(patient, patient, value, structure, mask)
        for patient, values in (("p", (0.8, 0.6, 0.4, 0.2)), ("q", (1.0, 0.8, 0.6, None)))
        for value, (structure, mask) in zip(values, [(s, m) for s in "ab" for m in ("ed", "es")], strict=True)
    ]
    found = {(row["structure"], row["mask"]): row["dice"] for row in outline_summary(rows, draws=50)}
    assert found[("a", "ed")] == pytest.approx(0.9)
    assert found[("a", None)] == pytest.approx((0.7 + 0.9) / 2)
    assert found[("b", "es")] == pytest.approx(0.2)
    assert found[(MEAN, None)] == pytest.approx((0.5 + 0.75) / 2)


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation():
    rng = np.random.default_rng(0)
    values = rng.normal(0.8, 0.1, 400)
    (found,) = outline_summary([row(str(i), str(i), value) for i, value in enumerate(values)], draws=2000)
    half = 1.96 * values.std() / 20
    assert found["dice_interval"] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.002)


def test_the_table_says_how_missing_structures_count():
    table = outline_table(outline_summary([row("1", "p", 1.0), row("2", "q", None)], draws=20), tolerance_mm=2.0)
    assert EMPTY_RULE in table.markdown()
    assert table.rows[0][:4] == ["a", "2", "1 / 0 / 0", "1.000"]
