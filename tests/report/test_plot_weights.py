# SPDX-License-Identifier: Apache-2.0
"""The boxes of the weights are those of the present tokens of each class."""

from __future__ import annotations

import numpy as np
import pytest
from workbench.report.weights import plot_weights

WEIGHTS = np.array([[0.2, 0.8], [0.4, 0.6], [0.0, 1.0], [0.7, 0.3], [0.9, 0.1]])
LABELS = [0, 0, 0, 1, 1]


def test_medians_are_per_class_and_leave_missing_tokens_out(tmp_path):
    figure = plot_weights(WEIGHTS, LABELS, ["pre", "portal"], ["low", "high"], path=tmp_path / "weights.png")
    axes = figure.axes[0]
    medians = {
        round(float(np.mean(line.get_xdata())), 6): float(line.get_ydata()[0])
        for line in axes.lines
        if line.get_color() == "black"
        and len(line.get_xdata()) == 2
        and len(set(line.get_ydata())) == 1
        and np.ptp(line.get_xdata()) > 0.5
    }
    # positions: pre low 0, pre high 1, portal low 3, portal high 4
    assert medians == pytest.approx({0: 0.3, 1: 0.8, 3: 0.8, 4: 0.2})
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["pre\n(1 missing)", "portal"]
    assert (tmp_path / "weights.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("weights", "message"),
    [(WEIGHTS[:, :1], r"must be \[n, 2\], one per token, found \[5, 1\]"), (-WEIGHTS, "not negative")],
)
def test_bad_weights_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        plot_weights(weights, LABELS, ["pre", "portal"], ["low", "high"])
