# SPDX-License-Identifier: Apache-2.0
"""Feature-wise linear modulation of feature maps by the clinical table."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scripts.networks.parts import Part, build_table, pool
from scripts.networks.phase_fusion import PhaseFusionNetwork
from torch import Tensor, nn


def modulate(maps: Tensor, gamma_beta: Tensor) -> Tensor:
    """Return relu((1 + gamma) * maps + beta), channel by channel.

    Without the rectifier this would merely scale and shift the averaged features; with it, beta decides which
    voxels count at all. Maps of an encoder that ends in a rectifier are unchanged where gamma = beta = 0.

    Args:
        maps: [B, C, d, h, w].
        gamma_beta: gamma and beta side by side, [B, 2 C].
    """
    gamma, beta = gamma_beta.reshape(-1, 2, maps.size(1), 1, 1, 1).unbind(dim=1)
    return torch.relu((1 + gamma) * maps + beta)


class Film(nn.Module):
    """Scales and shifts every channel depending on the clinical table.

    (gamma, beta) = W t + b; maps -> relu((1 + gamma) * maps + beta), initially the identity: W = b = 0

    Args:
        channels: C, of the feature maps.
        table_dim: width of the encoded table t.

    Shape: maps [B, C, d, h, w], table [B, table_dim] -> maps [B, C, d, h, w].

    Reference: Perez et al., FiLM: visual reasoning with a general conditioning layer, AAAI 2018.
    """

    def __init__(self, channels: int, table_dim: int) -> None:
        super().__init__()
        self.affine = nn.Linear(table_dim, 2 * channels)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, maps: Tensor, table: Tensor) -> Tensor:
        return modulate(maps, self.affine(table))


class Daft(nn.Module):
    """Scales and shifts every channel depending on the clinical table and the image together.

    (gamma, beta) = W_2 relu(W_1 [mean over space of maps, t])
    maps -> relu((1 + gamma) * maps + beta), initially the identity: W_2 = 0

    Args:
        channels: C, of the feature maps.
        table_dim: width of the encoded table t.
        reduction: W_1 leaves (C + table_dim) / reduction features: the bottleneck.

    Shape: maps [B, C, d, h, w], table [B, table_dim] -> maps [B, C, d, h, w].

    Reference: Poelsterl et al., Combining 3D image and tabular data via the dynamic affine feature map
        transform, MICCAI 2021; Wolf et al., DAFT, NeuroImage 2022.
    """

    def __init__(self, channels: int, table_dim: int, reduction: int = 7) -> None:
        super().__init__()
        width = max(1, (channels + table_dim) // reduction)
        self.squeeze = nn.Linear(channels + table_dim, width, bias=False)
        self.expand = nn.Linear(width, 2 * channels, bias=False)
        nn.init.zeros_(self.expand.weight)

    def forward(self, maps: Tensor, table: Tensor) -> Tensor:
        seen = torch.cat([pool(maps), table], dim=1)
        return modulate(maps, self.expand(torch.relu(self.squeeze(seen))))


class ConditionedNetwork(PhaseFusionNetwork):
    """Encodes every phase, modulates its feature maps by the clinical table, fuses the phases and classifies.

    image [B, P, D, H, W] -> encoder -> maps [B, P, C, d, h, w] -> conditioning of each phase by the table
    -> averaged over space -> tokens [B, P, C] -> fusion -> [B, F] -> head -> logits [B, K]

    The table is not a token: M = P, or P V with V views, each with its own conditioning. The maps of a case
    without any clinical value are left unchanged.

    Args:
        encoder: must end in a rectifier; for the arguments not listed here see `PhaseNetwork`.
        conditioning: constructor (taking ``channels`` and ``table_dim``) of `Film` or `Daft`, one per token.
        table_dim: width of the encoded table.

    Raises:
        ValueError: without a table.
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Part,
        num_phases: int,
        num_classes: int,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
        ordinal: bool = False,
        *,
        conditioning: Callable[..., nn.Module],
        table_dim: int = 32,
    ) -> None:
        super().__init__(encoder, fusion, num_phases, num_classes, share_encoder, dropout=dropout, ordinal=ordinal)
        self.table = build_table(table, table_dim)
        self.conditioning = nn.ModuleList(
            conditioning(channels=self.token_dim, table_dim=table_dim) for _ in range(self.image_tokens)
        )

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Condition the maps of each phase, average them over space, fuse and classify."""
        table, there = self.table(clinical, present)
        there = there.reshape(-1, 1, 1, 1, 1)
        conditioned: list[Tensor] = []
        for p, conditioning in enumerate(self.conditioning):
            conditioned.append(torch.where(there, conditioning(maps[p], table), maps[p]))
        return self.fuse(self.pooled(conditioned, present), present)
