"""One token per phase, one for the clinical table: what the networks that encode phase by phase share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scripts.fusion.base import zero_absent
from scripts.networks.parts import Part, build_encoder, build_encoders, build_table, width_of
from scripts.networks.presence import encode_present, pool


class PhaseTokenNetwork(nn.Module):
    """Encodes every phase into one token; sub-classes turn the tokens into classes.

    image [B, P, D, H, W] -> encoder -> feature maps, averaged over space -> tokens [B, P, C]
    clinical [B, T] -> table encoder -> layer norm -> one more, last token: M = P + 1; without a table M = P

    The layer norm brings the table's token to the size of the phases', so that a fusion that compares tokens
    (their maximum, say) does not overlook it.

    While training, absent phases are left out of the encoder, so that batch normalisation sees present
    volumes only. In evaluation they are encoded as zeros and their tokens replaced, so that shapes never
    depend on data.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module.
        num_phases: P.
        share_encoder: one encoder for all phases, or one per phase.
        table: constructor (taking ``out_dim``) or ready encoder of the clinical table; None: no table.
    """

    __constants__ = ("share_encoder",)  # lets TorchScript leave the other branch out

    def __init__(
        self, encoder: Part, num_phases: int, share_encoder: bool = True, table: Part | None = None
    ) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.share_encoder = share_encoder
        self.encoder: Any  # a module, or one per phase
        if share_encoder:
            self.encoder = build_encoder(encoder, 1)
            self.token_dim = width_of(self.encoder)
        else:
            self.encoder = build_encoders(encoder, num_phases)
            self.token_dim = width_of(self.encoder[0])
        self.table: Any = build_table(table, self.token_dim)
        self.table_norm: Any = None if self.table is None else nn.LayerNorm(self.token_dim)
        self.num_tokens = num_phases if self.table is None else num_phases + 1

    def tokens(self, image: Tensor, present: Tensor) -> Tensor:
        """Encode the phases: image [B, P, D, H, W], present [B, P] -> tokens [B, P, C], 0 where absent."""
        if not torch.jit.is_scripting() and self.training:
            return self._tokens_of_present(image, present)
        image = zero_absent(image, present)
        if self.share_encoder:
            tokens = pool(self.encoder(image.flatten(0, 1).unsqueeze(1)))
            tokens = tokens.reshape(-1, self.num_phases, self.token_dim)
        else:
            per_phase: list[Tensor] = []
            for p, encoder in enumerate(self.encoder):
                per_phase.append(pool(encoder(image[:, p : p + 1])))
            tokens = torch.stack(per_phase, dim=1)
        return zero_absent(tokens, present)

    def with_table(self, tokens: Tensor, present: Tensor, clinical: Tensor | None) -> tuple[Tensor, Tensor]:
        """Append the token of the clinical table: tokens [B, P, C], present [B, P] -> [B, M, C], [B, M]."""
        if self.table is None:
            return tokens, present
        token, there = self.table(clinical, tokens)
        present = torch.cat([present, there.unsqueeze(1)], dim=1)
        tokens = torch.cat([tokens, self.table_norm(token).unsqueeze(1)], dim=1)
        return zero_absent(tokens, present), present

    @torch.jit.unused
    def _tokens_of_present(self, image: Tensor, present: Tensor) -> Tensor:
        if self.share_encoder:
            volumes = image.flatten(0, 1).unsqueeze(1)
            tokens = encode_present(self.encoder, volumes, present.flatten(), self.token_dim)
            return tokens.reshape(-1, self.num_phases, self.token_dim)
        per_phase = [
            encode_present(encoder, image[:, p : p + 1], present[:, p], self.token_dim)
            for p, encoder in enumerate(self.encoder)
        ]
        return torch.stack(per_phase, dim=1)
