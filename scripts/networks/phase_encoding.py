# SPDX-License-Identifier: Apache-2.0
"""The way from an image of several phases to the maps of each."""

from __future__ import annotations

from typing import Any

import torch
from scripts.networks.fusion.base import zero_absent
from scripts.networks.parts import (
    Part,
    build,
    check_phases,
    image_channels,
    maps_of_present,
    maps_per_volume,
    own,
    token_presence,
    width_of,
)
from torch import Tensor, nn


class PhaseEncoding(nn.Module):
    """What networks inherit that encode the phases each for itself.

    While training, absent phases are left out of the encoder, so that batch normalisation sees present
    volumes only. In evaluation they are encoded as zeros and their maps replaced, so that shapes never depend
    on data.
    """

    __constants__ = ("share_encoder", "several")  # lets TorchScript leave the other branch out

    def set_encoder(self, encoder: Part, num_phases: int, share_encoder: bool) -> None:
        """Build the encoder of all phases, or one per phase: copies of a ready one."""
        self.num_phases = num_phases
        self.share_encoder = share_encoder
        self.encoder: Any  # a module, or one per phase: copies of a ready one
        if share_encoder:
            self.encoder = build(encoder, in_channels=1)
        else:
            self.encoder = nn.ModuleList(build(own(encoder), in_channels=1) for _ in range(num_phases))
        first = self.encoder if share_encoder else self.encoder[0]
        self.several = maps_per_volume(first) > 0
        self.num_views = max(maps_per_volume(first), 1)
        self.channels = image_channels(first)
        self.token_dim = width_of(first)

    def seen(self, image: Tensor, present: Tensor | None) -> Tensor:
        """Check the image and return which of its tokens are present, [B, P V]; see `token_presence`."""
        check_phases(image, self.num_phases, self.channels)
        return token_presence(image, present, self.num_phases, self.num_views, self.channels)

    def encode(self, image: Tensor, present: Tensor) -> list[Tensor]:
        """Encode the phases: image [B, P, D, H, W], present [B, P V] -> P V maps, in the precision of the encoder."""
        if not torch.jit.is_scripting() and self.training:
            return self._maps_of_present(image, present)
        by_channel = [-1, self.num_phases * self.channels, self.num_views // self.channels]
        image = zero_absent(image, present.reshape(by_channel).any(dim=2))
        found: list[Tensor] = []
        if self.share_encoder:
            volumes = image.reshape([-1, self.channels, image.size(2), image.size(3), image.size(4)])
            views = self.encoder(volumes) if self.several else [self.encoder(volumes)]
            for p in range(self.num_phases):
                for maps in views:
                    found.append(maps[p :: self.num_phases])
        else:
            for p, encoder in enumerate(self.encoder):
                volumes = image[:, p * self.channels : (p + 1) * self.channels]
                views = encoder(volumes) if self.several else [encoder(volumes)]
                for maps in views:
                    found.append(maps)
        return found

    @torch.jit.unused
    def _maps_of_present(self, image: Tensor, present: Tensor) -> list[Tensor]:
        if self.share_encoder:
            volumes = image.unflatten(1, [self.num_phases, self.channels]).flatten(0, 1)
            views = self._encode_present(self.encoder, volumes, present.reshape(-1, self.num_views))
            by_phase = [maps.unflatten(0, (-1, self.num_phases)).unbind(dim=1) for maps in views]
            return [maps[p] for p in range(self.num_phases) for maps in by_phase]
        volumes = image.unflatten(1, (self.num_phases, self.channels)).unbind(dim=1)
        there = present.unflatten(1, (self.num_phases, self.num_views)).unbind(dim=1)
        return [
            maps
            for p, encoder in enumerate(self.encoder)
            for maps in self._encode_present(encoder, volumes[p], there[p])
        ]

    @torch.jit.unused
    def _encode_present(self, encoder: Any, volumes: Tensor, present: Tensor) -> list[Tensor]:
        """Encode volumes [N, c, D, H, W] whose views are `present` [N, V] into V maps."""
        if self.several:
            return encoder.maps_of_present(volumes, present)
        return [maps_of_present(encoder, volumes, present[:, 0], self.token_dim)]
