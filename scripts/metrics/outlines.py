# SPDX-License-Identifier: Apache-2.0
"""Overlap, distance and volume of predicted outlines against true ones: by case, and averaged by patient."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scripts.metrics.interval import number_patients, patient_weights, percentile_interval

OUTLINE_TITLES = {
    "dice": "Dice",
    "surface_dice": "surface Dice",
    "hausdorff_95_mm": "95% Hausdorff distance (mm)",
    "volume_error_ml": "volume error (ml)",
    "volume_error_percent": "volume error (%)",
    "absolute_volume_error_percent": "absolute volume error (%)",
}
"""Metric -> its title, in the order of tables. The volume error is predicted minus true volume."""
EMPTY_RULE = (
    "A structure that is in neither outline counts in no average. One that is in only one of the two has Dice and "
    "surface Dice 0 and, as its 95% Hausdorff distance, the diagonal of the volume; a volume error in % needs a true "
    "volume."
)
MEAN = "mean"  # The row of all structures together, each with the same weight
MM3_PER_ML = 1000.0
Row = dict[str, Any]


def outline_scores(
    prediction: np.ndarray,
    truth: np.ndarray,
    spacing: Sequence[float],
    structures: Sequence[str],
    tolerance_mm: float = 2.0,
) -> list[Row]:
    """Compare a predicted label map with the true one, structure by structure.

    - dice = 2 |P and T| / (|P| + |T|), from 0 to 1.
    - surface_dice: the share of both surfaces, by area, that lies within the tolerance of the other one
      (normalised surface distance), from 0 to 1.
    - hausdorff_95_mm: of the distances of each surface to the other one the 95% quantile, the larger of both.
    - volume_ml (true), predicted_volume_ml, volume_error_ml and volume_error_percent (predicted minus true),
      and the latter without its sign.

    A structure in neither map has None everywhere but for volumes. One in a single map has Dice and surface
    Dice 0, and as distance the diagonal of the volume from outer edge to outer edge, the largest one possible:
    left out, it would reward a model for not finding anything. Without a true volume there is no error in %.

    Args:
        prediction, truth: whole numbers [D, H, W], 0 outside of all structures, then their numbers.
        spacing: mm between voxels along the three axes of the maps.
        structures: names of the values 1, 2, ...
        tolerance_mm: what counts as the same surface.

    Returns:
        One dictionary for each structure: structure, in_truth, in_prediction, and the above; None: undefined.

    Raises:
        ValueError: maps of different shapes or not 3D, values without a name (255, a mask that was not drawn,
            among them), a spacing that is not above 0, or a tolerance below 0.

    Reference: Nikolov et al., Clinically applicable segmentation of head and neck anatomy for radiotherapy, J
        Med Internet Res 23, 2021 (surface Dice); Maier-Hein et al., Metrics reloaded, Nat Methods 21, 2024.
        By MONAI's `compute_surface_dice` (subvoxel) and `compute_hausdorff_distance`.
    """
    prediction, truth, steps = _checked(prediction, truth, spacing, structures, tolerance_mm)
    voxel_ml = float(np.prod(steps)) / MM3_PER_ML
    diagonal = float(np.linalg.norm(np.array(truth.shape) * steps))
    rows = []
    for value, structure in enumerate(structures, start=1):
        found, drawn = prediction == value, truth == value
        n_found, n_drawn = int(found.sum()), int(drawn.sum())
        row: Row = {"structure": structure, "in_truth": n_drawn > 0, "in_prediction": n_found > 0}
        row |= dict.fromkeys(OUTLINE_TITLES)
        if n_found or n_drawn:
            row["dice"] = 2 * int((found & drawn).sum()) / (n_found + n_drawn)
            row["surface_dice"], row["hausdorff_95_mm"] = 0.0, diagonal
        if n_found and n_drawn:
            distances = _surface_scores(found, drawn, steps, tolerance_mm)
            row["surface_dice"], row["hausdorff_95_mm"] = distances
        row |= {"volume_ml": n_drawn * voxel_ml, "predicted_volume_ml": n_found * voxel_ml}
        row["volume_error_ml"] = (n_found - n_drawn) * voxel_ml
        if n_drawn:
            row["volume_error_percent"] = 100 * (n_found - n_drawn) / n_drawn
            row["absolute_volume_error_percent"] = abs(row["volume_error_percent"])
        rows.append(row)
    return rows


def _checked(
    prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float], structures: Sequence[str], tolerance_mm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    prediction, truth, steps = np.asarray(prediction), np.asarray(truth), np.asarray(spacing, dtype=np.float64)
    if prediction.shape != truth.shape or truth.ndim != 3:
        raise ValueError(
            f"predicted and true outline must be 3D and of one shape, found {prediction.shape} and {truth.shape}; "
            "bring them onto one grid"
        )
    if steps.shape != (3,) or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(f"spacing must be 3 lengths above 0 mm, found {list(spacing)}; correct it")
    if not 0 <= tolerance_mm < np.inf:
        raise ValueError(f"tolerance_mm must be at least 0, found {tolerance_mm}; correct it")
    for name, labels in (("predicted", prediction), ("true", truth)):
        highest = labels.max(initial=0)
        if highest > len(structures) or labels.min(initial=0) < 0:
            raise ValueError(
                f"the {name} outline must have the values 0 to {len(structures)} ([{', '.join(structures)}]), found "
                f"{labels.min(initial=0)} to {highest}; leave out masks that were not drawn (255)"
            )
    return prediction, truth, steps


def _surface_scores(
    found: np.ndarray, drawn: np.ndarray, spacing: np.ndarray, tolerance_mm: float
) -> tuple[float, float]:
    """Return surface Dice and 95% Hausdorff distance in mm of two structures that are there, bool [D, H, W]."""
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    both = np.argwhere(found | drawn)
    box = tuple(slice(low, high + 1) for low, high in zip(both.min(axis=0), both.max(axis=0), strict=True))
    one, other = (torch.from_numpy(np.pad(mask[box], 1)[None, None]).float() for mask in (found, drawn))
    common: Any = {"include_background": True, "spacing": spacing.tolist()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of an argument that MONAI hands to itself
        dice = compute_surface_dice(one, other, [tolerance_mm], use_subvoxels=True, **common)
        distance = compute_hausdorff_distance(one, other, percentile=95, **common)
    return min(1.0, float(dice)), float(distance)


def outline_summary(rows: Sequence[Mapping[str, Any]], draws: int = 1000, seed: int = 0) -> list[Row]:
    """Average the scores of cases by patient, with 95% intervals by the bootstrap over patients.

    Of each patient the mean of its cases comes first, then the mean over patients, so that a patient with many
    scans counts once. An average is over the patients for whom the metric is defined.

    Args:
        rows: of `outline_scores`, with case, patient and mask (the phase that it was drawn in, or "").
        draws: bootstrap resamples.
        seed: of the resampling.

    Returns:
        A row for each structure and mask; where there are several masks also of each structure over all of
        them (mask None); where there are several structures, last their `MEAN`, within each patient. Each
        has structure, mask, n_patients, n_cases, n_absent (outlines where it is neither in truth nor in
        prediction), n_missed (in truth alone), n_invented (in prediction alone), and for every metric of
        `OUTLINE_TITLES` its mean (None: undefined) and `<metric>_interval` ([lower, upper] or None).
    """
    structures = list(dict.fromkeys(row["structure"] for row in rows))
    masks: list[str | None] = list(dict.fromkeys(row["mask"] for row in rows))
    masks += [None] if len(masks) > 1 else []
    found = []
    for structure in structures:
        for mask in masks:
            chosen = [row for row in rows if row["structure"] == structure and mask in (None, row["mask"])]
            if chosen:
                names = structure, mask
                found.append(_averaged(names, [chosen], draws, seed))
    if len(structures) > 1:
        each = [[row for row in rows if row["structure"] == structure] for structure in structures]
        found.append(_averaged((MEAN, None), each, draws, seed))
    return found


def _averaged(
    names: tuple[str, str | None], parts: Sequence[Sequence[Mapping[str, Any]]], draws: int, seed: int
) -> Row:
    """Return one row of the summary; of several parts the mean within each patient."""
    rows = [row for part in parts for row in part]
    kinds = [(bool(row["in_truth"]), bool(row["in_prediction"])) for row in rows]
    summary: Row = {
        "structure": names[0],
        "mask": names[1],
        "n_patients": len({row["patient"] for row in rows}),
        "n_cases": len({row["case"] for row in rows}),
        "n_absent": kinds.count((False, False)),
        "n_missed": kinds.count((True, False)),
        "n_invented": kinds.count((False, True)),
    }
    for metric in OUTLINE_TITLES:
        each: dict[str, list[float]] = {}
        for part in parts:
            for patient, value in _by_patient(part, metric).items():
                each.setdefault(patient, []).append(value)
        values = np.array([np.mean(found) for found in each.values()])
        summary[metric] = float(values.mean()) if len(values) else None
        summary[f"{metric}_interval"] = bootstrap_mean(values, draws, seed)
    return summary


def _by_patient(rows: Sequence[Mapping[str, Any]], metric: str) -> dict[str, float]:
    """Return the mean of each patient for whom the metric is defined."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row[metric] is not None:
            values.setdefault(row["patient"], []).append(row[metric])
    return {patient: float(np.mean(found)) for patient, found in values.items()}


def bootstrap_mean(values: np.ndarray, draws: int, seed: int) -> list[float] | None:
    """Return the 95% interval of a mean over patients, or None with fewer than 2 of them.

    Args:
        values: [patients].
    """
    if len(values) < 2:
        return None
    patient = number_patients(None, len(values))
    means = np.concatenate([weights @ values / len(values) for weights in patient_weights(patient, draws, seed)])
    return percentile_interval(means, len(values), seed).bounds
