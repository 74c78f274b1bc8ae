"""One token per phase, then a fusion strategy, then the classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.calibration import Calibration
from scripts.networks.parts import Part, build_fusion, width_of
from scripts.networks.phase_tokens import PhaseTokenNetwork


class PhaseFusionNetwork(PhaseTokenNetwork):
    """Encodes every phase into one token, fuses the tokens and classifies.

    image [B, P, D, H, W] -> encoder -> tokens [B, P, C] -> fusion -> [B, F] -> head -> logits [B, K]

    With a clinical table there are M = P + 1 tokens, that of the table last; it is absent in a case without
    any clinical value. Without one, M = P; with V views of each phase, M = P V.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module.
        fusion: constructor (taking ``num_tokens`` and ``in_dim``) or ready module of `scripts.fusion`.
        num_phases: P.
        num_classes: K.
        share_encoder: one encoder for all phases, or one per phase.
        phase_heads: also classify each phase, and the table, alone while training (for deep supervision).
        dropout: fraction of the fused features dropped before the last layer.
        table: constructor (taking ``out_dim``) or ready `TableEncoder`; None: no clinical table is read.

    Raises:
        ValueError: when the image has another number of phases.

    >>> from scripts.fusion import Concat
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
    ) -> None:
        super().__init__(encoder, num_phases, share_encoder, table)
        self.fusion = build_fusion(fusion, self.num_tokens, self.token_dim)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width_of(self.fusion), num_classes)
        self.phase_heads = nn.ModuleList(
            nn.Linear(self.token_dim, num_classes) for _ in range(self.num_tokens if phase_heads else 0)
        )
        self.calibration = Calibration(num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify.

        Args:
            image: [B, P, D, H, W]; absent phases may hold anything, NaN included, if `present` is given.
            clinical: [B, T], NaN where a value is missing; None: no case has a table. Not read without one.
            present: [B, P]; None: a phase whose voxels are all 0 is absent. See `token_presence` for views.

        Returns:
            Logits [B, K] float32, divided by the temperature. In eager training a dict with the raw
            ``logits``, ``present`` [B, M], ``phase_logits`` [B, M, K] with phase heads, and what the fusion
            adds (``weights`` [B, M]).
        """
        present = self.seen(image, present)
        tokens = self.tokens(image, present)
        if torch.jit.is_scripting():
            tokens, present = self.with_table(tokens, present, clinical)
            fused, _ = self.fusion(tokens, present)
            return self.calibration(self.head(self.dropout(fused)).float())
        with torch.autocast(tokens.device.type, enabled=False):
            tokens, present = self.with_table(tokens, present, clinical)
        return self._classify(tokens, present)

    @torch.jit.unused
    def _classify(self, tokens: Tensor, present: Tensor) -> Tensor | dict[str, Tensor]:
        with torch.autocast(tokens.device.type, enabled=False):  # tokens are few: float32 costs nothing
            fused, aux = self.fusion(tokens, present)
            logits = self.head(self.dropout(fused))
            if not self.training:
                return self.calibration(logits)
            outputs = {"logits": logits, "present": present, **aux}
            if len(self.phase_heads):
                phase_logits = [head(tokens[:, m]) for m, head in enumerate(self.phase_heads)]
                outputs["phase_logits"] = torch.stack(phase_logits, dim=1)
            return outputs
