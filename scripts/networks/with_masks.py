# SPDX-License-Identifier: Apache-2.0
"""A classifier whose encoder also learns to outline: a decoder beside it, which only the training has."""

from __future__ import annotations

from typing import Any

import torch
from scripts.networks.base import PhaseNetwork
from scripts.networks.decoders import resize
from scripts.networks.encoders.stages import StageEncoder
from scripts.networks.fusion.base import align
from scripts.networks.guarded import guard_normalisation
from scripts.networks.outline_decoders import UNetDecoder
from scripts.networks.parts import scatter
from scripts.networks.phase_encoding import PhaseEncoding
from scripts.networks.plain import OneVolumeNetwork
from torch import Tensor, nn


class WithMasks(nn.Module):
    """Trains a classifier, and lets a decoder outline each phase from the stages of the classifier's own encoder.

    image [B, P, D, H, W] -> encoder -> maps of L stages of each phase -> the last ones: classifier -> logits [B, K]
                                                                       -> all: decoder -> outlines of each phase

    The decoder is that of a U-Net (skips), the same for all phases. It reads the maps of one phase, for these are
    what every fusion begins with. The encoder computes them once. What the classifier answers in training is what
    it answers alone.

    The trainer sees this network; checkpoints, validation and whatever comes after training see `network`, whose
    weights know nothing of masks. The decoder is `training_only`.

    Args:
        network: a classifier that encodes phase by phase: any `PhaseNetwork` but those of one volume.
        num_structures: S.
        weight: weight of the masks in the loss; with 0 there is no decoder.
        width: most channels of a decoded map.

    Raises:
        ValueError: another network; an encoder of planes or without stages, where `weight` is above 0.

    Shape: image [B, P, D, H, W] -> in training what the classifier returns, with ``outline`` [B, P (S + 1), D, H, W],
        logits of each phase's outline, and ``outlined`` [B, P] bool, the phases that were read; in evaluation
        logits [B, K].
    """

    def __init__(self, network: nn.Module, num_structures: int = 1, weight: float = 1.0, width: int = 32) -> None:
        super().__init__()
        self.network: Any = network
        self.num_structures = num_structures
        self.training_only: nn.Module | None = None
        if weight == 0:
            return
        if not isinstance(network, PhaseNetwork) or isinstance(network, OneVolumeNetwork):
            raise ValueError(
                "masks are learned by a network that encodes phase by phase, found "
                f"{type(network).__name__}; choose another strategy of configs/fusion, or --mask_weight 0"
            )
        place = next(network.parameters()).device
        with torch.random.fork_rng(devices=[]):  # what is drawn later is as without masks
            self.stages: Any = network if network.several else PhaseStages(network)
            first = self.stages.encoder if network.share_encoder else self.stages.encoder[0]
            if not isinstance(first, StageEncoder) or first.num_views > 1 or first.channels_per_phase > 1:
                raise ValueError(
                    "masks are learned from whole volumes, found `views`; take them out, or give --mask_weight 0"
                )
            dims = first.dims
            decoder = UNetDecoder(dims, [min(dim, width) for dim in dims], [[3, 3, 3]] * len(dims))
            head = nn.Conv3d(decoder.dims[0], num_structures + 1, 1)
            self.training_only = guard_normalisation(nn.ModuleDict({"decoder": decoder, "head": head})).to(place)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify, and in training outline; arguments as for `Classifier.forward`."""
        if not self.training or self.training_only is None:
            return self.network(image, clinical, present)
        seen = self.network.seen(image, present)
        levels = self.stages.num_views // self.network.num_views
        maps = self.stages.encode(image, seen.repeat_interleave(levels, dim=1))
        count = self.stages.num_views
        own = maps if self.network.several else maps[count - 1 :: count]
        outputs = self.network.in_float32([one.float() for one in own], seen, clinical)
        there = seen[:, :: self.network.num_views]
        by_level = [align(maps[level::count], there).flatten(0, 1) for level in range(count)]
        outline = self._outline(by_level, there, image)
        return outputs | {"outline": outline, "outlined": there}

    def _outline(self, by_level: list[Tensor], present: Tensor, image: Tensor) -> Tensor:
        """Outline the present phases: L maps [B P, C_l, d_l, h_l, w_l] -> [B, P (S + 1), D, H, W], 0 where absent."""
        parts: Any = self.training_only
        index = present.flatten().nonzero().squeeze(1)
        size = image.shape[2:]
        if len(index) == 0:
            return torch.zeros(len(image), present.shape[1] * (self.num_structures + 1), *size, device=image.device)
        decoded = parts["decoder"]([maps[index] for maps in by_level])[0]
        logits = resize(parts["head"](decoded).float(), image)
        return scatter(logits, index, present.numel()).reshape(len(image), -1, *size)


class PhaseStages(PhaseEncoding, nn.Module):
    """Encodes as a network of phases does, and returns the maps of every stage: the encoders are its own.

    Args:
        network: whose encoders return their last map.
    """

    def __init__(self, network: PhaseNetwork) -> None:
        super().__init__()
        encoders = iter([network.encoder] if network.share_encoder else network.encoder)
        self.set_encoder(lambda in_channels: StageEncoder(next(encoders)), network.num_phases, network.share_encoder)
