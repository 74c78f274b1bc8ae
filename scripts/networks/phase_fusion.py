# SPDX-License-Identifier: Apache-2.0
"""Fusion of one token per phase, or of the decisions of single phases."""

from __future__ import annotations

import torch
from scripts.networks.base import PhaseNetwork
from scripts.networks.parts import Part, build_fusion, width_of
from torch import Tensor, nn


class PhaseFusionNetwork(PhaseNetwork):
    """Encodes every phase into one token, fuses the tokens and classifies.

    image [B, P, D, H, W] -> encoder -> tokens [B, P, C] -> fusion -> [B, F] -> head -> logits [B, K]

    There are M = P tokens, or M = P V with V views of each phase; a clinical table adds one more, the last.

    Args:
        encoder: for this and the arguments not listed here see `PhaseNetwork`.
        fusion: a `TokenFusion` (its constructor takes ``num_tokens`` and ``in_dim``).
        phase_heads: in training, also classify each phase, and the table, alone (for deep supervision).

    >>> from scripts.networks.fusion import Concat
    >>> from scripts.networks import ResidualEncoder
    >>> network = PhaseFusionNetwork(ResidualEncoder, Concat, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 28, 28, 28)).shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Part,
        num_phases: int,
        num_classes: int,
        share_encoder: bool = True,
        phase_heads: bool = False,
        dropout: float = 0.0,
        table: Part | None = None,
        ordinal: bool = False,
    ) -> None:
        super().__init__(encoder, fusion, num_phases, num_classes, share_encoder, dropout, table, ordinal)
        self.phase_heads = nn.ModuleList(
            self.last_layer(self.token_dim, num_classes) for _ in range(self.num_tokens if phase_heads else 0)
        )

    def make_head(self, fusion: Part | None, num_classes: int) -> None:
        """Build the fusion and the last layer."""
        self.fusion = build_fusion(fusion, num_tokens=self.num_tokens, in_dim=self.token_dim)
        self.head = self.last_layer(width_of(self.fusion), num_classes)

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse the tokens of the phases and of the table, and classify."""
        tokens, present = self.with_table(self.pooled(maps, present), present, clinical)
        return self.fuse(tokens, present)

    def fuse(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse and classify tokens [B, M, C]."""
        fused, outputs = self.fusion(tokens, present)
        outputs["present"] = present
        logits = self.head(self.dropout(fused))
        if self.training and len(self.phase_heads) > 0:
            alone: list[Tensor] = []
            for m, head in enumerate(self.phase_heads):
                alone.append(head(tokens[:, m]))
            outputs["phase_logits"] = torch.stack(alone, dim=1)
        return logits, outputs


class LateFusionNetwork(PhaseNetwork):
    """Classifies every phase alone and combines the decisions.

    image [B, P, D, H, W] -> encoder -> tokens [B, P, C] -> heads -> phase logits [B, P, K] -> combination
    -> logits [B, K]

    A clinical table decides as one more, last phase: M = P + 1 decisions. Each of V views of a phase decides
    by itself: P V decisions. Every decision has its own head.

    Args:
        encoder: for this and the arguments not listed here see `PhaseNetwork`.
        fusion: a `DecisionFusion` (its constructor takes ``num_phases`` and ``num_classes``).
        combination: former name of `fusion`.

    Raises:
        ValueError: `ordinal` with a fusion that reads evidence, not probabilities.

    >>> from scripts.networks.fusion import LateMean
    >>> from scripts.networks import ResidualEncoder
    >>> network = LateFusionNetwork(ResidualEncoder, LateMean, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 28, 28, 28)).shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Part | None = None,
        num_phases: int = 1,
        num_classes: int = 2,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
        combination: Part | None = None,
        ordinal: bool = False,
    ) -> None:
        of = (num_phases, num_classes, share_encoder, dropout, table, ordinal)
        super().__init__(encoder, fusion or combination, *of)

    def make_head(self, fusion: Part | None, num_classes: int) -> None:
        """Build a head for each token, and the combination."""
        self.combination = build_fusion(fusion, num_phases=self.num_tokens, num_classes=num_classes)
        if self.ordinal and not self.combination.of_probabilities:
            raise ValueError(
                "ordinal: true needs phases that answer with probabilities of grades, found "
                f"{type(self.combination).__name__}, whose phases give evidence; choose another strategy of "
                "configs/fusion, e.g. late_mean, or --ordinal false"
            )
        self.phase_heads = nn.ModuleList(self.last_layer(self.token_dim, num_classes) for _ in range(self.num_tokens))

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Classify each phase and combine the decisions."""
        tokens, present = self.with_table(self.pooled(maps, present), present, clinical)
        phase_logits = self.phase_logits(tokens).float()
        logits, outputs = self.combination(phase_logits, present)
        outputs["present"] = present
        if "phase_logits" not in outputs:  # a combination that does not use softmax returns its own
            outputs["phase_logits"] = phase_logits
        return logits, outputs

    def phase_logits(self, tokens: Tensor) -> Tensor:
        """Classify each phase alone: tokens [B, M, C] -> [B, M, K]."""
        per_phase: list[Tensor] = []
        for p, head in enumerate(self.phase_heads):
            per_phase.append(head(self.dropout(tokens[:, p])))
        return torch.stack(per_phase, dim=1)
