# SPDX-License-Identifier: Apache-2.0
"""Outlines from phases that are encoded each for itself and fused at every stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from scripts.networks.decoders import resize
from scripts.networks.encoders.stages import StageEncoder, StemmedEncoder, starts_at_full_size
from scripts.networks.fusion.base import align
from scripts.networks.guarded import guard_normalisation
from scripts.networks.outline_decoders import DECODERS, FullSize
from scripts.networks.outline_network import OutlineNetwork
from scripts.networks.parts import Part, build, build_fusion, own, width_of
from scripts.networks.phase_encoding import PhaseEncoding
from scripts.networks.plan import plan_stages
from torch import Tensor, nn


class SegmentationNetwork(PhaseEncoding, OutlineNetwork):
    """Fuses the phases at every stage of the encoder, decodes, and outlines on the image's own voxels.

    image [B, P, D, H, W] -> encoder -> maps of L + 1 stages of each phase -> fusion of the phases, one per
    stage -> a_0, ..., a_L -> decoder, from a_L to a_1 -> d_1 -> `FullSize` of a_0 and d_1 -> 1 x 1 x 1 layer

    a_0 has the voxels of the image. It is the first stage of a `PlannedEncoder`; encoders whose first stage is
    coarser, as all that were made to classify, get a stem of `stem_dim` channels that keeps the size, fused as
    the other stages are.

    With one mask per phase the decoder runs once for each phase, with the same weights: at every stage the
    phase's own map stands beside the fused one, [a_l, a_lp], so that it knows which phase it outlines and what
    the others show. The own map of an absent phase is 0.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module, of whole volumes and with stages
            (``stage_maps``).
        fusion: constructor (taking ``num_maps``, ``in_dim`` and ``out_dim``) of a `MapFusion`, one per stage.
        num_phases: P.
        num_structures: S.
        num_masks: M: 1, one mask of the case, or P, one of each phase.
        share_encoder: one encoder for all phases, or one per phase.
        decoder: ``unet``, ``pyramid`` or ``deeplab``, see `outline_decoders`.
        width: most channels of a fused or decoded map; deeplab needs a multiple of 4.
        deep_supervision: in training, ask the decoded maps of coarser stages for the outline, too.
        spacing: mm between voxels along each axis; for the kernels at full size.
        patch_size: voxels of a patch along each axis, likewise.
        stem_dim: channels of the stem, where there is one.

    Raises:
        ValueError: an encoder without stages, or of planes; an unknown decoder; another number of masks.

    Shape: image [B, P, D, H, W] -> logits [B, M (S + 1), D, H, W].

    >>> from scripts.networks.encoders import PlannedEncoder
    >>> from scripts.networks.fusion import AdaptiveConv
    >>> network = SegmentationNetwork(PlannedEncoder, AdaptiveConv, num_phases=2, num_structures=3).eval()
    >>> network(torch.rand(1, 2, 16, 17, 16)).shape
    torch.Size([1, 4, 16, 17, 16])
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Part | None,
        num_phases: int,
        num_structures: int = 1,
        num_masks: int = 1,
        share_encoder: bool = True,
        decoder: str = "unet",
        width: int = 64,
        deep_supervision: bool = False,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        patch_size: Sequence[int] = (64, 64, 64),
        stem_dim: int = 8,
    ) -> None:
        super().__init__(num_phases, num_structures, num_masks, deep_supervision)
        if decoder not in DECODERS:
            raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, found {decoder!r}; correct the name")
        flat = plan_stages(spacing, patch_size, max_stages=2)[0][0]

        def staged(in_channels: int) -> nn.Module:
            made: Any = build(encoder if share_encoder else own(encoder), in_channels=in_channels)
            stages = StageEncoder(made, in_channels)  # says what is wrong with an encoder
            if stages.num_views > 1 or stages.channels_per_phase > 1:
                raise ValueError("outlines need an encoder of whole volumes, found `views`; take them out")
            if starts_at_full_size(made, patch_size):
                return stages
            return StageEncoder(StemmedEncoder(made, in_channels, stem_dim, flat), in_channels)

        self.set_encoder(staged, num_phases, share_encoder)
        first = self.encoder if share_encoder else self.encoder[0]
        dims, kernels = first.dims, getattr(first.encoder, "kernels", [flat, *[[3, 3, 3]] * (len(first.dims) - 1)])
        if len(dims) < 2:
            raise ValueError("outlines need an encoder of two stages or more, found one; give it more `widths`")
        made = DECODERS[decoder]
        self.levels: list[int] = [0, *(1 + level for level in made.reads(len(dims) - 1))]
        self.fusions = nn.ModuleList(
            build_fusion(fusion, num_maps=num_phases, in_dim=dims[level], out_dim=min(dims[level], width))
            for level in self.levels
        )
        self.per_phase = num_masks > 1
        out = [width_of(one) for one in self.fusions]
        beside = [dims[level] if self.per_phase else 0 for level in self.levels]
        taken = [dim + more for dim, more in zip(out, beside, strict=True)]
        self.decoder = made(taken[1:], out[1:], [kernels[level] for level in self.levels[1:]])
        self.full_size = FullSize(taken[0], self.decoder.dims[0], out[0], kernels[0])
        self.head = nn.Conv3d(out[0], num_structures + 1, 1)
        self.set_supervision(self.decoder.dims, num_structures + 1)
        guard_normalisation(self)

    def outlines(self, image: Tensor, present: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode, fuse and decode."""
        maps = self.encode(image, present.repeat_interleave(self.num_views, dim=1))
        fused: list[Tensor] = []
        for i, fusion in enumerate(self.fusions):
            of_phases = maps[self.levels[i] :: self.num_views]
            one = fusion(of_phases, present)[0]
            if self.per_phase:
                every = one.repeat_interleave(self.num_phases, dim=0)
                one = torch.cat([every, align(of_phases, present).flatten(0, 1)], dim=1)
            fused.append(one)
        decoded = self.decoder(fused[1:])
        logits = self.by_mask(self.head(self.full_size(fused[0], decoded[0])))
        return resize(logits, image), decoded  # a batch without any phase has maps of one voxel
