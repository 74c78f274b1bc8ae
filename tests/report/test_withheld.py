# SPDX-License-Identifier: Apache-2.0
"""Which phases are withheld, and the mean over what is left."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scripts.metrics.rows import confidence_intervals
from workbench.report.missing_phases_figure import missing_phases_figure
from workbench.report.withheld import MEAN, curve, withheld_rows, withheld_subsets


def test_small_numbers_of_phases_are_withheld_in_every_way():
    every = [subset for size in range(5) for subset in combinations(range(5), size)]
    assert withheld_subsets(5) == every
    assert withheld_subsets(1) == [()]


def test_of_many_ways_twenty_different_ones_are_drawn_again_alike():
    found = withheld_subsets(7, seed=3)
    for size in range(7):
        group = [subset for subset in found if len(subset) == size]
        assert len(set(group)) == len(group) == (1 if size == 0 else 7 if size in (1, 6) else 20)
        assert all(len(set(subset)) == size and set(subset) <= set(range(7)) for subset in group)
    assert found == withheld_subsets(7, seed=3) != withheld_subsets(7, seed=4)


def test_of_more_than_eight_phases_one_is_withheld_at_a_time():
    assert withheld_subsets(9) == [(), *((phase,) for phase in range(9))]


def example() -> dict:
    rng = np.random.default_rng(0)
    label = np.arange(30) % 3
    said = {subset: rng.dirichlet(np.ones(3), 30) for subset in withheld_subsets(3)}
    for subset, probability in said.items():
        probability[np.arange(30), label] += 1.0 - 0.4 * len(subset)
        probability /= probability.sum(axis=1, keepdims=True)
    present = np.ones((30, 3), dtype=bool)
    return {
        "probabilities": said, "label": label, "present": present, "phases": ["x", "y", "z"],
        "classes": ["a", "b", "c"], "patients": [f"p{i // 2}" for i in range(30)], "draws": 200, "seed": 5,
    }  # fmt: skip


def test_each_choice_has_the_metrics_and_intervals_of_its_predictions():
    from sklearn.metrics import roc_auc_score

    data = example()
    rows = [row for row in withheld_rows(**data) if row.withheld != MEAN]
    for row, (subset, probability) in zip(rows, data["probabilities"].items(), strict=True):
        assert row.withheld == " + ".join("xyz"[p] for p in subset)
        expected = confidence_intervals(probability, data["label"], data["patients"], draws=200, seed=5)[-1]
        assert [row.auc_lower, row.auc_upper] == expected["auc"].bounds
        assert [row.accuracy_lower, row.accuracy_upper] == expected["accuracy"].bounds
        auc = np.mean([roc_auc_score(data["label"] == k, probability[:, k]) for k in range(3)])
        assert abs(row.auc - auc) < 1e-12


def test_the_interval_of_a_mean_of_equal_choices_is_that_of_one():
    """The same patients are drawn for all choices, so that three equal ones are no more certain than one."""
    data = example()
    data["probabilities"] = dict.fromkeys(withheld_subsets(3), data["probabilities"][()])
    none, two = curve(withheld_rows(**data))[0], curve(withheld_rows(**data))[2]
    assert (two.withheld, two.subsets) == (MEAN, 3)
    for side in ("accuracy", "accuracy_lower", "accuracy_upper"):
        assert abs(getattr(two, side) - getattr(none, side)) < 1e-12


def test_a_choice_that_nobody_survives_is_empty_and_not_in_the_mean(tmp_path):
    data = example()
    data["present"][:, 2] = False  # without x and y nothing is left
    rows = withheld_rows(**data)
    by_name = {(row.missing, row.withheld): row for row in rows}
    assert (by_name[2, "x + y"].n, by_name[2, "x + y"].auc) == (0, None)
    left = [by_name[2, name].auc for name in ("x + z", "y + z")]
    assert by_name[2, MEAN].subsets == 2
    assert abs(by_name[2, MEAN].auc - np.mean(left)) < 1e-12
    figure = missing_phases_figure(rows, data["phases"], 0.34, path=tmp_path / "missing.png")
    names = [text.get_text() for text in figure.axes[2].get_yticklabels()]
    assert names == ["without x", "without y", "without z", "only x", "only y", "only z"]
    drawn = {container[0].get_ydata()[0] for container in figure.axes[2].containers}
    assert drawn == {0, 1, 2, 3, 4}, "nothing is left where z alone would be"
