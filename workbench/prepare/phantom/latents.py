# SPDX-License-Identifier: Apache-2.0
"""What is true about a phantom case before any voxel is drawn: class, lesion contrast, clinical table.

The class is hidden in the *relation* between phases. Over the liver around it, the lesion stands out by

    pre:       b
    arterial:  b + exp(mu_a + g + s * d + r_a)         wash-in
    portal:    b + exp(mu_p + g - s * d + r_p)         wash-out

in HU, with s = +1 for `high` and -1 for `low` grade, b ~ N(BASELINE_HU, BASELINE_SD_HU^2) and independent
normal g (one gain per patient, large), r_a and r_p (small). The gain multiplies the lesion's enhancement,
not the image, so the enhancement of a single phase says little, while the gain cancels in the ratio
arterial / portal.

Phases and clinical values are missing completely at random; as in practice it is most often the unenhanced
phase that was not acquired.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

PHASES = ("pre", "arterial", "portal")
REFERENCE = "portal"
CLASSES = ("low", "high")
SITES = ("A", "B", "C")
CLINICAL = (
    {"name": "age", "unit": "years", "kind": "number"},
    {"name": "sex", "kind": "category", "values": ["F", "M"]},
    {"name": "log_afp", "unit": "log10(ng/mL)", "kind": "number"},
    {"name": "cirrhosis", "kind": "category", "values": ["no", "yes"]},
)

BASELINE_HU = -12.0
BASELINE_SD_HU = 6.0
LOG_ENHANCEMENT = {"arterial": math.log(40.0), "portal": math.log(30.0)}
CLASS_SHIFT = {"arterial": 0.28, "portal": -0.28}
GAIN_SD = 0.61
RESIDUAL_SD = 0.18

AGE_YEARS, AGE_SD_YEARS = (60.5, 63.5), 10.0
LOG_AFP, LOG_AFP_SD = (1.05, 1.45), 0.8
MALE = (0.62, 0.72)
CIRRHOSIS = (0.45, 0.60)

PHASE_MISSING = {"pre": 0.18, "arterial": 0.06, "portal": 0.06}
VALUE_MISSING = 0.15


@dataclass(frozen=True)
class Latents:
    """The truth about one case."""

    label: int  # index into `CLASSES`
    # lesion minus surrounding liver in HU, in `PHASES` order, absent phases included
    contrast_hu: tuple[float, ...]
    present: tuple[bool, ...]  # whether each phase was acquired; at least one is
    clinical: dict[str, float | str]  # the values that are not missing, by name
    site: str  # where the patient was scanned

    def present_phases(self) -> list[str]:
        return [phase for phase, there in zip(PHASES, self.present, strict=True) if there]


def case_rng(seed: int, index: int, purpose: str) -> np.random.Generator:
    """The random stream of one case for one purpose: it depends on nothing but (seed, index, purpose)."""
    return np.random.default_rng([seed, index, *purpose.encode()])


def case_label(seed: int, index: int) -> int:
    """Cases 2k and 2k+1 are one low and one high, in random order: any even-sized run of cases is balanced.

    >>> [case_label(0, i) + case_label(0, i + 1) for i in range(0, 10, 2)]
    [1, 1, 1, 1, 1]
    """
    first = int(case_rng(seed, index // 2, "label").integers(2))
    return first if index % 2 == 0 else 1 - first


def draw_contrast_hu(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Lesion contrast of many cases at once.

    Shape:
        label [N] -> [N, 3] in HU, in `PHASES` order.
    """
    sign = 2.0 * np.asarray(label) - 1.0
    gain = GAIN_SD * rng.standard_normal(sign.shape)
    baseline = BASELINE_HU + BASELINE_SD_HU * rng.standard_normal(sign.shape)
    columns = [baseline]
    for phase in PHASES[1:]:
        residual = RESIDUAL_SD * rng.standard_normal(sign.shape)
        log_enhancement = LOG_ENHANCEMENT[phase] + gain + sign * CLASS_SHIFT[phase] + residual
        columns.append(baseline + np.exp(log_enhancement))
    return np.stack(columns, axis=-1)


def draw_clinical(rng: np.random.Generator, label: int) -> dict[str, float | str]:
    """A clinical table row, about 15% of its values missing; independent of the images given the class."""
    values: dict[str, float | str] = {
        "age": int(np.clip(round(rng.normal(AGE_YEARS[label], AGE_SD_YEARS)), 18, 95)),
        "sex": "M" if rng.random() < MALE[label] else "F",
        "log_afp": round(float(rng.normal(LOG_AFP[label], LOG_AFP_SD)), 2),
        "cirrhosis": "yes" if rng.random() < CIRRHOSIS[label] else "no",
    }
    kept = rng.random(len(values)) >= VALUE_MISSING
    return {name: value for (name, value), keep in zip(values.items(), kept, strict=True) if keep}


def draw_latents(seed: int, index: int) -> Latents:
    """Everything that is true about case `index` of the phantom with this seed."""
    label = case_label(seed, index)
    rng = case_rng(seed, index, "latents")
    contrast = draw_contrast_hu(rng, np.array([label]))[0]
    present = rng.random(len(PHASES)) >= np.array([PHASE_MISSING[phase] for phase in PHASES])
    if not present.any():
        present[PHASES.index(REFERENCE)] = True
    site = SITES[int(rng.integers(len(SITES)))]
    clinical = draw_clinical(rng, label)
    return Latents(label, tuple(contrast.tolist()), tuple(present.tolist()), clinical, site)
