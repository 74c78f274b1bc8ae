# SPDX-License-Identifier: Apache-2.0
"""Lesions found, missed and invented: connected components of masks, and the FROC curve of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scripts.metrics.interval import band, number_patients, patient_weights, percentile_interval

LEAST_IOU = 0.1  # Intersection over union from which a component is a lesion found
SCORES = ("max", "mean")  # Of a component's probabilities, what says how sure it is
FALSE_POSITIVES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per case at which sensitivity is told."""
LESION_RULE = (
    "A lesion is a connected component (voxels that touch, by a corner, too); one is found where a predicted component "
    "has an IoU of at least {iou:g} with it. Sensitivity is the share of all lesions that are found; a case without a "
    "lesion counts for false positives alone."
)


@dataclass(frozen=True)
class LesionsFound:
    """The predicted components of one case, the surest first."""

    case: str
    patient: str
    scores: tuple[float, ...]  # of each component, from 0 to 1
    lesions: tuple[int | None, ...]  # number, from 0, of the true lesion that it is; None: a false positive
    n_lesions: int  # true ones


def find_lesions(
    case: str,
    patient: str,
    prediction: np.ndarray,
    truth: np.ndarray,
    probability: np.ndarray | None = None,
    score: str = "max",
    least_iou: float = LEAST_IOU,
) -> LesionsFound:
    """Part two masks into connected components and match them one to one.

    The surest component chooses first, among the lesions that are left the one with the largest IoU of at
    least `least_iou`, so that raising a threshold on the scores takes components away and changes no match. A
    second component of a lesion that is found is a false positive.

    An empty prediction has no component: all lesions are missed. An empty truth has no lesion: all components
    are false positives. Where both are empty, the case counts as one without false positives.

    Args:
        prediction, truth: [D, H, W], what is above 0 counts.
        probability: of lesion, [D, H, W] from 0 to 1; None: each component has the score 1.
        score: `max` or `mean` of the probabilities in a component.

    Raises:
        ValueError: arrays of different shapes, another score, a `least_iou` outside of (0, 1].
    """
    from scipy.ndimage import label, maximum, mean

    found, drawn = np.asarray(prediction) > 0, np.asarray(truth) > 0
    if found.shape != drawn.shape or (probability is not None and probability.shape != found.shape):
        shapes = [np.shape(array) for array in (prediction, truth, probability) if array is not None]
        raise ValueError(
            f"case {case}: prediction, truth and probability must have one shape, found "
            f"{', '.join(map(str, shapes))}; bring them onto one grid"
        )
    if score not in SCORES or not 0 < least_iou <= 1:
        raise ValueError(
            f"score must be one of [{', '.join(SCORES)}] and least_iou above 0 and at most 1, found {score!r} and "
            f"{least_iou!r}; correct them"
        )
    touching = np.ones((3,) * found.ndim)
    pieces, count = label(found, structure=touching)
    lesions, n_lesions = label(drawn, structure=touching)
    numbers = np.arange(1, count + 1)
    scores = np.ones(count)
    if probability is not None and count:
        scores = np.asarray((maximum if score == "max" else mean)(probability, pieces, numbers), dtype=np.float64)
    shared = np.bincount((pieces * (n_lesions + 1) + lesions).ravel(), minlength=(count + 1) * (n_lesions + 1))
    shared = shared.reshape(count + 1, n_lesions + 1)
    inside = shared[1:, 1:]
    union = shared[1:].sum(axis=1)[:, None] + shared[:, 1:].sum(axis=0) - inside
    iou = inside / np.maximum(union, 1)
    order = np.lexsort((-iou.max(axis=1, initial=0.0), -scores))  # of equally sure ones the better match first
    matched: list[int | None] = []
    for piece in order:
        best = int(iou[piece].argmax()) if n_lesions else 0
        hit = n_lesions > 0 and iou[piece, best] >= least_iou
        matched.append(best if hit else None)
        if hit:
            iou[:, best] = -1.0
    return LesionsFound(case, patient, tuple(scores[order].tolist()), tuple(matched), n_lesions)


@dataclass(frozen=True)
class Froc:
    """The free-response operating characteristic, from the highest threshold to the lowest."""

    thresholds: np.ndarray  # [T], a component counts from this score; the first one is infinite
    false_positives: np.ndarray  # [T], per case
    sensitivity: np.ndarray  # [T], from 0 to 1; NaN without a lesion

    def at(self, false_positives: float) -> float:
        """Return the highest sensitivity with at most so many false positives per case; nothing is interpolated."""
        return float(self.sensitivity[self.false_positives <= false_positives][-1])


def froc_curve(cases: Sequence[LesionsFound]) -> Froc:
    """Return sensitivity over false positives per case at every threshold on the scores.

    It begins at the threshold that no component reaches, and ends with all components counted.

    Reference: Bandos et al., Area under the free-response ROC curve (FROC) and a related summary index,
        Biometrics 65, 2009.

    >>> curve = froc_curve([LesionsFound("a", "a", (0.9, 0.4), (0, None), 1), LesionsFound("b", "b", (), (), 1)])
    >>> curve.false_positives.tolist(), curve.sensitivity.tolist()
    ([0.0, 0.0, 0.5], [0.0, 0.5, 0.5])
    """
    score, hit, _ = _components(cases)
    thresholds = np.array([np.inf, *np.unique(score)[::-1]])
    counted = score[None, :] >= thresholds[:, None]
    total = sum(case.n_lesions for case in cases)
    sensitivity = counted @ hit / total if total else np.full(len(thresholds), np.nan)
    return Froc(thresholds, counted @ (1 - hit) / max(len(cases), 1), sensitivity)


def froc_band(
    cases: Sequence[LesionsFound], false_positives: Sequence[float], draws: int = 500, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pointwise 95% band of the sensitivity at numbers of false positives per case, [G] each.

    By the bootstrap over patients; NaN where a draw may hold no lesion.
    """

    def curves(weights: np.ndarray) -> np.ndarray:
        return np.stack([_sensitivities(cases, weight, np.asarray(false_positives)) for weight in weights])

    return band(curves, number_patients([case.patient for case in cases], len(cases)), draws, seed)


def _sensitivities(cases: Sequence[LesionsFound], weight: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return the sensitivity at each rate, every case counting as often as its weight says."""
    score, hit, place = _components(cases)
    total = float(weight @ np.array([case.n_lesions for case in cases]))
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(score[order][1:] != score[order][:-1], True)[: len(score)])
    counts = weight[place][order]
    right = np.append(0.0, np.cumsum(counts * hit[order])[last])
    wrong = np.append(0.0, np.cumsum(counts * (1 - hit[order]))[last]) / max(weight.sum(), 1.0)
    if total == 0:
        return np.full(len(rates), np.nan)
    return right[np.searchsorted(wrong, rates + 1e-12, side="right") - 1] / total


def _components(cases: Sequence[LesionsFound]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return score, 1 for a lesion found, and number of the case of each component, [N]."""
    score = np.array([score for case in cases for score in case.scores])
    hit = np.array([float(lesion is not None) for case in cases for lesion in case.lesions])
    return score, hit, np.repeat(np.arange(len(cases)), [len(case.scores) for case in cases])


def lesion_summary(
    cases: Sequence[LesionsFound], threshold: float = 0.0, draws: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Return sensitivity and false positives per case with 95% intervals by the bootstrap over patients.

    Args:
        threshold: components count from this score.

    Returns:
        n_cases, n_patients, n_lesions, n_components, threshold; sensitivity (found / all lesions; None without
        a lesion) and false_positives_per_case (None without a case), and their `_interval`, [lower, upper] or
        None; sensitivity_at, the sensitivities at `FALSE_POSITIVES` where all components count by their scores;
        froc, of `froc_points`.

    Raises:
        ValueError: no draws.
    """
    counted = [[lesion for score, lesion in zip(c.scores, c.lesions, strict=True) if score >= threshold] for c in cases]
    hits = np.array([sum(lesion is not None for lesion in found) for found in counted], dtype=np.float64)
    wrong = np.array([sum(lesion is None for lesion in found) for found in counted], dtype=np.float64)
    lesions = np.array([case.n_lesions for case in cases], dtype=np.float64)
    patient = number_patients([case.patient for case in cases], len(cases))
    summary: dict[str, Any] = {
        "n_cases": len(cases),
        "n_patients": len(set(patient.tolist())),
        "n_lesions": int(lesions.sum()),
        "n_components": int(hits.sum() + wrong.sum()),
        "threshold": threshold,
    }
    for name, above, below in (
        ("sensitivity", hits, lesions),
        ("false_positives_per_case", wrong, np.ones(len(cases))),
    ):
        defined = below.sum() > 0
        summary[name] = float(above.sum() / below.sum()) if defined else None
        summary[f"{name}_interval"] = _ratio_interval(above, below, patient, draws, seed) if defined else None
    curve = froc_curve(cases)
    summary["sensitivity_at"] = {f"{rate:g}": curve.at(rate) for rate in FALSE_POSITIVES} if lesions.sum() else {}
    summary["froc"] = froc_points(cases, curve, draws, seed) if lesions.sum() else []
    return summary


def froc_points(cases: Sequence[LesionsFound], curve: Froc, draws: int, seed: int) -> list[list[float | None]]:
    """Return the FROC curve as it is drawn: false positives per case, sensitivity, and the ends of its 95% band.

    At most 101 points, evenly spaced up to the curve's end or `FALSE_POSITIVES`' last; a bound may be None.
    """
    rates = np.unique(np.linspace(0, min(curve.false_positives[-1], FALSE_POSITIVES[-1]), 101))
    rows = zip(rates, map(curve.at, rates), *froc_band(cases, rates.tolist(), draws, seed), strict=True)
    return [[None if np.isnan(value) else round(float(value), 4) for value in row] for row in rows]


def _ratio_interval(
    above: np.ndarray, below: np.ndarray, patient: np.ndarray, draws: int, seed: int
) -> list[float] | None:
    """Return the interval of a ratio of sums over cases; draws that hold nothing below the line are not used."""
    with np.errstate(invalid="ignore"):
        values = np.concatenate([w @ above / (w @ below) for w in patient_weights(patient, draws, seed)])
    return percentile_interval(values, int(patient.max()) + 1, seed).bounds
