# SPDX-License-Identifier: Apache-2.0
"""Cases as points in a plane, by principal components or t-SNE of their features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scripts.figures.panels import COLOURS, GREY, new_figure, plain_axes, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNKNOWN = "not known"
RIGHT = {"marker": "o", "s": 42, "edgecolors": "white", "linewidths": 0.6, "alpha": 0.8, "zorder": 2}
STYLES: dict[str, dict[str, Any]] = {
    "right": RIGHT,
    "wrong": RIGHT | {"marker": "X", "s": 70, "edgecolors": "black", "linewidths": 0.9, "alpha": 1.0, "zorder": 3},
    UNKNOWN: RIGHT | {"marker": ".", "s": 90},
}


def perplexity_of(count: int) -> float:
    """Return the perplexity of t-SNE for n cases: the smaller of 30 and (n - 1) / 3.

    >>> perplexity_of(40), perplexity_of(1000)
    (13.0, 30.0)
    """
    return min(30.0, (count - 1) / 3)


def principal_components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project features [n, F] onto their first two principal components.

    Returns:
        Coordinates [n, 2], and the share of the variance that each component explains.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # the number of threads would change the last digits
        pca = PCA(n_components=2, svd_solver="full")
        return pca.fit_transform(features), pca.explained_variance_ratio_


def neighbour_map(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Map cases to a plane by t-SNE, initialised with their principal components; it preserves neighbours.

    Distances between groups, and the sizes of groups, have no meaning. The same seed gives the same map.

    Shape:
        features: [n, F], n >= 5. Result: [n, 2].

    Reference: van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 9, 2008.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        tsne = TSNE(2, perplexity=perplexity_of(len(features)), init="pca", random_state=seed)
        return tsne.fit_transform(features)


def embedding_figure(
    points: ArrayLike,
    labels: Sequence[int | None],
    predicted: Sequence[int],
    classes: Sequence[str],
    title: str,
    axis_names: Sequence[str] | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw one point per case: the colour is its true class, a cross is a wrong prediction.

    Args:
        points: [n, 2], coordinates of the cases.
        labels: index of the true class of each case; None: not known, drawn as a grey dot.
        predicted: index of the predicted class of each case.
        classes: K names.
        title: title of the figure; the number of cases is added.
        axis_names: names of the two axes; None: they have no meaning and no numbers.
        path: where to save the figure; None: it is only returned.

    Raises:
        ValueError: shapes that do not agree, a folder that cannot be written.
    """
    place = np.asarray(points, dtype=float)
    if place.shape != (len(labels), 2) or len(predicted) != len(labels):
        raise ValueError(
            f"the figure needs points [n, 2], n labels and n predictions, found {list(place.shape)}, "
            f"{len(labels)} and {len(predicted)}"
        )
    outcome = [
        UNKNOWN if true is None else "right" if true == said else "wrong"
        for true, said in zip(labels, predicted, strict=True)
    ]
    colours = class_colours(len(classes))
    figure = new_figure(7.4, max(5.2, 1.8 + 0.23 * len(classes)))
    axes = figure.add_subplot()
    for kind, style in STYLES.items():  # wrong after right, so that they lie on top
        for k in [None] if kind == UNKNOWN else range(len(classes)):
            chosen = [i for i, label in enumerate(labels) if outcome[i] == kind and label == k]
            axes.scatter(*place[chosen].T, color=GREY if k is None else colours[k], **style)
    _write_legends(figure, labels, outcome, figure.names(classes, "class"), colours)
    axes.set_title(f"{title}, n = {len(labels)}", fontsize=11)
    plain_axes(axes)
    if axis_names is None:
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel("neighbours look alike to the network; distances and axes have no unit", fontsize=9)
        axes.spines[:].set(visible=True, color="#BBBBBB")
    else:
        axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    return saved(figure, path)


def class_colours(count: int) -> list[str]:
    """Return a colour per class: the palette for any colour vision if it suffices, else 20 of matplotlib's."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    palette = colormaps["tab20"]
    return [to_hex(palette(k % palette.N)) for k in range(count)]


def _write_legends(
    figure: Figure, labels: Sequence[int | None], outcome: Sequence[str], classes: Sequence[str], colours: Sequence[str]
) -> None:
    """Write legends that explain colours and markers, with the number of cases of each."""
    from matplotlib.lines import Line2D

    def entry(marker: str, colour: str, edge: str, name: str, count: int) -> Line2D:
        text = f"{name} ({count})"
        return Line2D([], [], marker=marker, color=colour, markeredgecolor=edge, ls="", ms=8, label=text)

    of_class = [
        entry("s", colour, colour, name, list(labels).count(k))
        for k, (name, colour) in enumerate(zip(classes, colours, strict=True))
    ]
    if None in labels:
        of_class.append(entry(".", GREY, GREY, UNKNOWN, list(labels).count(None)))
    kinds = [
        entry(STYLES[kind]["marker"], "#DDDDDD", "black", kind, outcome.count(kind)) for kind in ("right", "wrong")
    ]
    style: dict[str, Any] = {"fontsize": 9, "frameon": False, "alignment": "left"}
    figure.legend(handles=of_class, title="true class", loc="outside right upper", **style)
    if outcome.count(UNKNOWN) < len(outcome):
        figure.legend(handles=kinds, title="prediction", loc="outside right lower", **style)
