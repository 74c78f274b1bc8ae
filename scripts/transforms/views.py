# SPDX-License-Identifier: Apache-2.0
"""2D views of a volume: slices cut from it, or images given per view."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.files.plain_text import listing
from torch import Tensor, nn
from torch.nn import functional

VIEWS = {"axial": "SI", "coronal": "AP", "sagittal": "RL"}
"""View -> both ends of the axis perpendicular to its slices."""
WHOLE = "volume"


class SliceViews(nn.Module):
    """Cuts the slices of named views out of volumes with known axes; has no parameters.

    It is part of the network and thus runs after everything that moves a volume: one spatial draw, of training
    or test-time augmentation, serves all phases and views, and whatever passes volumes to the network
    (predictions, contributions, occlusion, exports) needs no change.

    Slices are taken about the centre of the grid. If the grid is not a cube, planes are zero-padded to a common
    size, so that one encoder sees all of them alike. The axes within a plane keep their order.

    Args:
        views: any of axial, coronal and sagittal, and ``volume`` for the whole volume in addition, which a 3D
            encoder reads; empty means the whole volume alone.
        slices: slices per view; 0 takes all.
        orientation: axes of the grid, as in `ResamplePhasesd`, e.g. RAS.

    Attributes:
        planes: the views that are cut.
        axes: for each of them, the perpendicular axis, 0 to 2.
        channels_per_phase: image channels per phase: 1.

    Shape: [N, C, D, H, W] -> for each view [N, C, S, h, w].

    Raises:
        ValueError: a view that is unknown or named twice, a negative number of slices, or an invalid
            orientation.

    >>> import torch
    >>> cut = SliceViews(["axial", "sagittal"], slices=1, orientation="RAS")
    >>> [list(planes.shape) for planes in cut(torch.rand(2, 1, 6, 8, 4))]
    [[2, 1, 1, 8, 8], [2, 1, 1, 8, 8]]
    """

    def __init__(self, views: Sequence[str] = (), slices: int = 1, orientation: str = "RAS") -> None:
        super().__init__()
        check_views(views)
        if slices < 0:
            raise ValueError(f"slices must be 0 (all) or a number of slices per view, found {slices}")
        ends = ["".join(sorted(pair)) for pair in VIEWS.values()]
        letters = str(orientation)
        if len(letters) != 3 or sorted(_pair(letter) for letter in letters) != sorted(ends):
            raise ValueError(f"orientation must name three axes, such as RAS, found '{orientation}'")
        self.views = list(views)
        self.planes = [view for view in views if view != WHOLE]
        pairs = [_pair(letter) for letter in orientation]
        self.axes: list[int] = [pairs.index("".join(sorted(VIEWS[view]))) for view in self.planes]
        self.slices = slices
        self.channels_per_phase = 1

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the slices of each view."""
        size = [x.size(2), x.size(3), x.size(4)]
        height, width = 0, 0
        for axis in self.axes:
            height = max(height, size[1 if axis == 0 else 0])
            width = max(width, size[1 if axis == 2 else 2])
        found: list[Tensor] = []
        for axis in self.axes:
            depth = size[axis]
            count = depth if self.slices == 0 else min(self.slices, depth)
            planes = x.narrow(axis + 2, (depth - count) // 2, count).movedim(axis + 2, 2)
            up, left = height - planes.size(3), width - planes.size(4)
            if up + left > 0:
                planes = functional.pad(planes, [left // 2, left - left // 2, up // 2, up - up // 2])
            found.append(planes)
        return found

    def least(self, plane: int) -> tuple[int, int, int]:
        """Return the smallest grid (voxels along D, H, W) whose planes have `plane` pixels per side."""
        crossed = [[axis != across for across in self.axes] for axis in range(3)]
        d, h, w = (plane if any(within) else 1 for within in crossed)
        return d, h, w


class GivenViews(nn.Module):
    """Takes views that are given as image channels, ordered by phase and, within a phase, by view.

    Args:
        views: names of the views, in the order of the channels of a phase.

    Attributes:
        planes: the views.
        channels_per_phase: image channels per phase: V.

    Shape: [N, C V, 1, H, W] -> for each view [N, C, 1, H, W].

    Raises:
        ValueError: no view, or a view that is unknown or named twice.
    """

    def __init__(self, views: Sequence[str]) -> None:
        super().__init__()
        check_views(views)
        if not views or WHOLE in views:
            raise ValueError(
                f"images need views among {', '.join(VIEWS)}, found [{', '.join(views)}]; name those of dataset.json"
            )
        self.views = list(views)
        self.planes = list(views)
        self.channels_per_phase = len(views)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the channels of each view."""
        found: list[Tensor] = []
        for v in range(self.channels_per_phase):
            found.append(x[:, v :: self.channels_per_phase])
        return found

    def least(self, plane: int) -> tuple[int, int, int]:
        """Return the smallest grid for planes of `plane` pixels per side: a single slice."""
        return 1, plane, plane


def channel_names(phases: Sequence[str], slicer: SliceViews | GivenViews) -> list[str]:
    """Return the keys of a case's files in dataset.json: its phases or, if views are given, <phase>_<view>.

    >>> channel_names(["pre", "portal"], GivenViews(["axial", "coronal"]))
    ['pre_axial', 'pre_coronal', 'portal_axial', 'portal_coronal']
    """
    if isinstance(slicer, SliceViews):
        return list(phases)
    return [f"{phase}_{view}" for phase in phases for view in slicer.views]


def check_views(views: Sequence[str]) -> None:
    """Refuse a view that is unknown or named twice."""
    known = [*VIEWS, WHOLE]
    for view in views:
        if view not in known:
            raise ValueError(f"views must be among {listing(view, known)}, found '{view}'; correct the name")
        if list(views).count(view) > 1:
            raise ValueError(f"views must be different, found '{view}' twice in [{', '.join(views)}]")


def _pair(letter: str) -> str:
    """Return both ends of the axis that a letter belongs to, sorted; empty for other letters."""
    return next(("".join(sorted(pair)) for pair in VIEWS.values() if letter.upper() in pair), "")
