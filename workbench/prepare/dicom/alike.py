# SPDX-License-Identifier: Apache-2.0
"""Group images by a tag: at the gaps between its values, because rounding can separate two close values."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from workbench.prepare.dicom.slices import Slice

SAME_DIRECTION = 0.5
"""Two images turned by more degrees have different directions, unless images in between connect them."""


@dataclass(frozen=True)
class Trait:
    """A tag, or several, by which images differ."""

    value: Callable[[Slice], Hashable]  # of an image; None where it has none
    name: Callable[[Slice], str]  # of a group, after one of its images
    # largest difference between two neighbouring values that count as one, in their unit; None: values are not
    # numbers, or must be equal
    gap: float | None = None
    share: float = 0.0  # the same as a share of the value; the larger limit counts

    def groups(self, slices: Sequence[Slice]) -> list[list[Slice]]:
        """Return the images in groups, in the order of the values; those without a value come first."""
        found: dict[Hashable, list[Slice]] = {}
        for image in slices:
            found.setdefault(self.value(image), []).append(image)
        values = sorted(found, key=lambda value: (value is not None, value))
        groups: list[list[Slice]] = []
        before: Hashable = None
        for value in values:
            if before is None or not self._near(before, value):
                groups.append([])
            groups[-1] += found[value]
            before = value
        return groups

    def _near(self, low: Hashable, high: Hashable) -> bool:
        if self.gap is None or not isinstance(low, float) or not isinstance(high, float):
            return False
        return high - low <= max(self.gap, self.share * abs(high))


def _pixels(image: Slice) -> str:
    return "pixels of {:.4g} x {:.4g} mm".format(*image.spacing)


def _contrast(image: Slice) -> str:
    return "contrast" if image.contrast else "no contrast"


def _inversion(image: Slice) -> str:
    return _number(image.inversion_time, "inversion", " ms")


def _b_value(image: Slice) -> str:
    return _number(image.b_value, "b", "").replace("no b", "no b-value")


def _number(value: float | None, name: str, unit: str) -> str:
    return f"no {name}" if value is None else f"{name} {round(value, 2):g}{unit}"


THICKNESS = Trait(lambda image: image.thickness, lambda image: _number(image.thickness, "thickness", " mm"), 0.0, 0.1)
CONSTANT = (
    Trait(lambda image: image.shape, lambda image: "{} x {}".format(*image.shape)),
    Trait(lambda image: image.spacing[0], _pixels, 0.0, 1e-3),
    Trait(lambda image: image.spacing[1], _pixels, 0.0, 1e-3),
    Trait(lambda image: image.b_value, _b_value, 1.0, 0.01),
    Trait(lambda image: image.echo_time, lambda image: _number(image.echo_time, "echo", " ms"), 0.05, 0.02),
    Trait(lambda image: image.flip_angle, lambda image: _number(image.flip_angle, "flip", " deg"), 0.5, 0.02),
    Trait(lambda image: image.inversion_time, _inversion, 1.0, 0.01),
    Trait(lambda image: image.kernel or None, lambda image: f"kernel {image.kernel or '-'}"),
)  # fmt: skip
"""What never differs within a volume; where a series has several volumes, these name them."""
WHERE_REPEATED = (
    ("kind", Trait(lambda image: image.kind, lambda image: "/".join(image.kind))),
    ("contrast", Trait(lambda image: image.contrast, _contrast)),
    ("time point", Trait(lambda image: image.temporal_position, lambda image: "")),
    ("trigger time", Trait(lambda image: image.trigger_time, lambda image: "", 1.0)),
    ("acquisition", Trait(lambda image: image.acquisition, lambda image: "")),
    ("direction", Trait(lambda image: image.direction or None, lambda image: "")),
    ("thickness", THICKNESS),
    ("time", Trait(lambda image: image.seconds, lambda image: "")),
)  # fmt: skip
"""What may differ from slice to slice of one volume, so that it counts only where positions are repeated."""


def by_direction(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Return the images in groups of one direction in space, most images first.

    Two directions count as one where the angles between their rows and between their columns stay below
    `SAME_DIRECTION`, directly or through others in between.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    directions, index = np.unique([image.orientation for image in slices], axis=0, return_inverse=True)
    if len(directions) == 1:
        return [list(slices)]
    limit = np.radians(SAME_DIRECTION)  # the chord of a small angle is the angle
    labels = fcluster(linkage(directions, "single", metric=_angle), limit, "distance")[index.ravel()]
    groups = [[image for image, own in zip(slices, labels, strict=True) if own == label] for label in np.unique(labels)]
    return sorted(groups, key=len, reverse=True)


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    return max(float(np.linalg.norm(one[:3] - other[:3])), float(np.linalg.norm(one[3:] - other[3:])))


def words_apart(groups: Sequence[Sequence[Slice]]) -> list[str]:
    r"""Return the words of ImageType that tell groups of images apart.

    E.g. W, IP and OP for groups of DERIVED\PRIMARY\W\W, DERIVED\PRIMARY\IP\IP and DERIVED\PRIMARY\OP\OP.
    """
    kinds = [group[0].kind for group in groups]
    shared = set.intersection(*(set(kind) for kind in kinds))
    return ["/".join(dict.fromkeys(word for word in kind if word not in shared)) or "/".join(kind) for kind in kinds]


def values_apart(slices: Sequence[Slice]) -> str:
    """Say why the values of images cannot be combined in one volume, or ""."""
    scales = [image.scale for image in slices]
    if len({scale.slope is None for scale in scales}) > 1:
        number = sum(scale.slope is None for scale in scales)
        return f"{number} of {len(slices)} images have no rescale slope, the others have one"
    traits = {"units": "unit", "types of value": "kind", "real world values": "real"}
    for what, trait in traits.items():
        found = {getattr(scale, trait) for scale in scales}
        if len(found) > 1:
            return f"images in different {what}: {', '.join(sorted(name or 'none' for name in found))}"
    if len({scale.inverted for scale in scales}) > 1 and slices[0].modality not in ("CT", "PT"):
        return "some images meant to be shown with low values black, others white (MONOCHROME1)"
    return ""
