# SPDX-License-Identifier: Apache-2.0
"""Fusion of the phases at several stages of the encoder, merged from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks import FeaturePyramidNetwork, SimpleASPP
from scripts.networks.base import PhaseNetwork
from scripts.networks.encoders.stages import StageEncoder
from scripts.networks.guarded import GuardedConv3d, guard_convolutions
from scripts.networks.parts import Part, build, build_fusion, own, pool, width_of
from torch import Tensor, nn
from torch.nn import functional


class FeaturePyramid(nn.Module):
    """MONAI's feature pyramid: coarse maps are added to finer ones, from the top down.

    p_L = U_L a_L;  p_l = U_l a_l + resize(p_{l+1})         U: 1 x 1 x 1 convolutions
    out_l = relu(conv_3x3x3 p_l)

    Args:
        in_dims: channels of the maps, fine to coarse.
        out_dim: channels of every result.

    Shape: L maps [B, C_l, d_l, h_l, w_l] -> L maps [B, out_dim, d_l, h_l, w_l].

    Reference: Lin et al., Feature pyramid networks for object detection, CVPR 2017.
    """

    def __init__(self, in_dims: Sequence[int], out_dim: int) -> None:
        super().__init__()
        self.pyramid = guard_convolutions(FeaturePyramidNetwork(3, list(in_dims), out_dim))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Add coarse maps to finer ones."""
        named: dict[str, Tensor] = {}
        for i, one in enumerate(maps):
            named[str(i)] = one
        found: list[Tensor] = []
        for one in self.pyramid(named).values():
            found.append(torch.relu(one))
        return found


class SkipDecoder(nn.Module):
    """The decoder of a U-Net: coarse results are concatenated with the finer map, not added to it.

    d_L = relu(conv_3x3x3 a_L);  d_l = relu(conv_3x3x3 [a_l, resize(d_{l+1})])

    MONAI's `UpCat` doubles the size at each step. The stages of small volumes do not always halve, so the
    results are interpolated to the size of the finer map instead.

    Args:
        in_dims: channels of the maps, fine to coarse.
        out_dim: channels of every result.

    Shape: L maps [B, C_l, d_l, h_l, w_l] -> L maps [B, out_dim, d_l, h_l, w_l].

    Reference: Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, MICCAI
    2015.
    """

    def __init__(self, in_dims: Sequence[int], out_dim: int) -> None:
        super().__init__()
        coarse = [0 if level == len(in_dims) - 1 else out_dim for level in range(len(in_dims))]
        self.convolutions = nn.ModuleList(  # the coarsest first: the order in which they are used
            GuardedConv3d(dim + more, out_dim, 3, padding=1)
            for dim, more in reversed(list(zip(in_dims, coarse, strict=True)))
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Decode from coarse to fine."""
        found: list[Tensor] = []
        for i, convolution in enumerate(self.convolutions):
            one = maps[len(maps) - 1 - i]
            if i > 0:
                size = [one.size(2), one.size(3), one.size(4)]
                coarse = functional.interpolate(found[0], size=size, mode="trilinear", align_corners=False)
                one = torch.cat([one, coarse], dim=1)
            found.insert(0, torch.relu(convolution(one)))
        return found


class Context(nn.Module):
    """MONAI's atrous spatial pyramid pooling: parallel convolutions with dilations 1, 2, 4 and 6.

    It normalises over groups of channels, because the cases of a batch have different phases.

    Args:
        dim: channels, a multiple of 4.

    Shape: [B, dim, d, h, w] -> [B, dim, d, h, w].

    Reference: Chen et al., Encoder-decoder with atrous separable convolution for semantic image segmentation,
    ECCV 2018.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        aspp = SimpleASPP(3, dim, dim // 4, norm_type=("group", {"num_groups": 4}))
        self.aspp = guard_convolutions(aspp)

    def forward(self, maps: Tensor) -> Tensor:
        return self.aspp(maps)


class MultiLevelNetwork(PhaseNetwork):
    """Fuses the phases at every stage of the encoder, merges the stages as a pyramid, and classifies.

    image [B, P, D, H, W] -> encoder -> maps of L stages of each phase -> fusion of the phases, one per stage
    -> a_1, ..., a_L -> pyramid, from coarse to fine -> mean over space of each -> [B, L F] -> head -> [B, K]

    Fine stages show edges and small foci, coarse stages their surroundings. With V views each view has its own
    fusions, all views pass through one pyramid, and their results are concatenated. The encoded clinical table is
    appended to them, 0 where a case has none.

    Args:
        encoder: with stages (`stage_maps`); for the arguments not listed here see `PhaseNetwork`.
        fusion: constructor (taking ``num_maps``, ``in_dim`` and ``out_dim``) of a `MapFusion`, one per stage.
        width: F, channels of the pyramid, a multiple of 4.
        skips: merge as the decoder of a U-Net does, by concatenation, instead of a feature pyramid.
        context: first apply atrous convolutions to the coarsest stage (`Context`).

    Raises:
        ValueError: an encoder without stages.
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Part | None,
        num_phases: int,
        num_classes: int,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
        width: int = 64,
        skips: bool = False,
        context: bool = False,
    ) -> None:
        def staged(in_channels: int) -> nn.Module:
            return StageEncoder(build(encoder if share_encoder else own(encoder), in_channels=in_channels), in_channels)

        super().__init__(staged, None, num_phases, num_classes, share_encoder, dropout, table)
        dims = list((self.encoder if share_encoder else self.encoder[0]).dims)
        self.num_levels = len(dims)
        self.views_per_phase = self.num_views // self.num_levels
        self.fusions = nn.ModuleList(
            build_fusion(fusion, num_maps=num_phases, in_dim=dim, out_dim=width)
            for _ in range(self.views_per_phase)
            for dim in dims
        )
        widths = [width_of(one) for one in self.fusions][: self.num_levels]
        self.context = Context(widths[-1]) if context else nn.Identity()
        self.pyramid = (SkipDecoder if skips else FeaturePyramid)(widths, width)
        beside = 0 if self.table is None else self.token_dim
        self.head = nn.Linear(self.num_views * width + beside, num_classes)

    def features(self, maps: list[Tensor], present: Tensor) -> Tensor:
        """Fuse and merge: P V L maps, present [B, P V L] -> [B, V L F]."""
        there = present.reshape(-1, self.num_phases, self.num_views)
        levels: list[Tensor] = []
        for slot, fusion in enumerate(self.fusions):
            levels.append(fusion(maps[slot :: self.num_views], there[:, :, slot])[0])
        features: list[Tensor] = []
        for v in range(self.views_per_phase):
            view = levels[v * self.num_levels : (v + 1) * self.num_levels]
            view[-1] = self.context(view[-1])
            for merged in self.pyramid(view):
                features.append(pool(merged))
        return torch.cat(features, dim=1)

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse and merge the maps, append the table, and classify."""
        logits = self.head(self.dropout(self.beside_table(self.features(maps, present), clinical)))
        return logits, {"present": present[:, :: self.num_levels]}
