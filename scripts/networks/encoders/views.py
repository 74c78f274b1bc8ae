# SPDX-License-Identifier: Apache-2.0
"""Encoding of a phase by 2D views, slice by slice, optionally together with the whole volume."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from scripts.networks.guarded import GuardedConv3d
from scripts.networks.parts import Part, maps_of_present, others_wait, scatter, width_of
from torch import Tensor, nn


class ViewEncoder(nn.Module):
    """Encodes each view of a volume into a map, slice by slice with a 2D network.

    [N, C, D, H, W] -> slicer -> V times [N, C, S, h, w] -> folded [N S, C, h, w] -> 2D encoder -> unfolded
    -> V maps [N, F, S, h', w'], whose average over slices and places is the token of the view

    With a volume encoder, the whole volume is an additional, first view; where the 2D encoder has another width,
    a 1 x 1 x 1 convolution brings its maps to that of the volume.

    Args:
        slicer: `SliceViews` or `GivenViews`.
        plane_encoder: constructor (taking ``in_channels``) of a 2D `StagedEncoder`.
        in_channels: channels of a slice.
        share_views: one 2D encoder for all views, or one per view.
        slice_pooling: ``mean`` keeps all slices, to be averaged; ``max`` takes the maximum over the slices.
        volume_encoder: constructor of an encoder for the whole volume; None: the planes alone.

    Attributes:
        maps_per_volume: V, the whole volume included.
        views: their names, in order.

    Raises:
        ValueError: an unknown pooling.

    Reference: for the maximum Su et al., Multi-view convolutional neural networks for 3D shape recognition,
    ICCV 2015.
    """

    __constants__ = ("share_views",)  # lets TorchScript drop the branch that is not taken

    def __init__(
        self,
        slicer: Any,
        plane_encoder: Callable[..., nn.Module],
        in_channels: int = 1,
        share_views: bool = True,
        slice_pooling: str = "mean",
        volume_encoder: Part | None = None,
    ) -> None:
        super().__init__()
        if slice_pooling not in ("mean", "max"):
            raise ValueError(f"slice_pooling must be mean or max, found '{slice_pooling}'")
        self.slicer = slicer
        self.channels_per_phase: int = slicer.channels_per_phase
        self.share_views = share_views
        self.maximum = slice_pooling == "max"
        self.planes: Any
        if share_views:
            self.planes = plane_encoder(in_channels=in_channels)
            first = self.planes
        else:
            self.planes = nn.ModuleList(plane_encoder(in_channels=in_channels) for _ in slicer.planes)
            first = self.planes[0]
        self.volume: Any = None if volume_encoder is None else volume_encoder(in_channels=in_channels)
        least = slicer.least(first.least[0])
        self.out_dim = width_of(first)
        if self.volume is not None:
            self.out_dim = width_of(self.volume)
            own: tuple[int, int, int] = self.volume.min_size  # type: ignore[assignment]
            least = (max(least[0], own[0]), max(least[1], own[1]), max(least[2], own[2]))
        self.min_size: tuple[int, int, int] = least
        self.project: nn.Module = nn.Identity()
        if self.out_dim != width_of(first):
            self.project = GuardedConv3d(width_of(first), self.out_dim, 1)
        self.views: list[str] = [*(["volume"] if self.volume is not None else []), *slicer.planes]
        self.maps_per_volume = len(self.views)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the maps of their views."""
        found: list[Tensor] = []
        if self.volume is not None:
            found.append(self.volume(x).float())
        planes = self.slicer(x)
        if self.share_views:
            maps = self.planes(fold(planes))
            for one in unfold(maps, planes):
                found.append(self.finish(one))
        else:
            for v, encoder in enumerate(self.planes):
                one = unfold(encoder(fold(planes[v : v + 1])), planes[v : v + 1])[0]
                found.append(self.finish(one))
        return found

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the maps of all stages, view by view."""
        found: list[Tensor] = []
        planes = self.slicer(x)
        if self.share_views:
            stages = self.planes.stage_maps(fold(planes))
            for v in range(len(planes)):
                for maps in stages:
                    found.append(self.pooled(unfold(maps, planes)[v]))
        else:
            for v, encoder in enumerate(self.planes):
                for maps in encoder.stage_maps(fold(planes[v : v + 1])):
                    found.append(self.pooled(unfold(maps, planes[v : v + 1])[0]))
        return found

    def finish(self, maps: Tensor) -> Tensor:
        """Pool the slices, and bring the maps to the width of those of the volume."""
        return self.project(self.pooled(maps).float()).float()

    def pooled(self, maps: Tensor) -> Tensor:
        """Take the maximum over the slices, or keep them all: [N, F, S, h, w] -> [N, F, 1 or S, h, w]."""
        return maps.amax(dim=2, keepdim=True) if self.maximum else maps

    @torch.jit.unused
    def maps_of_present(self, volumes: Tensor, present: Tensor) -> list[Tensor]:
        """Encode present views only, so that normalisation statistics never include an absent one.

        Args:
            volumes: [N, c, D, H, W].
            present: [N, V] bool.

        Returns:
            V maps [N, F, s, h, w] in float32, 0 where absent; a single voxel where all are absent.
        """
        found: list[Tensor] = []
        if self.volume is not None:
            found.append(maps_of_present(self.volume, volumes, present[:, 0], self.out_dim))
            present = present[:, 1:]

        def encode(encoder: Any, planes: list[Tensor]) -> list[list[Tensor]]:
            return [[self.finish(one)] for one in unfold(encoder(fold(planes)), planes)]

        return found + [maps[0] for maps in self._encode_present(encode, volumes, present, [self.out_dim])]

    @torch.jit.unused
    def stage_maps_of_present(self, volumes: Tensor, present: Tensor, dims: list[int]) -> list[Tensor]:
        """As `maps_of_present`, for the stages: V L maps; `dims` are the channels of the L stages."""

        def encode(encoder: Any, planes: list[Tensor]) -> list[list[Tensor]]:
            stages = encoder.stage_maps(fold(planes))
            return [[self.pooled(unfold(maps, planes)[v]).float() for maps in stages] for v in range(len(planes))]

        return [one for maps in self._encode_present(encode, volumes, present, dims) for one in maps]

    def _encode_present(
        self,
        encode: Callable[[Any, list[Tensor]], list[list[Tensor]]],
        volumes: Tensor,
        present: Tensor,
        dims: list[int],
    ) -> list[list[Tensor]]:
        """Encode the present planes together, or view by view: for each view its maps, 0 where absent."""
        index = [present[:, v].nonzero().squeeze(1) for v in range(present.shape[1])]
        planes = [one[where] for one, where in zip(self.slicer(volumes), index, strict=True)]
        encoders = [self.planes] if self.share_views else list(self.planes)
        together = [planes] if self.share_views else [[one] for one in planes]
        found: list[list[Tensor]] = []
        for encoder, part in zip(encoders, together, strict=True):
            some = torch.tensor([len(one) > 0 for one in part], device=volumes.device)
            waited_for = others_wait(encoder, some)
            if some.any():
                found += encode(encoder, part)
            elif waited_for:
                with torch.autocast(volumes.device.type, enabled=False):  # the other processes exchange float32, too
                    found += encode(encoder, [one.float() for one in part])
            else:
                found += [[volumes.new_zeros(0, dim, 1, 1, 1) for dim in dims] for _ in part]
        return [[scatter(maps, where, len(volumes)) for maps in view] for view, where in zip(found, index, strict=True)]


def fold(planes: list[Tensor]) -> Tensor:
    """Stack the slices of views [N, C, S, h, w] along the batch: [sum of N S, C, h, w]."""
    folded: list[Tensor] = []
    for one in planes:
        folded.append(one.transpose(1, 2).flatten(0, 1))
    return torch.cat(folded)


def unfold(maps: Tensor, planes: list[Tensor]) -> list[Tensor]:
    """Undo `fold` for the maps [sum of N S, F, h', w'] of its slices: [N, F, S, h', w'] for each view."""
    found: list[Tensor] = []
    start = 0
    for one in planes:
        count = one.size(0) * one.size(2)
        view = maps[start : start + count]
        view = view.reshape([-1, one.size(2), view.size(1), view.size(2), view.size(3)])
        found.append(view.transpose(1, 2))
        start += count
    return found


def reader(
    encoder: Part,
    plane_encoder: Callable[..., nn.Module],
    slicer: Any,
    share_views: bool = True,
    slice_pooling: str = "mean",
) -> Part:
    """Return what encodes a phase: the encoder where no view is named, else a constructor of a `ViewEncoder`.

    Args:
        encoder: constructor or ready encoder of whole volumes.
        plane_encoder: constructor of a 2D encoder.
        slicer: `SliceViews` or `GivenViews`; where it names the view ``volume``, both encoders are used.
        share_views: True: one 2D encoder for all views; False: one per view.
        slice_pooling: ``mean`` or ``max``, over the slices of a view.
    """
    if not slicer.planes:
        return encoder
    return partial(
        ViewEncoder,
        slicer,
        plane_encoder,
        share_views=share_views,
        slice_pooling=slice_pooling,
        volume_encoder=encoder if len(slicer.planes) < len(slicer.views) else None,
    )


def token_names(phases: list[str], views: list[str]) -> list[str]:
    """Name the tokens of an image, ordered by phase, then by view, the whole volume before the planes.

    >>> token_names(["pre", "portal"], ["axial", "volume"])
    ['pre volume', 'pre axial', 'portal volume', 'portal axial']
    """
    ordered = sorted(views, key=lambda view: view != "volume")
    return [f"{phase} {view}" for phase in phases for view in ordered] if ordered else list(phases)
