"""One classifier per phase, then a combination of their decisions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.calibration import Calibration
from scripts.networks.parts import Part, build_combination
from scripts.networks.phase_fusion import PhaseTokenNetwork


class LateFusionNetwork(PhaseTokenNetwork):
    """Classifies every phase alone and combines the decisions.

    image [B, P, D, H, W] -> encoder -> tokens [B, P, C] -> heads -> phase logits [B, P, K] -> combination
    -> logits [B, K]

    With a clinical table, it decides as one more phase: M = P + 1 decisions, that of the table last, absent
    in a case without any clinical value. Each of V views of a phase decides for itself: P V decisions.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module.
        combination: constructor (taking ``num_phases`` and ``num_classes``) or ready `DecisionFusion`.
        num_phases: P.
        num_classes: K.
        share_encoder: one encoder for all phases, or one per phase. Each phase has its own head.
        dropout: fraction of the features dropped before the heads.
        table: constructor (taking ``out_dim``) or ready `TableEncoder`; None: no clinical table is read.

    Raises:
        ValueError: when the image has another number of phases.

    >>> from scripts.networks.fusion import LateMean
    >>> from scripts.networks import ResidualEncoder
    >>> network = LateFusionNetwork(ResidualEncoder, LateMean, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 28, 28, 28)).shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        encoder: Part,
        combination: Part,
        num_phases: int,
        num_classes: int,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
    ) -> None:
        super().__init__(encoder, num_phases, share_encoder, table)
        self.dropout = nn.Dropout(dropout)
        self.phase_heads = nn.ModuleList(
            nn.Linear(self.token_dim, num_classes) for _ in range(self.num_tokens)
        )
        self.combination = build_combination(combination, self.num_tokens, num_classes)
        self.calibration = Calibration(num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments as in `PhaseFusionNetwork`.

        Returns:
            Logits [B, K] float32, divided by the temperature. In eager training a dict with the raw
            ``logits``, ``present`` [B, M], ``phase_logits`` [B, M, K], and what the combination adds.
        """
        present = self.seen(image, present)
        tokens = self.tokens(image, present)
        if torch.jit.is_scripting():
            tokens, present = self.with_table(tokens, present, clinical)
            logits, _ = self.combination(self.phase_logits(tokens).float(), present)
            return self.calibration(logits)
        with torch.autocast(tokens.device.type, enabled=False):
            tokens, present = self.with_table(tokens, present, clinical)
        return self._combine(tokens, present)

    def phase_logits(self, tokens: Tensor) -> Tensor:
        """Classify each phase alone: tokens [B, M, C] -> [B, M, K]."""
        per_phase: list[Tensor] = []
        for p, head in enumerate(self.phase_heads):
            per_phase.append(head(self.dropout(tokens[:, p])))
        return torch.stack(per_phase, dim=1)

    @torch.jit.unused
    def _combine(self, tokens: Tensor, present: Tensor) -> Tensor | dict[str, Tensor]:
        with torch.autocast(tokens.device.type, enabled=False):  # decisions are few: float32 costs nothing
            phase_logits = self.phase_logits(tokens)
            logits, aux = self.combination(phase_logits, present)
        if not self.training:
            return self.calibration(logits)
        # a combination that reads the phases otherwise than by softmax replaces phase_logits by its own
        return {"logits": logits, "present": present, "phase_logits": phase_logits, **aux}
