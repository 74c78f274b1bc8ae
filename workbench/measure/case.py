# SPDX-License-Identifier: Apache-2.0
"""All measures of one case: its masks and images are read once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scripts.cases.document import Item
from scripts.cases.masks import ROI
from scripts.volumes.grid import open_phase, sample_volume
from scripts.volumes.volume import BadVolume
from workbench.measure.change import absolute_washout, enhancement, relative_enhancement, shift, volume_change, washout
from workbench.measure.columns import Measure, Measured, Values, all_measures
from workbench.measure.masks import Labels, Masks, read_labels
from workbench.measure.shape import shape_measures
from workbench.measure.thickness import wall_thickness

LEAST_INSIDE = 0.9  # Share of a structure's voxels that must lie inside an image for its intensities
Known = float | None


def measure_case(item: Item, masks: Masks, measured: Measured) -> Values:
    """Measure every structure of a case.

    Sizes and shapes come from a mask on its own voxels. Intensities are those of the image of the same phase
    (of every phase, where the case has one mask) at the mask's voxels: where both lie on one grid they are
    the voxels themselves, else they are interpolated, trilinearly. A structure that its mask does not show
    has the volume 0 and nothing else; without a mask, or an image, all that needs it is missing.

    Args:
        item: case, and image {phase: path}.
        masks: phase, or `ROI`, -> file.

    Raises:
        FileNotFoundError, BadVolume: a file that cannot be read; a mask that lies outside of the image.
    """
    found = _Found(item, masks, measured)
    return {measure: found.value(measure) for measure in all_measures(measured)}


class _Found:
    """What is known of one case: by structure, mask and kind, before phases are compared."""

    def __init__(self, item: Item, masks: Masks, measured: Measured) -> None:
        self.baseline = measured.baseline
        self.sizes: dict[tuple[str, str], Mapping[str, Known]] = {}  # of structure and phase of the mask
        self.levels: dict[tuple[str, str], Mapping[str, Known]] = {}  # of structure and phase of the image
        self.centroids: dict[tuple[str, str], list[float]] = {}
        for key, path in masks.items():
            labels = read_labels(path, item["case"], key, measured.structures)
            self._measure(labels, key, measured)
            for phase in measured.phases if key == ROI else [key]:
                if phase in item["image"]:
                    self._look(item, phase, labels, measured)

    def _measure(self, labels: Labels, key: str, measured: Measured) -> None:
        for value, structure in enumerate(measured.structures, start=1):
            inside = labels.values == value
            sizes = shape_measures(inside, labels.spacing)
            if structure in measured.walls:
                sizes |= wall_thickness(inside, labels.spacing)
            self.sizes[structure, key] = sizes
            if inside.any():
                middle = np.argwhere(inside).mean(axis=0)
                self.centroids[structure, key] = (labels.affine[:3, :3] @ middle + labels.affine[:3, 3]).tolist()

    def _look(self, item: Item, phase: str, labels: Labels, measured: Measured) -> None:
        if not labels.values.any():
            return
        volume = open_phase(item["image"][phase], item["case"], phase)
        shape = labels.values.shape
        image, covered = sample_volume(volume, labels.affine, (shape[0], shape[1], shape[2]))
        for value, structure in enumerate(measured.structures, start=1):
            inside = labels.values == value
            if not inside.any():
                continue
            share = float(covered[inside].mean())
            if share < LEAST_INSIDE:
                raise BadVolume(
                    f"case {item['case']}: phase {phase!r}: {structure!r} in {labels.path} must lie inside the image, "
                    f"found {1 - share:.0%} of it outside of {volume.path}; correct a header, or take the mask out"
                )
            self.levels[structure, phase] = intensity_measures(image[inside & covered])

    def value(self, measure: Measure) -> Known:
        """Return one measure, None where what it needs is not known."""
        structure, kind, phases = measure.structure, measure.kind, measure.phases

        def volume(phase: str) -> Known:
            return self.sizes.get((structure, phase), {}).get("volume")

        def level(phase: str | None) -> Known:
            return self.levels.get((structure, phase or ""), {}).get("mean")

        match kind, phases:
            case "volume_change", (first, later):
                return volume_change(volume(first), volume(later))
            case "shift", (first, later):
                return shift(self.centroids.get((structure, first)), self.centroids.get((structure, later)))
            case "enhancement", (phase,):
                return enhancement(level(self.baseline), level(phase))
            case "relative_enhancement", (phase,):
                return relative_enhancement(level(self.baseline), level(phase))
            case "washout", (phase, later):
                return washout(level(phase), level(later))
            case "absolute_washout", (phase, later):
                return absolute_washout(level(self.baseline), level(phase), level(later))
        place = structure, phases[0] if phases else ROI
        of_size = self.sizes.get(place, {})
        return of_size[kind] if kind in of_size else self.levels.get(place, {}).get(kind)


def intensity_measures(values: np.ndarray) -> dict[str, Known]:
    """Return mean, standard deviation (of the population) and the 10%, 50% and 90% percentile of voxels.

    In the unit of the image: HU of CT, none of MR.

    >>> intensity_measures(np.array([1.0, 2.0, 3.0]))["p50"]
    2.0
    """
    values = values.astype(np.float64)
    low, middle, high = (float(one) for one in np.percentile(values, [10, 50, 90]))
    return {"mean": float(values.mean()), "sd": float(values.std()), "p10": low, "p50": middle, "p90": high}
