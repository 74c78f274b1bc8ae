# SPDX-License-Identifier: Apache-2.0
"""Figures: what is drawn, where, and what is written beside it."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scripts.figures.curves import confusion_figure, roc_figure
from scripts.metrics.interval import band
from scripts.metrics.scores import sensitivity_at
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from workbench.report.probability_figures import decision_figure, precision_recall_figure, reliability_figure
from workbench.report.training_figures import curves_figure, montage_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PNG = b"\x89PNG"


def legend(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_two_classes_have_one_curve_with_auc_and_interval(tmp_path: Path) -> None:
    p = np.array([0.1, 0.6, 0.3, 0.2, 0.9])
    probabilities, labels = np.stack([1 - p, p], axis=1), [0, 0, 0, 1, 1]
    path = tmp_path / "roc.png"
    intervals = [None, (0.4, 0.9), None]
    axes = roc_figure(probabilities, labels, ["low", "high"], "test", intervals, path=path).axes[0]
    assert path.read_bytes().startswith(PNG)
    assert axes.get_title() == "ROC, test: high against low, n = 5"
    assert "high (2 of 5): AUC 0.667 (95% CI 0.400–0.900)" in legend(axes)
    assert not any(text.startswith("low") for text in legend(axes))
    curve = next(line for line in axes.get_lines() if str(line.get_label()).startswith("high"))
    x, y = curve.get_data()
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(labels, p))
    point = next(line for line in axes.get_lines() if line.get_marker() == "o")
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (pytest.approx(1 / 3), 0.5)


def test_more_classes_have_one_curve_each_and_an_absent_one_is_said() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.3, 0.5, 0.2], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    figure = roc_figure(probabilities, [0, 1, 1, 0], ["a", "b", "c"], "test")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["a (2 of 4)\nAUC 1.000", "b (2 of 4)\nAUC 1.000", "c (0 of 4)\nAUC undefined"]
    assert figure.get_suptitle() == "ROC, test: each class against the rest, n = 4; mean AUC 1.000"
    assert [len(axes.get_lines()) for axes in figure.axes] == [3, 3, 1], "chance, curve and working point"


def test_the_confusion_matrix_has_the_true_class_in_rows(tmp_path: Path) -> None:
    # Three low, of which one is called high; one high, called low; none of the third.
    probabilities = np.eye(3)[[0, 0, 1, 0]]
    path = tmp_path / "c.png"
    figure = confusion_figure(probabilities, [0, 0, 0, 1], ["low", "high", "none"], "test", path)
    axes, rates = figure.axes[:2]
    assert path.read_bytes().startswith(PNG)
    count, rate = ({text.get_position(): text.get_text() for text in a.texts} for a in (axes, rates))
    assert (count[(0, 0)], rate[(0, 0)]) == ("2", "67%")
    assert (count[(1, 0)], rate[(1, 0)]) == ("1", "33%"), "column 1 (predicted high), row 0 (truly low)"
    assert (count[(0, 1)], rate[(0, 1)]) == ("1", "100%")
    assert (count[(2, 2)], rate[(2, 2)]) == ("–", "–")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["low\n(n = 3)", "high\n(n = 1)", "none\n(n = 0)"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert figure.get_suptitle() == "test: 2 of 4 cases right (50.0%)"


def binary(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.beta(1, 1, n)
    return np.stack([1 - p, p], axis=1), (rng.random(n) < p).astype(int)


def test_the_roc_band_holds_the_curve_and_narrows_with_more_patients() -> None:
    widths = []
    for n in (100, 1600):
        probabilities, labels = binary(n)
        rates = np.linspace(0.05, 0.95, 19)
        curves = partial(sensitivity_at, probabilities[:, 1], labels == 1, rates)
        lower, upper = band(curves, np.arange(n))
        false_positive, sensitivity, _ = roc_curve(labels, probabilities[:, 1], drop_intermediate=False)
        curve = [sensitivity[false_positive <= rate].max() for rate in rates]
        assert ((lower <= curve) & (curve <= upper)).all()
        widths.append((upper - lower).mean())
    assert 3 < widths[0] / widths[1] < 5.5, "about the square root of 16"


def test_precision_and_recall_have_the_area_of_the_average_precision(tmp_path: Path) -> None:
    probabilities, labels = binary()
    path = tmp_path / "pr.png"
    intervals = [None, (0.7, 0.9), None]
    axes = precision_recall_figure(probabilities, labels, ["low", "high"], "test", intervals, path).axes[0]
    assert path.read_bytes().startswith(PNG)
    area = average_precision_score(labels, probabilities[:, 1])
    positives = labels.sum()
    assert legend(axes)[0] == f"average precision {area:.3f} (95% CI 0.700–0.900)"
    recall, precision = next(line for line in axes.get_lines() if len(line.get_xdata()) > 10).get_data()
    assert -(np.diff(recall) * precision[:-1]).sum() == pytest.approx(area)
    assert axes.get_title().endswith(f"high ({positives} of 200), n = 200")


def test_the_reliability_diagram_counts_its_cases_and_shows_shares(tmp_path: Path) -> None:
    probabilities = np.array([[0.75, 0.25]] * 4 + [[0.15, 0.85]] * 10)
    labels = [1, 0, 0, 0] + [1] * 8 + [0] * 2
    path = tmp_path / "r.png"
    figure = reliability_figure(probabilities, labels, ["low", "high"], "test", path=path)
    assert path.read_bytes().startswith(PNG)
    axes, below = figure.axes
    said, share = axes.containers[0].lines[0].get_data()
    assert (said.tolist(), share.tolist()) == ([0.25, 0.85], [0.25, 0.8])
    assert [text.get_text() for text in below.texts] == ["", "4", "", "", "10"]
    assert axes.get_title() == "Reliability, test: n = 14"
    assert figure.legends[0].get_texts()[-1].get_text().startswith("model: Brier score 0.")
    both = reliability_figure(probabilities, labels, ["low", "high"], uncalibrated=probabilities[:, ::-1])
    texts = [text.get_text().split(":")[0] for text in both.legends[0].get_texts()]
    assert texts == ["perfectly calibrated", "before", "calibrated"]


def test_the_decision_curve_of_everybody_crosses_zero_at_the_prevalence(tmp_path: Path) -> None:
    probabilities, labels = binary()
    path = tmp_path / "d.png"
    figure = decision_figure(probabilities, labels, ["low", "high"], "test", threshold=0.4, path=path)
    assert path.read_bytes().startswith(PNG)
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    x, y = lines["act on every case"].get_data()
    assert np.interp(0, -y, x) == pytest.approx(labels.mean(), abs=0.005)
    x, model = lines["act as the model says"].get_data()
    called = probabilities[:, 1] >= x[29]
    expected = (called & (labels == 1)).mean() - (called & (labels == 0)).mean() * x[29] / (1 - x[29])
    assert model[29] == pytest.approx(expected)
    assert lines["the model's threshold"].get_xdata()[0] == 0.4
    assert f"{labels.sum()} of n = 200" in figure.axes[0].get_title()
    three = decision_figure(np.full((6, 3), 1 / 3), [0, 1, 2, 0, 1, 2], ["a", "b", "c"], draws=10)
    assert [axes.get_title() for axes in three.axes] == ["a (2)", "b (2)", "c (2)"]


def test_learning_curves_show_raw_smoothed_and_chosen(tmp_path: Path) -> None:
    history: list[dict[str, float | None]] = [
        {"epoch": 1, "train_loss": 0.7},
        {"epoch": 2, "train_loss": 0.6, "validation_loss": 0.8, "validation_auc": 0.6},
        {"epoch": 3, "train_loss": 0.5, "validation_loss": float("nan"), "validation_auc": None},
        {"epoch": 4, "train_loss": 0.4, "validation_loss": 0.7, "validation_auc": 0.8},
    ]
    for record in history[1::2]:
        record["validation_auc_smoothed"] = 0.65
    path = tmp_path / "curves.png"
    losses, scores = curves_figure(history, 4, "concat", path).axes
    assert path.read_bytes().startswith(PNG)
    assert legend(losses) == ["training", "validation", "chosen: epoch 4"]
    assert legend(scores) == ["AUC, validation", "AUC, validation, smoothed", "chosen: epoch 4"]
    assert list(losses.get_lines()[0].get_xdata()) == [1, 2, 3, 4]
    assert list(losses.get_lines()[1].get_xdata()) == [2, 4], "what is not finite is left out"
    assert list(losses.get_lines()[-1].get_xdata()) == [4, 4]


def test_the_selection_score_is_drawn_on_its_own_scale_and_only_if_it_is_another_curve() -> None:
    def panels(selection: list[float]) -> list[list[str]]:
        scores = {"validation_loss": 0.5, "validation_auc": 0.8}
        history: list = [{"epoch": i, "selection": s, **scores} for i, s in enumerate(selection)]
        return [legend(axes) for axes in curves_figure(history).axes]

    assert panels([0.7, 0.75]) == [["validation"], ["AUC, validation", "selection score"]]
    assert panels([-0.6, -0.55]) == [["validation", "selection score"], ["AUC, validation"]]
    assert panels([0.8, 0.8]) == [["validation"], ["AUC, validation"]]


def test_a_history_without_scores_is_drawn_and_without_epochs_refused() -> None:
    _, scores = curves_figure([{"epoch": 1, "train_loss": 1.0}]).axes
    assert scores.texts[0].get_text() == "not recorded"
    for history in ([], [{"train_loss": 1.0}]):
        with pytest.raises(ValueError, match="at least one record, each with the key epoch"):
            curves_figure(history)


@pytest.mark.parametrize(
    ("view", "orientation", "voxel", "row", "column"),
    [
        # A bright voxel at the patient's right, front, top: right lies left, front and top up.
        ("axial", "RAS", (5, 3, 3), 0, 0),
        ("axial", "LPS", (0, 0, 3), 0, 0),
        ("coronal", "RAS", (5, 2, 6), 0, 0),
        ("coronal", "LAS", (0, 2, 6), 0, 0),
        ("sagittal", "RAS", (3, 3, 6), 0, 0),
        ("axial", "SRA", (3, 5, 3), 0, 0),
        # And one at the left, back: lower right.
        ("axial", "RAS", (0, 0, 3), -1, -1),
    ],
)
def test_slices_lie_as_a_radiologist_reads_them(
    view: str, orientation: str, voxel: tuple[int, int, int], row: int, column: int
) -> None:
    size = {"R": 6, "L": 6, "A": 4, "P": 4, "S": 7, "I": 7}
    image = torch.zeros(1, 1, *(size[letter] for letter in orientation))
    image[0, 0, voxel[0], voxel[1], voxel[2]] = 1
    figure = montage_figure(
        image, torch.ones(1, 1, dtype=torch.bool), ["c"], ["pre"], ["low"], view=view, orientation=orientation
    )
    picture = np.asarray(figure.axes[0].get_images()[0].get_array())
    across, up = {"axial": (6, 4), "coronal": (6, 7), "sagittal": (4, 7)}[view]
    assert picture.shape == (up, across)
    assert picture[row, column] == 1
    assert picture.sum() == 1


def test_the_montage_names_cases_classes_phases_and_what_is_missing(tmp_path: Path) -> None:
    image = torch.rand(3, 2, 6, 5, 4)
    present = torch.tensor([[True, True], [True, False], [True, True]])
    image[1, 1] = float("nan")
    figure = montage_figure(
        image, present, ["p1", "p2", "p3"], ["pre", "portal"], ["low", "high"], torch.tensor([0, 1, 0]),
        spacing=(1, 1, 2.5), max_cases=2, path=tmp_path / "m.png",
    )  # fmt: skip
    assert (tmp_path / "m.png").read_bytes().startswith(PNG)
    axes = np.array(figure.axes).reshape(2, 2)
    assert [a.get_title() for a in axes[0]] == ["pre", "portal"]
    assert [a.get_ylabel() for a in axes[:, 0]] == ["p1\nlow", "p2\nhigh"]
    assert axes[1, 1].texts[0].get_text() == "portal\nmissing"
    assert not axes[1, 1].get_images()
    assert "2 of 3 cases" in figure.get_suptitle()
    first, second = (a.get_images()[0].get_clim() for a in axes[0])
    assert first == second, "one grey scale for the phases of a case"
    assert [text.get_text() for text in axes[0, 1].texts] == ["R", "L", "A"]


def test_the_montage_tells_a_phase_that_training_hides_from_an_empty_one() -> None:
    image, present = torch.rand(1, 3, 4, 4, 4), torch.tensor([[True, True, True]])
    image[0, 1:] = 0
    figure = montage_figure(
        image, present, ["p1"], ["pre", "portal", "late"], ["low"], seen=torch.tensor([[True, False, True]])
    )
    assert [axes.texts[0].get_text() for axes in figure.axes[1:]] == [
        "hidden in\ntraining", "nothing in\nthis slice"
    ]  # fmt: skip


def test_without_a_known_orientation_no_direction_is_claimed() -> None:
    figure = montage_figure(torch.rand(1, 1, 4, 4, 4), torch.ones(1, 1), ["c"], ["pre"], ["low"], orientation=None)
    assert not figure.axes[0].texts
    assert figure.get_suptitle() == "middle slices, 1 case"


def test_an_impossible_montage_is_refused() -> None:
    image, present = torch.rand(1, 2, 4, 4, 4), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match="P = 1 phases"):
        montage_figure(image, present, ["c"], ["pre"], ["low"])
    for orientation in ("RAL", "RA", "RAX", "RAPS"):
        with pytest.raises(ValueError, match="three letters such as RAS"):
            montage_figure(image, present, ["c"], ["pre", "portal"], ["low"], orientation=orientation)
    with pytest.raises(ValueError, match="view must be one of axial, coronal, sagittal"):
        montage_figure(image, present, ["c"], ["pre", "portal"], ["low"], view="oblique")
    with pytest.raises(ValueError, match=r"one label in 0\.\.0 per case"):
        montage_figure(image, present, ["c"], ["pre", "portal"], ["low"], [1])


def test_importing_is_light_and_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    code = (
        "import sys, scripts.engines.evaluation\n"
        "print([m for m in ('matplotlib', 'sklearn', 'pandas') if m in sys.modules])\n"
        "from scripts.figures.curves import roc_figure\n"
        f"roc_figure([[.8, .2], [.3, .7]], [0, 1], ['a', 'b'], path={str(tmp_path / 'r.png')!r})\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["[]", "False"]
