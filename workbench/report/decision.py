"""Decision curve: is it worth following the model?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from scripts.figures.style import (
    COLOURS,
    GREY,
    class_panels,
    draw_band,
    label_panels,
    plain_axes,
    save_figure,
    shown_classes,
)
from scripts.metrics.at_threshold import net_benefit
from scripts.metrics.bands import net_benefit_band
from scripts.metrics.interval import number_patients
from scripts.metrics.predictions import as_labels, as_probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

THRESHOLDS = np.linspace(0.01, 0.99, 99)


def decision_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    threshold: float | None = None,
    patients: Sequence[str] | None = None,
    draws: int = 500,
    seed: int = 0,
    path: str | Path | None = None,
    positive: str | None = None,
) -> Figure:
    """Draw the net benefit of acting on the model over the risk from which one would act.

    The model is worth following where its curve lies above both others: acting on every case, and on none.
    With two classes there is one panel, of the positive class; with more, one per class against the rest.

    Args:
        probabilities: one row per case, each summing to 1.
        labels: index of the true class of each case.
        classes: K class names.
        name: what was evaluated, for the title.
        threshold: with two classes, the threshold that was fixed on the validation split, to be marked.
        patients: the patient of each case, who are resampled; without it every case counts as one patient.
        draws: number of resamples for the 95% band; 0 for none.
        seed: of the resampling.
        path: where to save the figure, too.
        positive: with two classes, the name of the positive one; None is the last.

    Shape:
        probabilities: [n, K]. labels: [n].

    Raises:
        ValueError: as for `classification_table`; a folder that cannot be written.

    Reference: Vickers and Elkin, Decision curve analysis, Medical Decision Making 26, 2006.
    """
    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    patient = number_patients(patients, len(label))
    shown = shown_classes(classes, positive)
    figure, panels = class_panels(len(shown), 6.4, 4.8)
    names = figure.names(classes, "class")
    for axes, k in zip(panels, shown, strict=True):
        _draw(axes, probability[:, k], label == k, patient, draws, seed)
    heading = f"Decision curve{f', {name}' if name else ''}"
    if len(classes) == 2:
        if threshold is not None:
            panels[0].axvline(
                threshold, color="black", linewidth=1, linestyle=":", label="the model's threshold"
            )
        k = shown[0]
        panels[0].set_title(
            f"{heading}: {names[k]}, {int((label == k).sum())} of n = {len(label)}", fontsize=11
        )
        panels[0].legend(loc="upper right", fontsize=8, framealpha=0.9)
    else:
        figure.suptitle(f"{heading}: each class against the rest, n = {len(label)}", fontsize=11)
        for axes, k in zip(panels, shown, strict=True):
            axes.set_title(f"{names[k]} ({int((label == k).sum())})", fontsize=10)
        panels[0].legend(loc="upper right", fontsize=7, framealpha=0.9)
    what = f"risk of {names[shown[0]]}" if len(classes) == 2 else "risk of the class"
    label_panels(panels, f"{what} from which one would act", "net benefit (true positives per case)")
    if path is not None:
        save_figure(figure, path)
    return figure


def _draw(
    axes: Axes,
    risk: np.ndarray,
    positive: np.ndarray,
    patient: np.ndarray,
    draws: int,
    seed: int,
) -> None:
    """Draw model, everybody and nobody of one class; of a class without a case nothing can be said."""
    axes.set_xlim(0, 1)
    if not positive.any():
        axes.text(
            0.5, 0.5, "no case of this class:\nundefined", ha="center", va="center", color=GREY, fontsize=9
        )
        axes.set(yticks=[])
        plain_axes(axes)
        return
    model = net_benefit(risk, positive, THRESHOLDS)[0]
    everybody = net_benefit(np.ones(len(risk)), positive, THRESHOLDS)[0]
    if draws > 0 and patient.max() > 0:
        draw_band(axes, THRESHOLDS, net_benefit_band(risk, positive, patient, THRESHOLDS, draws, seed))
    axes.plot(THRESHOLDS, model, color=COLOURS[0], linewidth=2, label="act as the model says")
    axes.plot(
        THRESHOLDS, everybody, color=COLOURS[1], linewidth=1.5, linestyle="--", label="act on every case"
    )
    axes.axhline(0, color=GREY, linewidth=1.5, label="act on no case")
    top = max(float(positive.mean()), 0.02)
    axes.set(xlim=(0, 1), ylim=(-0.3 * top, 1.25 * top))
    plain_axes(axes)
